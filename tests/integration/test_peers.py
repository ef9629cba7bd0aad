"""Mail to and from other servers: each relays to Gatehouse, and Gatehouse delivers to each."""
import collections
import os
import re
import shutil
import smtplib
import subprocess
import unittest

import peers
from stack import ROOT, Process, free_ports, unique, wait_until

SOURCE, SINK = (shutil.which(name, path="/usr/sbin:/usr/bin") for name in
                ("smtp-source", "smtp-sink"))
SWAKS = shutil.which("swaks")
BURST = 300
LARGE = 8 << 20
RECIPIENTS = 300
SENDER = "a@client.test"

scene = None


def setUpModule():
    global scene
    scene = peers.Scene()


def tearDownModule():
    scene.close()


def make_message(mark, body, subject="what was said"):
    return (f"X-Mark: {mark}\r\nFrom: <{SENDER}>\r\nTo: <b@example.test>\r\n"
            f"Subject: {subject}\r\nDate: Wed, 25 Nov 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{mark}@client.test>\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
            "\r\n").encode() + body


class Way:
    """What holds whichever of the two is the client: mail goes to `port` for `domain` and ends in
    the sink."""
    kind = None  # of peers.py

    @classmethod
    def setUpClass(cls):
        cls.peer = scene.start(cls.kind)
        cls.find_way()

    @classmethod
    def tearDownClass(cls):
        cls.peer.close()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"--- {self.peer.name}\n{self.peer.log()[-4000:]}")
            scene.stack.show_logs()

    def send(self, messages, recipients, mail_options=(), rcpt_options=(), sender=SENDER):
        """All over one session."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
            client.ehlo("client.test")
            for message in messages:
                client.sendmail(sender, recipients, message, mail_options, rcpt_options)

    def check_arrival(self, mark, body, recipients):
        """Once for each recipient, and every byte of it."""
        expected = collections.Counter(recipients)
        wait_until(f"{len(recipients)} recipients have it",
                   lambda: scene.recipients_in_sink(mark).total() >= len(recipients), 40)
        self.assertEqual(scene.recipients_in_sink(mark), expected)
        for _, _, content in scene.in_sink(mark):
            self.assertTrue(content.endswith(b"\r\n\r\n" + body), content[-200:])

    def address(self, name="b"):
        return f"{name}@{self.domain}"

    def test_text_arrives_as_it_was_and_over_tls_where_the_server_can(self):
        mark = unique()
        body = ("ä ö ü € 中文\r\n.\r\n..\r\n.dot\r\n" + "x" * 900 + "\r\n\r\n \r\n").encode()
        self.send([make_message(mark, body)], [self.address()], ["BODY=8BITMIME"])
        self.check_arrival(mark, body, [self.address()])
        self.check_tls(mark)

    def test_large_mail_arrives_as_it_was(self):
        mark = unique()
        body = (b"0123456789abcdef" * 4 + b"\r\n") * (LARGE // 66)
        self.send([make_message(mark, body)], [self.address()])
        self.check_arrival(mark, body, [self.address()])

    def test_many_recipients_get_it_once_each(self):
        mark, body = unique(), b"to all\r\n"
        everyone = [self.address(f"r{i}") for i in range(RECIPIENTS)]
        self.send([make_message(mark, body)], everyone)
        self.check_arrival(mark, body, everyone)

    def test_burst_arrives_once_each(self):
        marks = [unique() for _ in range(50)]
        self.send([make_message(mark, b"one of many\r\n") for mark in marks], [self.address()])
        for mark in marks:
            self.check_arrival(mark, b"one of many\r\n", [self.address()])

    def test_wishes_for_notifications_are_passed_on(self):
        mark, body = unique(), b"tell me\r\n"
        self.send([make_message(mark, body)], [self.address(mark)],
                  [f"ENVID={mark}", "RET=HDRS"],
                  ["NOTIFY=SUCCESS,FAILURE", f"ORCPT=rfc822;{mark}@first.test"])
        self.check_arrival(mark, body, [self.address(mark)])
        commands = [c for c in scene.stack.sink.commands if mark in c]
        mail, rcpt = (next(c for c in commands if c.startswith(word)) for word in ("MAIL", "RCPT"))
        self.assertIn(f"ENVID={mark}", mail)
        self.assertIn("RET=HDRS", mail)
        self.assertIn("SUCCESS", rcpt)
        self.assertIn("FAILURE", rcpt)
        self.assertIn(f"ORCPT=rfc822;{mark}@first.test", rcpt)

    def test_content_goes_in_chunks_where_both_can(self):
        mark, body = unique(), b"in one piece\r\n.\r\n"
        self.send([make_message(mark, body)], [self.address()])
        self.check_arrival(mark, body, [self.address()])
        if self.chunks_in_log():
            wait_until("the log tells of chunks",
                       lambda: re.search(self.chunks_in_log(), self.peer.log()))

    def send_internationalised(self, mark, body):
        """The code of the reply to MAIL; the rest is said where that is 250."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
            client.ehlo("client.test")
            client.command_encoding = "utf-8"
            client.esmtp_features["smtputf8"] = ""  # or smtplib would not even ask
            code = client.mail("jürgen@client.test", ["SMTPUTF8", "BODY=8BITMIME"])[0]
            if code == 250:
                self.assertEqual(client.rcpt(self.address("grüße"))[0], 250)
                self.assertEqual(client.data(make_message(mark, body, "Grüße"))[0], 250)
            return code

    def test_internationalised_mail_is_passed_on_where_the_peer_can(self):
        mark, body = unique(), "größe\r\n".encode()
        code = self.send_internationalised(mark, body)
        if not self.kind.has_utf8:
            self.check_not_internationalised(mark, code)
            return
        self.check_arrival(mark, body, [self.address("grüße")])
        self.assertEqual(scene.in_sink(mark)[0][0], "jürgen@client.test")
        self.assertTrue([c for c in scene.stack.sink.commands
                         if "jürgen" in c and "SMTPUTF8" in c])


class Client(Way):
    """The peer relays to Gatehouse."""

    @classmethod
    def find_way(cls):
        cls.port, cls.domain = cls.peer.port, "through.test"

    def chunks_in_log(self):
        return self.kind.chunks_sent_in_log

    def check_not_internationalised(self, mark, code):
        self.assertGreaterEqual(code, 500)

    def check_tls(self, mark):
        row = scene.ask_database("SELECT tls, protocol FROM audit_message WHERE header_message_id"
                                 f" LIKE '%{mark}%'")
        self.assertIn("TLSv1.", row[0])
        self.assertEqual(row[1], "ESMTPS")


class Server(Way):
    """Gatehouse delivers to the peer."""

    @classmethod
    def find_way(cls):
        cls.port, cls.domain = scene.stack.inbound, cls.peer.domain
        scene.stack.set_route(cls.domain, cls.peer.port)

    def check_tls(self, mark):
        row = self.delivery_of(mark, "delivered")
        if self.kind.has_tls:
            self.assertIn("TLSv1.", row[1])
        else:
            self.assertEqual(row[1], "", "the mail came in clear where TLS failed")

    def chunks_in_log(self):
        return self.kind.chunks_received_in_log

    def check_not_internationalised(self, mark, code):
        """It is told to the sender, never sent in a form that the peer would take for another."""
        self.assertEqual(code, 250)
        self.assertIn("553 5.6.7", self.delivery_of(mark, "bounced")[0])
        self.assertFalse(scene.in_sink(mark))

    def delivery_of(self, mark, state):
        return scene.ask_database(
            "SELECT r.reply, r.tls, r.attempts FROM audit_recipient r JOIN audit_message m ON m.id"
            f" = r.message_id WHERE m.header_message_id LIKE '%{mark}%' AND r.state = '{state}'")

    def test_temporary_refusal_is_tried_again_until_it_is_taken(self):
        mark, body = unique(), b"later\r\n"
        self.peer.refuse_later(True)
        self.send([make_message(mark, body)], [self.address("later")])
        self.assertIn("451", self.delivery_of(mark, "deferred")[0])
        self.peer.refuse_later(False)
        self.check_arrival(mark, body, [self.address("later")])
        self.assertGreater(int(self.delivery_of(mark, "delivered")[2]), 1)

    def test_refused_recipient_is_told_to_the_sender_and_the_others_get_it(self):
        mark, body = unique(), b"to whom\r\n"
        sender = f"{mark}@client.test"
        self.send([make_message(mark, body)], [self.address("nobody"), self.address()],
                  sender=sender)
        self.check_arrival(mark, body, [self.address()])
        def reports():
            return [m for m in scene.stack.sink.copy() if m[0] == "" and m[1] == [sender]]
        report = wait_until("the sender is told", reports)[0][2]
        self.assertIn(f"Final-Recipient: rfc822; {self.address('nobody')}".encode(), report)
        self.assertIn(b"Action: failed", report)
        self.assertIn(b"550", report)
        self.assertEqual(len(reports()), 1)


class PostfixAsClient(Client, unittest.TestCase):
    kind = peers.Postfix


class PostfixAsServer(Server, unittest.TestCase):
    kind = peers.Postfix


class OpenSmtpdAsClient(Client, unittest.TestCase):
    kind = peers.OpenSmtpd


class OpenSmtpdAsServer(Server, unittest.TestCase):
    kind = peers.OpenSmtpd


class EximAsClient(Client, unittest.TestCase):
    kind = peers.Exim


class EximAsServer(Server, unittest.TestCase):
    kind = peers.Exim


@unittest.skipUnless(SWAKS, "swaks is not there")
class Swaks(unittest.TestCase):
    def swaks(self, *arguments):
        mark = unique()
        done = subprocess.run(
            [SWAKS, "--server", f"127.0.0.1:{scene.stack.inbound}", "--from", SENDER, "--to",
             "b@through.test,c@through.test", "--header", f"X-Mark: {mark}", "--timeout", "30",
             *arguments], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        wait_until("both have it", lambda: scene.recipients_in_sink(mark).total() == 2)
        return done.stdout

    def test_tls_is_served(self):
        self.assertIn("=== TLS started", self.swaks("--tls"))

    def test_pipelined_commands_are_served(self):
        self.swaks("--pipeline")
        self.swaks("--pipeline", "--tls")

    def test_attachment_is_served(self):
        self.swaks("--tls", "--attach", "@" + os.path.join(ROOT, "docs", "architecture.md"))


@unittest.skipUnless(SOURCE and SINK, "smtp-source and smtp-sink are not there")
class SmtpSourceAndSink(unittest.TestCase):
    def test_every_message_passes(self):
        port = free_ports(1)[0]
        sink = Process([SINK, *(["-u", "nobody"] if os.geteuid() == 0 else []),
                        f"127.0.0.1:{port}", "100"], os.path.join(scene.folder, "smtp-sink"))
        self.addCleanup(sink.end)
        scene.stack.set_route("burst.test", port)
        done = subprocess.run(
            [SOURCE, "-s", "20", "-m", str(BURST), "-l", "4096", "-f", SENDER, "-t",
             "b@burst.test", f"127.0.0.1:{scene.stack.inbound}"], capture_output=True, text=True,
            timeout=240)
        self.assertEqual(done.returncode, 0, done.stderr)
        scene.ask_database("SELECT count(*) FROM audit_recipient WHERE state = 'delivered' AND"
                           " address = 'b@burst.test'", lambda row: row[0] == str(BURST), 60)


if __name__ == "__main__":
    unittest.main()
