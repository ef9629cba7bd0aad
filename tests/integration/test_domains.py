"""Domains, aliases, masquerades and bounce tags: from the console to what is seen by SMTP."""
import base64
import csv
import http.client
import io
import json
import smtplib
import threading
import time
import unittest

from stack import Forms, Stack, unique, wait_until

COUNT = 10000
SESSIONS = 50


def upload(browser, path, fields, name, content):
    """Sends the form of that page with a file, as a browser does."""
    boundary = unique()
    parts = {**Forms(browser.get(path)).hidden, **fields}
    body = b"".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n'
                    f"{value}\r\n".encode() for field, value in parts.items())
    body += (f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
             "Content-Type: text/csv\r\n\r\n").encode() + content + f"\r\n--{boundary}--\r\n".encode()
    connection = http.client.HTTPSConnection("127.0.0.1", browser.port, context=browser.context,
                                             timeout=60)
    connection.request("POST", path, body, {
        "Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items()),
        "Content-Type": f"multipart/form-data; boundary={boundary}"})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


class Session(threading.Thread):
    """One SMTP session that stays open and sends a message about every second."""

    def __init__(self, stack, number):
        super().__init__(daemon=True)
        self.stack = stack
        self.source = (f"127.0.0.{10 + number % 10}", 0)  # there is a limit for each address
        self.ending = threading.Event()
        self.messages = 0
        self.slowest = 0.0
        self.problem = None

    def run(self):
        try:
            with smtplib.SMTP("127.0.0.1", self.stack.inbound, timeout=60,
                              source_address=self.source) as client:
                client.ehlo("client.test")
                while not self.ending.wait(1):
                    self.exchange(client)
        except (OSError, smtplib.SMTPException) as problem:
            self.problem = repr(problem)

    def exchange(self, client):
        for command in (lambda: client.mail("a@client.test"), lambda: client.rcpt("b@example.test"),
                        client.noop):
            begun = time.monotonic()
            code, text = command()
            self.slowest = max(self.slowest, time.monotonic() - begun)
            if code != 250:
                raise smtplib.SMTPResponseException(code, text)
        code, text = client.data(b"Subject: keeps going\r\n\r\nx\r\n")
        if code != 250:
            raise smtplib.SMTPResponseException(code, text)
        self.messages += 1


class Domains(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.addClassCleanup(cls.stack.close)
        with cls.stack.logs_of_failure():
            cls.stack.set_route("example.test")
            cls.browser = cls.stack.administrator()
            cls.relay = f"127.0.0.1:{cls.stack.sink.port}"
            response, text = cls.browser.post("/domains/default-route",
                                              {"kind": "relay", "relays": cls.relay})
            assert response.status == 303, text
            cls.wait_for_configuration()

    @classmethod
    def wait_for_configuration(cls):
        """Until the scanner runs the newest version; returns the seconds that took."""
        begun = time.monotonic()
        wanted = int(cls.stack.postgres.value("SELECT version FROM configuration_version"))
        wait_until("the newest configuration runs", lambda: cls.stack.mta_status().get(
            "configuration_version", 0) >= wanted, 30, 0.02)
        return time.monotonic() - begun

    def save(self, path, fields, form=None):
        response, text = self.browser.post(path, fields, form)
        self.assertEqual(response.status, 303, text)
        return self.wait_for_configuration()

    def reply_to(self, recipient, sender="a@client.test"):
        with smtplib.SMTP("127.0.0.1", self.stack.inbound, timeout=30) as client:
            client.ehlo("client.test")
            client.mail(sender)
            return client.rcpt(recipient)[0]

    def arrived(self, subject):
        mark = f"Subject: {subject}".encode()
        found = []
        for sender, recipients, content in self.stack.sink.copy():
            if mark in content:
                found.append((sender, sorted(recipients), content.decode()))
        return found

    def wait_for(self, subject, recipients):
        """Until all recipients have the message; returns what came, in one or more copies."""
        def complete():
            found = self.arrived(subject)
            return sorted(r for _, rs, _ in found for r in rs) == sorted(recipients) and found
        return wait_until(f"{subject} is delivered to {recipients}", complete)

    def set_bounce_protection(self, mode):
        value = {"mode": mode, "days": 7, "keys": [
            {"number": 1, "secret": base64.b64encode(b"0123456789abcdef").decode()}]}
        self.stack.postgres.query(
            "INSERT INTO setting (key, value) VALUES ('bounce_protection', '" + json.dumps(value) +
            "') ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value;"
            " UPDATE configuration_version SET version = version + 1;"
            " SELECT pg_notify('configuration_changed', '')")
        self.wait_for_configuration()

    # --- ten thousand domains ---

    def import_domains(self):
        file = "name,route,relays\r\n" + "".join(
            f"d{i:05d}.test,relay,{self.relay}\r\n" for i in range(COUNT))
        begun = time.monotonic()
        status, text = upload(self.browser, "/domains/import", {"mode": "merge"}, "domains.csv",
                              file.encode())
        saved = time.monotonic() - begun
        self.assertEqual(status, 200, text[:2000])
        self.assertIn("<dt>Added</dt><dd>10,000</dd>", text)
        print(f"import of {COUNT:,} domains: {saved:.1f} s, then "
              f"{self.wait_for_configuration():.2f} s until the scanner runs them")

    def check_export(self):
        rows = list(csv.DictReader(io.StringIO(self.browser.get("/domains/export"))))
        known = {row["name"]: row["relays"] for row in rows if row["name"] != "old.test"}
        self.assertEqual(known, {"example.test": self.relay, **{
            f"d{i:05d}.test": self.relay for i in range(COUNT)}})

    def test_ten_thousand_domains_come_and_go_while_sessions_run(self):
        sessions = [Session(self.stack, i) for i in range(SESSIONS)]
        for session in sessions:
            session.start()
        wait_until("all sessions send", lambda: all(s.messages for s in sessions), 60)
        self.assertGreaterEqual(self.reply_to("x@d00042.test"), 500)
        self.import_domains()
        self.assertEqual(self.reply_to("x@d00042.test"), 250)
        self.check_export()
        took = self.save("/domains/named/d00042.test", {"kind": "relay", "relays": self.relay,
                                                        "recipients": "any", "tls": "off"})
        print(f"edit of one domain of {COUNT:,}: {took:.2f} s from saved to running")
        self.save("/domains/named/d00043.test/remove", {})
        self.assertGreaterEqual(self.reply_to("x@d00043.test"), 500)
        self.assertEqual(self.reply_to("x@d00042.test"), 250)
        before = sum(s.messages for s in sessions)
        wait_until("all sessions go on", lambda: sum(s.messages for s in sessions) >
                   before + SESSIONS, 60)
        for session in sessions:
            session.ending.set()
        for session in sessions:
            session.join(60)
        self.assertEqual([s.problem for s in sessions if s.problem], [])
        print(f"{SESSIONS} sessions, {sum(s.messages for s in sessions)} messages, slowest reply "
              f"{max(s.slowest for s in sessions):.2f} s")
        subject = unique()
        self.stack.send("a@client.test", ["x@d09999.test"], f"Subject: {subject}\r\n\r\nx\r\n")
        self.wait_for(subject, ["x@d09999.test"])

    # --- aliases and masquerades ---

    def test_an_alias_becomes_its_addresses(self):
        subject = unique()
        self.save("/aliases/new", {"key": "all@example.test",
                                   "to": "one@example.test\ntwo@example.test"})
        self.stack.send("a@client.test", ["All@Example.test"], f"Subject: {subject}\r\n\r\nx\r\n")
        self.wait_for(subject, ["one@example.test", "two@example.test"])

    def test_a_domain_that_stands_for_another_moves_its_mail(self):
        subject = unique()
        self.save("/domains/new", {"name": "old.test", "kind": "mx", "recipients": "any",
                                   "alias_of": "example.test"})
        self.stack.send("a@client.test", ["Some.One@old.test"], f"Subject: {subject}\r\n\r\nx\r\n")
        self.wait_for(subject, ["Some.One@example.test"])

    def test_outbound_mail_shows_masqueraded_addresses(self):
        subject = unique()
        self.save("/masquerades/new", {"key": "@inside.test", "to": "@example.test"})
        content = (f'From: "Anna, inside" <Anna@inside.test>\r\nTo: other@far.test\r\n'
                   f"Subject: {subject}\r\n\r\nanna@inside.test\r\n")
        self.stack.send("anna@inside.test", ["other@far.test"], content, self.stack.outbound)
        [(sender, _, text)] = self.wait_for(subject, ["other@far.test"])
        self.assertEqual(sender, "anna@example.test")
        self.assertIn('From: "Anna, inside" <Anna@example.test>\r\n', text)
        self.assertIn("\r\n\r\nanna@inside.test\r\n", text)

    # --- bounce tags ---

    def test_bounces_come_back_to_tagged_senders_only(self):
        subject = unique()
        self.set_bounce_protection("enforce")
        try:
            self.stack.send("anna@example.test", ["other@far.test"],
                            f"Subject: {subject}\r\n\r\nx\r\n", self.stack.outbound)
            [(sender, _, _)] = self.wait_for(subject, ["other@far.test"])
            self.assertRegex(sender, r"^prvs=1\d{3}[0-9a-f]{6}=anna@example\.test$")
            self.assertGreaterEqual(self.reply_to("anna@example.test", ""), 500)
            self.assertGreaterEqual(self.reply_to(sender.replace("anna", "bert"), ""), 500)
            self.assertEqual(self.reply_to("anna@example.test"), 250)
            returned = unique()
            self.stack.send("", [sender], f"Subject: {returned}\r\n\r\nx\r\n")
            self.wait_for(returned, ["anna@example.test"])
        finally:
            self.set_bounce_protection("off")


if __name__ == "__main__":
    unittest.main(verbosity=2)
