"""A message on its whole way: SMTP in, scan, queue, SMTP out, audit log in the browser."""
import re
import smtplib
import ssl
import subprocess
import unittest

from stack import EICAR, Stack, unique, wait_until

VERDICT = "SELECT m.verdict, m.action, r.state, r.reply FROM audit_message m JOIN audit_recipient r" \
          " ON r.message_id = m.id WHERE m.subject = '{}' ORDER BY r.idx"


class FirstMail(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.addClassCleanup(cls.stack.close)
        with cls.stack.logs_of_failure():
            cls.stack.set_route("example.test")
            cls.browser = cls.stack.administrator()

    def outcome(self, subject):
        self.stack.wait_for_empty_queue()
        return self.stack.postgres.query(VERDICT.format(subject))

    def in_sink(self, subject):
        mark = f"Subject: {subject}".encode()
        return [m for m in self.stack.sink.copy() if mark in m[2]]

    def set_policy(self, virus):
        version = self.stack.mta_status()["configuration_version"]
        response, text = self.browser.post("/malware/policy", {"virus": virus,
                                                               "unscannable": "deliver"})
        self.assertEqual(response.status, 303, text)
        wait_until("the policy runs",
                   lambda: self.stack.mta_status().get("configuration_version", 0) > version)

    def send_virus(self, subject):
        return self.stack.send("sender@client.test", ["victim@example.test"],
                               f"Subject: {subject}\r\n\r\n{EICAR}\r\n")

    def test_ehlo_answers_exactly(self):
        with smtplib.SMTP("127.0.0.1", self.stack.inbound, timeout=30) as client:
            client.docmd("NOOP")
            peer = client.sock.getsockname()
            code, text = client.docmd("EHLO", "client.test")
            lines = text.decode().split("\n")
            self.assertEqual(code, 250)
            self.assertEqual(lines[0], f"mx1.test says EHLO to {peer[0]}:{peer[1]}")
            self.assertRegex(lines[1], r"^SIZE \d+$")
            self.assertEqual(lines[2:4], ["8BITMIME", "ENHANCEDSTATUSCODES"])
            self.assertEqual(lines[-2:], ["STARTTLS", "PIPELINING"])
            self.assertEqual(client.docmd("EHLO"), (500, b"5.5.2 unrecognized command"))

    def test_starttls_shows_a_certificate_of_the_host_name(self):
        for port in (self.stack.inbound, self.stack.outbound):
            with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
                client.ehlo("client.test")
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                self.assertEqual(client.starttls(context=context)[0], 220)
                shown = ssl.DER_cert_to_PEM_cert(client.sock.getpeercert(True))
                done = subprocess.run(["openssl", "x509", "-noout", "-checkhost", "mx1.test"],
                                      input=shown, capture_output=True, text=True)
                self.assertIn("does match certificate", done.stdout)

    def test_clean_message_is_delivered_and_on_record(self):
        subject = unique()
        code, _ = self.stack.send("a@client.test", ["b@example.test", "c@example.test"],
                                  f"Subject: {subject}\r\n\r\nHello\r\n.dot\r\n")
        self.assertEqual(code, 250)
        message = wait_until("the sink has it", lambda: self.in_sink(subject))[0]
        self.assertEqual(message[:2], ("a@client.test", ["b@example.test", "c@example.test"]))
        self.assertTrue(message[2].endswith(b"\r\n\r\nHello\r\n.dot\r\n"), message[2])
        self.assertTrue(message[2].startswith(b"Received: from client.test"), message[2])
        rows = self.outcome(subject)
        self.assertEqual([row[0:3] for row in rows], [["clean", "deliver", "delivered"]] * 2)
        self.assertIn("250 2.0.0 Ok", rows[0][3])

    def test_audit_log_finds_the_message_in_the_browser(self):
        subject = "Grüße " + unique()
        self.stack.send("a@client.test", ["b@example.test"],
                        f"Subject: {subject}\r\n\r\nHello\r\n")
        self.stack.wait_for_empty_queue()
        page = self.browser.get("/audit?subject=" + subject.split()[1])
        self.assertIn(subject, page)
        link = re.search(r'href="(/audit/[0-9a-f-]{36})"', page)[1]
        page = self.browser.get(link)
        self.assertIn("b@example.test", page)
        self.assertIn("250 2.0.0 Ok", page)

    def test_virus_is_deleted_by_default(self):
        subject = unique()
        code, _ = self.send_virus(subject)
        self.assertEqual(code, 250)
        self.assertEqual([row[:3] for row in self.outcome(subject)],
                         [["virus", "delete", "deleted"]])
        self.assertFalse(self.in_sink(subject))

    def test_virus_policy_of_the_console_reject_then_deliver_with_header(self):
        try:
            self.set_policy("reject")
            subject = unique()
            code, text = self.send_virus(subject)
            self.assertEqual((code, text[:5]), (554, b"5.7.1"))
            self.assertEqual(self.outcome(subject)[0][:3], ["virus", "reject", "rejected"])
            self.set_policy("deliver")
            subject = unique()
            self.assertEqual(self.send_virus(subject)[0], 250)
            message = wait_until("the sink has it", lambda: self.in_sink(subject))[0]
            self.assertIn(b"X-Gatehouse-Verdict: virus", message[2])
        finally:
            self.set_policy("delete")

    def test_swaks_is_served_on_both_listeners(self):
        for port in (self.stack.inbound, self.stack.outbound):
            subject = unique()
            done = subprocess.run(
                ["swaks", "--server", f"127.0.0.1:{port}", "--from", "a@client.test", "--to",
                 "b@example.test", "--header", f"Subject: {subject}", "--body", "Hello",
                 "--timeout", "30"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            wait_until("the sink has it", lambda: self.in_sink(subject))

    def test_other_domains_are_not_relayed_from_outside(self):
        with self.assertRaises(smtplib.SMTPRecipientsRefused) as caught:
            self.stack.send("a@client.test", ["b@elsewhere.test"], "Subject: x\r\n\r\n")
        self.assertEqual(caught.exception.recipients["b@elsewhere.test"][0], 550)

    def test_aborted_session_is_on_record(self):
        sender = f"{unique()}@client.test"
        client = smtplib.SMTP("127.0.0.1", self.stack.inbound, timeout=30)
        client.ehlo("client.test")
        client.mail(sender)
        client.rcpt("b@example.test")
        client.close()
        def found():
            return self.stack.postgres.query(
                f"SELECT action FROM audit_message WHERE sender = '{sender}'")
        self.assertEqual(wait_until("the event is in", found), [["message aborted"]])


if __name__ == "__main__":
    unittest.main()
