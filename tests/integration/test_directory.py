"""Recipients and passwords by a directory: set up in the console, asked over SMTP."""
import html.parser
import json
import os
import re
import subprocess
import unittest

from directory_server import BASE, READER, READER_PASSWORD, DirectoryServer
from stack import Stack, wait_until

PEOPLE = {
    "alice": ("wonderland", "mailLocalAddress: a.smith@example.test"),
    "bob": ("b(u*i)lder\\", "mailRoutingAddress: robert@example.test"),
}
LOCAL_USER = "printer@example.test"
LOCAL_PASSWORD = "correct horse paper tray"


class FormValues(html.parser.HTMLParser):
    """What a browser would send of the form that posts to `action`."""

    def __init__(self, text, action):
        super().__init__()
        self.action, self.inside, self.values = action, False, {}
        self.select = self.area = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        name = values.get("name")
        if tag == "form":
            self.inside = values.get("method") == "post" and values.get("action") == self.action
        if not self.inside:
            return
        if tag == "input" and name:
            if values.get("type") not in ("radio", "checkbox", "submit") or "checked" in values:
                self.values[name] = values.get("value", "")
        elif tag == "select":
            self.select = name
        elif tag == "option" and self.select:
            if "selected" in values or self.select not in self.values:
                self.values[self.select] = values.get("value", "")
        elif tag == "textarea":
            self.area = name
            self.values[name] = ""

    def handle_data(self, data):
        if self.inside and self.area:
            self.values[self.area] += data

    def handle_endtag(self, tag):
        if tag == "form" and self.inside:
            self.inside = False
            self.action = "the form has been read"
        self.select = None if tag == "select" else self.select
        self.area = None if tag == "textarea" else self.area


class Directory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.addClassCleanup(cls.stack.close)
        with cls.stack.logs_of_failure():
            cls.server = DirectoryServer(os.path.join(cls.stack.folder, "slapd"), PEOPLE)
            cls.addClassCleanup(cls.server.stop)
            cls.stack.set_route("example.test")
            cls.browser = cls.stack.administrator()
            cls.set_up_directory()

    # --- the console ---

    @classmethod
    def fill_in(cls, path, fields):
        values = FormValues(cls.browser.get(path), path).values
        assert "csrf" in values, f"{path} has no such form"
        response, text = cls.browser.request("POST", path, {**values, **fields})
        assert response.status == 303, f"{path}: {response.status} {re.findall('invalid.*', text)}"

    @classmethod
    def source(cls):
        return {"name": "People", "server": cls.server.uri, "alternate": cls.server.uri,
                "bind_dn": READER, "bind_password": READER_PASSWORD, "base_dn": BASE,
                "domains": "example.test", "timeout_seconds": "3", "cache_seconds": "600",
                "negative_cache_seconds": "60",
                "authentication": "on", "authentication_filter": "(uid=%u)",
                "recipients": "on", "recipients_filter": "(|(mail=%s)(mailLocalAddress=%s))",
                "routing": "on", "routing_filter": "(mail=%s)", "routing_host": "mailHost",
                "routing_address": "mailRoutingAddress"}

    @classmethod
    def set_up_directory(cls):
        cls.fill_in("/directory/new", {**cls.source(), "do": "save"})
        cls.fill_in("/directory/users", {"name": LOCAL_USER, "password": LOCAL_PASSWORD,
                                         "again": LOCAL_PASSWORD})
        cls.fill_in("/smtp", {"outbound_auth": "required"})
        cls.fill_in("/domains/named/example.test", {"recipients": "reject"})
        wait_until("the directory is in use",
                   lambda: cls.status().get("users") == 1 and cls.status().get("sources"))
        wait_until("unknown recipients are refused",
                   lambda: cls.swaks("--to", "nobody@example.test")[0] == 550)

    @classmethod
    def status(cls):
        return cls.stack.ask("directory-control", op="status")

    # --- SMTP ---

    @classmethod
    def swaks(cls, *options, port=None):
        """The last reply's code, and the conversation."""
        done = subprocess.run(
            ["swaks", "--server", "127.0.0.1", "--port", str(port or cls.stack.inbound), "--from",
             "sender@client.test", "--helo", "client.test", "--timeout", "30", *options],
            capture_output=True, text=True, env={**os.environ, "HOME": cls.stack.folder})
        replies = [m for m in re.findall(r"^<[-~*]{1,2}\*?\*? +(\d{3}) .*$", done.stdout, re.M)
                   if m != "221"]
        return int(replies[-1]) if replies else 0, done.stdout + done.stderr

    def refused_with(self, address, pattern):
        code, text = self.swaks("--to", address, "--quit-after", "RCPT")
        self.assertRegex(text, pattern)
        return code

    def sign_in(self, user, password):
        return self.swaks("--to", "alice@example.test", "--tls", "--auth", "PLAIN", "--auth-user",
                          user, "--auth-password", password, port=self.stack.outbound)

    # --- recipients ---

    def test_known_recipients_are_taken_and_unknown_ones_are_not(self):
        self.assertEqual(self.swaks("--to", "alice@example.test")[0], 250)
        self.assertEqual(self.swaks("--to", "a.smith@example.test")[0], 250)
        self.assertEqual(self.refused_with("nobody@example.test", r"550 5\.1\.1"), 550)
        self.assertEqual(self.refused_with("*@example.test", r"550 5\.1\.1"), 550)
        self.stack.wait_for_empty_queue()

    def test_mail_goes_to_the_address_that_the_directory_names(self):
        self.assertEqual(self.swaks("--to", "bob@example.test", "--header",
                                    "Subject: for robert")[0], 250)
        self.stack.wait_for_empty_queue()
        delivered = [recipients for _, recipients, content in self.stack.sink.copy()
                     if b"Subject: for robert" in content]
        self.assertEqual(delivered, [["robert@example.test"]])

    def test_a_server_that_is_away_defers_mail_and_never_refuses_it(self):
        self.assertEqual(self.swaks("--to", "alice@example.test")[0], 250)
        self.server.stop()
        try:
            self.assertEqual(self.refused_with("stranger@example.test", r"451 "), 451)
            self.assertEqual(self.refused_with("a.stranger@example.test", r"451 "), 451)
            self.assertEqual(self.swaks("--to", "alice@example.test")[0], 250)  # remembered
            self.assertFalse(self.status()["sources"][0]["answers"])
        finally:
            self.server.start()
        wait_until("the server is asked again", lambda: self.swaks(
            "--to", "stranger@example.test", "--quit-after", "RCPT")[0] == 550)

    def test_a_killed_directory_process_comes_back_and_no_recipient_becomes_unknown(self):
        before = self.stack.service_pid("directory")
        os.kill(before, 9)
        code, text = self.swaks("--to", "alice@example.test")
        self.assertIn(code, (250, 451), text)
        wait_until("it runs again",
                   lambda: self.stack.service_pid("directory") not in (0, before))
        wait_until("it answers", lambda: self.swaks("--to", "alice@example.test")[0] == 250)

    # --- passwords ---

    def test_people_of_the_directory_and_local_users_sign_in(self):
        for user, password in (("alice", "wonderland"), ("bob", PEOPLE["bob"][0]),
                               (LOCAL_USER, LOCAL_PASSWORD)):
            code, text = self.sign_in(user, password)
            self.assertEqual(code, 250, text)
            self.assertIn("235 2.7.0", text)
        self.stack.wait_for_empty_queue()

    def test_wrong_passwords_do_not(self):
        for user, password in (("alice", "wrong"), ("*", "wonderland"), (LOCAL_USER, "wrong"),
                               ("mallory", "wonderland")):
            code, text = self.sign_in(user, password)
            self.assertIn("535 5.7.8", text)

    def test_nobody_sends_without_signing_in(self):
        code, text = self.swaks("--to", "alice@example.test", "--tls", port=self.stack.outbound)
        self.assertEqual(code, 530, text)

    # --- what is told of it ---

    def test_no_secret_stands_in_a_log(self):
        self.sign_in("alice", "wonderland")
        for path, text in self.stack.logs():
            for secret in ("wonderland", READER_PASSWORD, LOCAL_PASSWORD):
                self.assertNotIn(secret, text, path)

    def test_the_control_center_is_told_how_the_sources_are(self):
        told = wait_until("the status has come", lambda: json.loads(self.stack.postgres.value(
            "SELECT status FROM scanner") or "{}").get("directory"))
        self.assertEqual(told["users"], 1)
        self.assertEqual([source["name"] for source in told["sources"]], ["People"])


if __name__ == "__main__":
    unittest.main()
