"""Custom signatures and freshclam: from the console to a message that is found."""
import glob
import json
import os
import threading
import time
import unittest
import uuid

from stack import Stack, unique, wait_until

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
        from stack import Forms
        return Forms(self.browser.get(PAGE)).hidden["csrf"]

    def raw_post(self, path, body, kind):
        import http.client
        connection = http.client.HTTPSConnection("127.0.0.1", self.browser.port,
                                                 context=self.browser.context, timeout=60)
        cookies = "; ".join(f"{k}={v}" for k, v in self.browser.cookies.items())
        connection.request("POST", path, body, {"Cookie": cookies, "Content-Type": kind})
        response = connection.getresponse()
        return response, response.read().decode()

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


if __name__ == "__main__":
    unittest.main()
