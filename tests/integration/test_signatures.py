"""Custom signatures and freshclam: from the console to a message that is found."""
import base64
import glob
import http.client
import http.server
import json
import os
import threading
import time
import unittest
import uuid

from stack import Forms, Stack, unique, wait_until

PAGE = "/malware/signatures"


def multipart(fields, files):
    """The body and its type; files are {field: (name, bytes)}."""
    mark = uuid.uuid4().hex
    parts = [f'--{mark}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode()
             for k, v in fields.items()]
    parts += [f'--{mark}\r\nContent-Disposition: form-data; name="{k}"; filename="{name}"\r\n'
              f'Content-Type: application/octet-stream\r\n\r\n'.encode() + data + b"\r\n"
              for k, (name, data) in files.items()]
    return b"".join(parts) + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"


def pattern(text):
    return text.encode().hex()


class Signatures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.addClassCleanup(cls.stack.close)
        cls.stack.set_route("example.test")
        cls.browser = cls.stack.administrator()
        wait_until("the scanner has polled", lambda: cls.stack.postgres.value(
            "SELECT seen_at IS NOT NULL FROM scanner") == "t")

    def upload(self, name, text):
        return self.browser.post(PAGE, {"name": name, "text": text})

    def verdict(self, body):
        """What becomes of a message with that body."""
        subject = unique()
        code, reply = self.stack.send("a@client.test", ["b@example.test"],
                                      f"Subject: {subject}\r\n\r\n{body}\r\n")
        self.assertEqual(code, 250, reply)
        wait_until("the verdict is in the database", lambda: self.stack.postgres.value(
            f"SELECT verdict FROM audit_message WHERE subject = '{subject}'"))
        return self.stack.postgres.value(
            f"SELECT verdict FROM audit_message WHERE subject = '{subject}'")

    def file_id(self, name):
        return self.stack.postgres.value(f"SELECT id FROM signature_file WHERE name = '{name}'")

    def test_an_uploaded_signature_finds_a_message_within_seconds(self):
        word = unique()
        self.assertEqual(self.verdict(word), "clean")
        response, text = self.upload("words.ndb", f"Test.Word:0:*:{pattern(word)}\n")
        self.assertEqual(response.status, 303, text)
        began = time.monotonic()
        wait_until("the signature finds it", lambda: self.verdict(word) == "virus", 20)
        print(f"found {time.monotonic() - began:.1f} s after the upload")
        page = self.browser.get(PAGE)
        self.assertIn("words.ndb", page)
        self.assertIn("by admin", page)
        self.switch("words.ndb", "off")
        wait_until("it is clean again", lambda: self.verdict(word) == "clean", 20)
        self.switch("words.ndb", "on")
        wait_until("it is found again", lambda: self.verdict(word) == "virus", 20)
        path = f"{PAGE}/{self.file_id('words.ndb')}/remove"
        self.assertEqual(self.browser.post(path, {})[0].status, 303)
        wait_until("it is clean for good", lambda: self.verdict(word) == "clean", 20)
        actions = {row[0] for row in self.stack.postgres.query(
            "SELECT action FROM administrator_log WHERE object = 'words.ndb'")}
        self.assertEqual(actions, {"signatures.upload", "signatures.disable", "signatures.enable",
                                   "signatures.remove"})

    def switch(self, name, to):
        response, text = self.browser.post(f"{PAGE}/{self.file_id(name)}", {"to": to}, PAGE)
        self.assertEqual(response.status, 303, text)

    def test_a_file_may_be_uploaded_as_such(self):
        word = unique()
        fields = {"csrf": self.csrf(), "name": "file.yar"}
        rule = f'rule word {{ strings: $a = "{word}" condition: $a }}\n'
        body, kind = multipart(fields, {"file": ("file.yar", rule.encode())})
        response, text = self.raw_post(PAGE, body, kind)
        self.assertEqual(response.status, 303, text)
        wait_until("the rule finds it", lambda: self.verdict(word) == "virus", 20)

    def csrf(self):
        return Forms(self.browser.get(PAGE)).hidden["csrf"]

    def raw_post(self, path, body, kind):
        connection = http.client.HTTPSConnection("127.0.0.1", self.browser.port,
                                                 context=self.browser.context, timeout=60)
        cookies = "; ".join(f"{k}={v}" for k, v in self.browser.cookies.items())
        connection.request("POST", path, body, {"Cookie": cookies, "Content-Type": kind})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response, text

    def test_a_broken_file_is_refused_with_its_line(self):
        cases = [
            ("a.ndb", "Good:0:*:616263646566\nBad line\n", "refused line 2"),
            ("a.hdb", "44d88612fea8a8f36de82e1278abb02f:68:A\nnot a hash\n", "refused line 2"),
            ("a.yar", 'rule a { condition: true }\nrule b { condition: $c }\n', "refused line 2"),
            ("a.ndb", "Everything:0:*:4d657373616765\n", "takes an ordinary message for malware"),
            ("a.exe", "x", "Write a name"),
            ("../a.ndb", "x", "Write a name"),
            ("a.ndb", "", "Choose a file"),
        ]
        before = self.stack.postgres.value("SELECT count(*) FROM signature_file")
        for name, text, reason in cases:
            with self.subTest(name=name, text=text):
                response, page = self.upload(name, text)
                self.assertEqual(response.status, 422)
                self.assertIn(reason, page)
        self.assertEqual(self.stack.postgres.value("SELECT count(*) FROM signature_file"), before)

    def test_without_a_scanner_nothing_is_taken(self):
        self.stack.postgres.query("UPDATE scanner SET seen_at = now() - interval '1 hour'")
        self.stack.ask("supervisor", op="stop", service="agent")
        try:
            self.stack.postgres.query("UPDATE scanner SET seen_at = now() - interval '1 hour'")
            response, page = self.upload("b.ndb", "Good:0:*:616263646566\n")
            self.assertEqual(response.status, 422)
            self.assertIn("no scanner is connected", page)
        finally:
            self.stack.ask("supervisor", op="start", service="agent")
            wait_until("the scanner polls again", lambda: self.stack.postgres.value(
                "SELECT seen_at > now() - interval '1 minute' FROM scanner") == "t", 60)


class Server:
    """Serves databases, also as a proxy, and remembers what was asked of it."""

    def __init__(self, word):
        self.requests = []
        self.word = word
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                server.requests.append((self.path, None))
                server.answer(self)

            def do_CONNECT(self):
                """What comes through the tunnel is served here as well."""
                authorization = self.headers.get("Proxy-Authorization")
                server.requests.append((self.path, authorization))
                if authorization:
                    self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                    self.close_connection = False
                    return
                self.send_response(407)
                self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, handler):
        if handler.path.endswith("/hang.ndb"):
            time.sleep(60)
            return
        found = {"/fresh.ndb": f"Test.Fresh:0:*:{pattern(self.word)}\n".encode(),
                 "/fresh.hdb": b"44d88612fea8a8f36de82e1278abb02f:68:Test.Hash\n",
                 "/garbage.ndb": b"\x00\x01<html>garbage"}
        body = found.get(handler.path)
        handler.send_response(200 if body else 404)
        handler.send_header("Content-Length", str(len(body or b"no")))
        handler.end_headers()
        handler.wfile.write(body or b"no")

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Updates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.word = unique()
        cls.server = Server(cls.word)
        cls.addClassCleanup(cls.server.close)
        cls.stack = Stack(environment={"GATEHOUSE_FRESHCLAM": "/usr/bin/freshclam",
                                       "GATEHOUSE_FRESHCLAM_SECONDS": "5"})
        cls.addClassCleanup(cls.stack.close)
        cls.stack.set_route("example.test")
        cls.browser = cls.stack.administrator()
        cls.host = cls.stack.postgres.value("SELECT id FROM scanner")

    verdict = Signatures.verdict

    def status(self):
        """What the agent keeps; the Control Center hears it with the next poll."""
        path = os.path.join(self.stack.state, "agent/updates.json")
        if not os.path.exists(path):
            return {}
        with open(path) as file:
            return json.load(file)

    def update(self, *names, host="127.0.0.1", **proxy):
        """Fetches these files with one press of the button; what the scanner says of it."""
        port = f":{self.server.port}" if host == "127.0.0.1" else ""
        version = self.stack.mta_status()["configuration_version"]
        response, text = self.browser.post(f"{PAGE}/updates", {
            "hours": "0", "urls": "\n".join(f"http://{host}{port}/{name}" for name in names),
            **proxy})
        self.assertEqual(response.status, 303, text)
        wait_until("the configuration runs",
                   lambda: self.stack.mta_status().get("configuration_version", 0) > version)
        before = self.status().get("last_run")
        response, text = self.browser.post(f"{PAGE}/updates/{self.host}", {}, PAGE)
        self.assertEqual(response.status, 303, text)
        return wait_until("the update has run", lambda: self.status() if self.status().get(
            "last_run") != before else None, 60)

    def test_what_freshclam_brings_finds_a_message(self):
        self.assertEqual(self.verdict(self.word), "clean")
        said = self.update("fresh.ndb", "fresh.hdb")
        self.assertEqual(said["error"], "")
        self.assertIn("last_success", said)
        wait_until("the signature finds it", lambda: self.verdict(self.word) == "virus", 20)
        wait_until("the page says so", lambda: ">worked <" in self.browser.get(PAGE), 40)
        self.assertEqual(self.update()["error"], "")
        wait_until("it is clean again", lambda: self.verdict(self.word) == "clean", 20)

    def test_what_cannot_be_fetched_is_said_and_changes_nothing(self):
        self.update()
        before = self.stack.ask("engine-control", op="status")["signatures"]["count"]
        for name, reason in [("garbage.ndb", "Malformed database"),
                             ("missing.ndb", "Can't download missing.ndb"),
                             ("hang.ndb", "took longer than it may")]:
            with self.subTest(name=name):
                said = self.update(name)
                self.assertIn(reason, said["error"])
        self.assertEqual(
            self.stack.ask("engine-control", op="status")["signatures"]["count"], before)
        self.assertEqual(self.running_freshclams(), [])
        wait_until("the page says so", lambda: reason in self.browser.get(PAGE), 40)
        self.assertIn(reason, self.browser.get(f"/hosts/{self.host}"))

    def running_freshclams(self):
        found = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, "rb") as file:
                    command = file.read()
            except OSError:
                continue
            if command.startswith(b"/usr/bin/freshclam") and self.stack.state.encode() in command:
                found.append(command)
        return found

    def test_a_proxy_gets_the_password_and_nobody_else_does(self):
        secret = "s3cr#t" + unique()
        said = self.update("fresh.hdb", host="mirror.invalid", proxy_host="127.0.0.1",
                           proxy_port=str(self.server.port), proxy_user="me",
                           proxy_password=secret)
        self.assertEqual(said["error"], "")
        expected = "Basic " + base64.b64encode(f"me:{secret}".encode()).decode()
        self.assertIn(("mirror.invalid:80", expected), self.server.requests)
        for path, text in self.stack.logs():
            self.assertNotIn(secret, text, path)
        for path in (PAGE, f"{PAGE}/updates", f"/hosts/{self.host}"):
            self.assertNotIn(secret, self.browser.get(path), path)
        for table in ("administrator_log", "scanner"):
            self.assertEqual(self.stack.postgres.value(
                f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%{secret}%'"), "0", table)
        mode = os.stat(os.path.join(self.stack.state, "agent/freshclam.conf")).st_mode
        self.assertEqual(mode & 0o777, 0o600)
        # An empty field leaves it; without a proxy it is forgotten.
        self.update("fresh.hdb", host="mirror.invalid", proxy_host="127.0.0.1",
                    proxy_port=str(self.server.port), proxy_user="me")
        self.assertEqual(self.server.requests[-2:],
                         [("mirror.invalid:80", expected), ("/fresh.hdb", None)])
        self.server.requests.clear()
        self.update("fresh.hdb")
        self.assertEqual(self.server.requests, [("/fresh.hdb", None)])
        self.assertEqual(self.stack.postgres.value(
            "SELECT value->>'password' FROM setting WHERE key = 'secret.signatures_proxy'"), "")

    def test_what_would_be_another_option_is_refused(self):
        for field, value in [("mirror", "file:///etc"), ("urls", "http://a.example"),
                             ("hours", "1000"), ("hours", "x"), ("proxy_host", "a b")]:
            with self.subTest(field=field):
                response, text = self.browser.post(f"{PAGE}/updates", {field: value})
                self.assertEqual(response.status, 422)
                self.assertIn(f'id="error-{field}"', text)


if __name__ == "__main__":
    unittest.main()
