"""Varied mail: what comes out is byte for byte what went in, and each has its verdict."""
import glob
import os
import smtplib
import unittest

import made_messages
from stack import Stack, wait_until

TEST_FILES = "/usr/share/clamav-testfiles"


def after_trace(content):
    """The content without the header fields that Gatehouse put before it."""
    head, _, rest = content.partition(b"\r\n")
    if head.startswith(b"X-Gatehouse-Verdict: unscannable"):
        head, _, rest = rest.partition(b"\r\n")
    assert head.startswith(b"Received:"), content[:200]
    while rest[:1] in (b" ", b"\t"):
        rest = rest.partition(b"\r\n")[2]
    return rest


class Messages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.stack.set_route("example.test")

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def send_all(self, messages):
        """Over one session each twenty messages, as a busy client does."""
        client = None
        for i, (mark, _, content) in enumerate(messages):
            if i % 20 == 0:
                if client:
                    client.quit()
                client = smtplib.SMTP("127.0.0.1", self.stack.inbound, timeout=120)
                client.ehlo("client.test")
            client.mail(f"{mark}@client.test", ["BODY=8BITMIME"])
            client.rcpt("b@example.test")
            code, text = client.data(content)
            self.assertEqual(code, 250, f"{mark}: {text}")
        client.quit()

    def test_two_hundred_messages_arrive_as_they_were_sent_or_are_stopped(self):
        messages = list(made_messages.make())
        self.send_all(messages)
        through = {mark: content for mark, verdict, content in messages if verdict != "virus"}
        def arrived():
            return {m[0].partition("@")[0]: m[2] for m in self.stack.sink.copy()}
        wait_until("all but the viruses are delivered", lambda: set(through) <= set(arrived()), 120, 0.2)
        for mark, content in arrived().items():
            if mark in through:
                self.assertEqual(after_trace(content), through[mark], mark)
        self.stack.wait_for_events()
        rows = dict(self.stack.postgres.query(
            "SELECT split_part(sender, '@', 1), verdict FROM audit_message WHERE sender LIKE 'm%'"))
        self.assertEqual(rows, {mark: verdict for mark, verdict, _ in messages})
        self.assertEqual(set(arrived()) & {m for m, v, _ in messages if v == "virus"}, set())

    @unittest.skipUnless(os.path.isdir(TEST_FILES), f"{TEST_FILES} is not there")
    def test_files_of_clamav_testfiles_each_get_a_verdict(self):
        sent = []
        for path in sorted(glob.glob(TEST_FILES + "/*")):
            with open(path, "rb") as file:
                content = made_messages.with_parts(made_messages.random.Random(1), "files",
                                                   [(os.path.basename(path), file.read())])
            mark = f"t{len(sent)}"
            self.assertEqual(self.stack.send(f"{mark}@files.test", ["b@example.test"], content)[0],
                             250, path)
            sent.append(mark)
        self.stack.wait_for_events()
        rows = self.stack.postgres.query("SELECT split_part(sender, '@', 1), verdict FROM"
                                         " audit_message WHERE sender LIKE '%@files.test'")
        self.assertEqual(sorted(row[0] for row in rows), sorted(sent))
        self.assertLessEqual({row[1] for row in rows}, {"clean", "virus", "unscannable"})


if __name__ == "__main__":
    unittest.main()
