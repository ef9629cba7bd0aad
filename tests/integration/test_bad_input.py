"""Wrong input gets a clear answer, and nothing changes by it."""
import contextlib
import json
import os
import resource
import socket
import ssl
import subprocess
import unittest

from stack import PASSWORD, Browser, Stack, program, wait_until


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.set_route("example.test")
        cls.browser = cls.stack.administrator()

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def enroll(self, token):
        return subprocess.run(
            [program("scanner"), "enroll", "--state", os.path.join(self.stack.folder, "other"),
             "--url", f"https://127.0.0.1:{self.stack.fleet}", "--token", token],
            capture_output=True, text=True, env={**os.environ, **self.stack.environment})

    def test_wrong_password_is_refused_and_the_right_one_still_works(self):
        browser = Browser(self.stack.https)
        response, text = browser.sign_in("admin", "not the password")
        self.assertNotEqual(response.status, 303)
        self.assertNotIn("__Host-gatehouse", [k for k, v in browser.cookies.items()
                                              if v and k == "__Host-gatehouse"])
        response, _ = browser.sign_in("admin", PASSWORD)
        self.assertEqual(response.status, 303)

    def test_silent_connections_of_one_address_do_not_shut_the_console(self):
        held = []
        try:
            for _ in range(700):
                with contextlib.suppress(OSError):
                    held.append(socket.create_connection(("127.0.0.1", self.stack.https), 5,
                                                         ("127.0.0.10", 0)))
            self.assertIn("Dashboard", self.browser.get("/"))
        finally:
            for connection in held:
                connection.close()

    def test_silent_connections_of_one_address_do_not_shut_the_fleet_port(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 8000:
            self.skipTest("too few descriptors are allowed")
        self.assertEqual(*resource.prlimit(self.stack.center.child.pid, resource.RLIMIT_NOFILE))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 8000), hard))
        held = []
        try:
            for _ in range(6500):
                with contextlib.suppress(OSError):
                    held.append(socket.create_connection(("127.0.0.1", self.stack.fleet), 5,
                                                         ("127.0.0.11", 0)))
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with socket.create_connection(("127.0.0.1", self.stack.fleet), 10) as connection, \
                    context.wrap_socket(connection) as scanner:
                self.assertIsNotNone(scanner.version())
        finally:
            for connection in held:
                connection.close()

    def test_form_without_its_secret_is_refused(self):
        response, _ = self.browser.request("POST", "/malware/policy", {"virus": "deliver",
                                                                       "unscannable": "deliver"})
        self.assertEqual(response.status, 403)

    def test_only_uploads_of_somebody_signed_in_may_be_large(self):
        stranger = Browser(self.stack.https)
        for who, path, size, statuses in (
                (stranger, "/sign-in", 60 << 10, (403,)), (stranger, "/sign-in", 70 << 10, (413,)),
                (stranger, "/domains/import", 15 << 20, (413,)),
                (self.browser, "/smtp", 900 << 10, (403,)), (self.browser, "/smtp", 2 << 20, (413,)),
                (self.browser, "/domains/import", 15 << 20, (403,))):
            with self.subTest(path=path, size=size, stranger=who is stranger):
                response, _ = who.request("POST", path, {"rows": "x" * size})
                self.assertIn(response.status, statuses)

    def test_wrong_tokens_enrol_nobody(self):
        good = self.stack.token("mx2.test")
        head, fingerprint, secret = good.split(".")
        for token in ("nonsense", f"{head}.{fingerprint}.{'A' * len(secret)}",
                      f"{head}.{'A' * len(fingerprint)}.{secret}"):
            done = self.enroll(token)
            self.assertNotEqual(done.returncode, 0, token)
            self.assertIn("gatehouse-scanner:", done.stderr)
        self.assertEqual(self.enroll(good).returncode, 0)
        again = subprocess.run(
            [program("scanner"), "enroll", "--force", "--state",
             os.path.join(self.stack.folder, "third"), "--url",
             f"https://127.0.0.1:{self.stack.fleet}", "--token", good],
            capture_output=True, text=True, env={**os.environ, **self.stack.environment})
        self.assertNotEqual(again.returncode, 0)

    def test_invalid_form_names_the_field_and_changes_nothing(self):
        version = self.stack.mta_status()["configuration_version"]
        response, text = self.browser.post("/domains/new", {
            "name": "not a domain!", "kind": "relay", "relays": "nowhere:99999"})
        self.assertNotEqual(response.status, 303)
        self.assertIn("aria-invalid", text)
        self.assertEqual(self.stack.mta_status()["configuration_version"], version)

    def test_altered_configuration_is_refused_and_the_old_one_runs(self):
        path = os.path.join(self.stack.state, "config", "current.json")
        with open(path) as file:
            original = file.read()
        envelope = json.loads(original)
        envelope["document"] = envelope["document"].replace("example.test", "evil.test")
        try:
            with open(path, "w") as file:
                json.dump(envelope, file)
            reply = self.stack.ask("mta", op="reload")
            self.assertFalse(reply["ok"])
            self.assertIn("signature", reply["error"])
        finally:
            with open(path, "w") as file:
                file.write(original)
        code, _ = self.stack.send("a@client.test", ["b@example.test"], "Subject: x\r\n\r\nHi\r\n")
        self.assertEqual(code, 250)

    def test_configuration_change_drops_no_session(self):
        with socket.create_connection(("127.0.0.1", self.stack.inbound), timeout=30) as session:
            lines = session.makefile("rwb")
            self.assertTrue(lines.readline().startswith(b"220 "))
            self.stack.set_route("added.test")
            lines.write(b"NOOP\r\n")
            lines.flush()
            self.assertTrue(lines.readline().startswith(b"250"))

    def test_smuggled_end_of_data_is_no_end(self):
        with socket.create_connection(("127.0.0.1", self.stack.inbound), timeout=30) as session:
            lines = session.makefile("rwb")
            lines.readline()
            for command, code in ((b"HELO x.test", b"250"), (b"MAIL FROM:<a@client.test>", b"250"),
                                  (b"RCPT TO:<b@example.test>", b"250"), (b"DATA", b"354")):
                lines.write(command + b"\r\n")
                lines.flush()
                self.assertTrue(lines.readline().startswith(code), command)
            lines.write(b"Subject: x\r\n\r\nHi\n.\nMAIL FROM:<evil@client.test>\r\n.\r\n")
            lines.flush()
            self.assertTrue(lines.readline().startswith(b"5"))
        self.stack.wait_for_events()
        self.assertEqual(self.stack.postgres.value(
            "SELECT count(*) FROM audit_message WHERE sender = 'evil@client.test'"), "0")

    def test_dead_database_is_said_in_the_console(self):
        self.stack.postgres.stop()
        try:
            response, text = self.browser.request("GET", "/audit")
            self.assertEqual(response.status, 503)
            code, _ = self.stack.send("a@client.test", ["b@example.test"],
                                      "Subject: x\r\n\r\nHi\r\n")
            self.assertEqual(code, 250)
        finally:
            self.stack.postgres.start()
        wait_until("the console is back", lambda: self.browser.request("GET", "/audit")[0].status
                   == 200, 30, 0.3)


if __name__ == "__main__":
    unittest.main()
