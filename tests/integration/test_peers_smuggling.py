"""No message within a message, whichever server stands before or behind Gatehouse.

What one server takes for the end of data and the next does not lets a sender forge mail of others
(CVE-2023-51764, CVE-2023-51765, CVE-2023-51766)."""
import contextlib
import re
import smtplib
import unittest

import peers
from stack import unique, wait_until

ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r.\n", b"\n.\r",
        b"\r\n\x00.\r\n", b"\r\n.\x00\r\n", b"\x00.\r\n", b"\r\r\n.\r\r\n", b"\n\n.\r\n",
        b"\r\n..\r\n", b"\r\n.\r\r\n", b"\n.\n\r\n", b"\r\n. \r\n", b"\n\x00.\n"]

scene = None


def setUpModule():
    global scene
    scene = peers.Scene()


def tearDownModule():
    scene.close()


def make_content(mark, end, number, domain):
    return (f"X-Mark: {mark}\r\nFrom: <a@client.test>\r\nSubject: outer\r\n"
            f"Date: Wed, 25 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{mark}@client.test>\r\n"
            "\r\ntext".encode() + end +
            f"MAIL FROM:<smuggled-{mark}-{number}@client.test>\r\nRCPT TO:<victim@{domain}>\r\n"
            "DATA\r\nSubject: inner\r\n\r\nforged\r\n".encode())


def say_raw(port, sender, recipient, content):
    """Content as it is, by DATA. Returns all that the server said to it; it may have been split."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.ehlo("client.test")
        client.mail(sender)
        client.rcpt(recipient)
        client.docmd("DATA")
        said = b""
        with contextlib.suppress(ConnectionError):  # some servers end the session over this
            client.send(content + b"\r\n.\r\n")
            said = client.file.readline()
            client.send(b"QUIT\r\n")
            said += client.file.read()
        return said


def say_chunk(port, sender, recipient, content):
    """Content as it is, by BDAT; returns the code."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.ehlo("client.test")
        client.mail(sender)
        client.rcpt(recipient)
        client.send(f"BDAT {len(content)} LAST\r\n".encode() + content)
        return client.getreply()[0]


def send_last(port, mark, recipient):
    """What was sent before is judged once this has arrived."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.sendmail("last@client.test", [recipient], f"X-Mark: {mark}\r\n\r\nthe last\r\n")
    wait_until("the last message is there", lambda: scene.in_sink(mark), 60)


def smuggled(text, mark):
    """The numbers of those that became messages of their own."""
    return set(re.findall(rf"smuggled-{mark}-(\d+)@", text))


def senders_in_sink():
    return " ".join(m[0] for m in scene.stack.sink.copy())


class Smuggling:
    kind = None

    @classmethod
    def setUpClass(cls):
        cls.peer = scene.start(cls.kind)
        scene.stack.set_route(cls.peer.domain, cls.peer.port)

    @classmethod
    def tearDownClass(cls):
        cls.peer.close()

    def test_nothing_that_the_server_behind_would_split_is_passed_on(self):
        mark, domain = unique(), self.peer.domain
        self.peer.revive()
        for number, end in enumerate(ENDS):
            with self.subTest(end=end):
                content = make_content(mark, end, number, domain)
                said = say_raw(scene.stack.inbound, "a@client.test", f"b@{domain}", content)
                # One reply to the content and one to QUIT.
                self.assertRegex(said, rb"\A(250|550) [^\r]*\r\n221 [^\r]*\r\n\Z")
                say_chunk(scene.stack.inbound, "a@client.test", f"b@{domain}", content + b"\r\n")
        send_last(scene.stack.inbound, unique(), f"b@{domain}")
        scene.stack.wait_for_empty_queue()
        self.assertEqual(smuggled(senders_in_sink(), mark), set())
        self.assertEqual(smuggled(self.peer.accepted_senders(), mark), set())

    def test_end_of_data_within_a_chunk_is_text_to_the_server_behind(self):
        mark, domain = unique(), self.peer.domain
        content = make_content(mark, b"\r\n.\r\n", 0, domain)
        self.assertEqual(say_chunk(scene.stack.inbound, "a@client.test", f"b@{domain}", content),
                         250)
        arrived = wait_until("it is there", lambda: scene.in_sink(mark), 30)
        self.assertEqual(len(arrived), 1)
        self.assertTrue(arrived[0][2].endswith(content), arrived[0][2])
        self.assertEqual(smuggled(senders_in_sink(), mark), set())

    def test_mail_of_the_server_before_is_not_split_further(self):
        """That server may split what it is given; Gatehouse takes no more messages than it sent."""
        mark = unique()
        for number, end in enumerate(ENDS):
            content = make_content(mark, end, number, "through.test")
            try:
                say_raw(self.peer.port, "a@client.test", "b@through.test", content)
            except (ConnectionError, smtplib.SMTPServerDisconnected):
                if not self.kind.dies_of_pipelining:
                    raise
            if self.kind.dies_of_pipelining:
                self.peer.revive()
        send_last(self.peer.port, unique(), "b@through.test")
        scene.stack.wait_for_empty_queue()
        self.assertLessEqual(smuggled(senders_in_sink(), mark),
                             smuggled(self.peer.accepted_senders(), mark))


class WithPostfix(Smuggling, unittest.TestCase):
    kind = peers.Postfix


class WithOpenSmtpd(Smuggling, unittest.TestCase):
    kind = peers.OpenSmtpd


class WithExim(Smuggling, unittest.TestCase):
    kind = peers.Exim


if __name__ == "__main__":
    unittest.main()
