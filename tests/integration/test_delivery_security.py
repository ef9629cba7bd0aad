"""TLS that the administrator demands of next hops: from the form to the mail and the audit log."""
import contextlib
import json
import os
import re
import ssl
import subprocess
import unittest

from stack import Sink, Stack, unique, wait_until


class TlsSink(Sink):
    """A next hop with STARTTLS, whose certificate is its own authority's."""

    def __init__(self, folder):
        self.certificate = os.path.join(folder, "sink.pem")
        key = os.path.join(folder, "sink.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=sink",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out",
                        self.certificate], check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, key)
        self.tls = True
        super().__init__()  # its messages are (sender, whether it came in TLS)

    def _serve(self, connection):
        with contextlib.suppress(OSError):
            connection.sendall(b"220 sink.test ESMTP\r\n")
            secure, sender = False, None
            while line := self._line(connection):
                word = line[:4].upper()
                if word == b"EHLO":
                    offer = b"250-STARTTLS\r\n" if self.tls and not secure else b""
                    connection.sendall(b"250-sink.test\r\n" + offer + b"250 8BITMIME\r\n")
                elif word == b"STAR":
                    connection.sendall(b"220 go on\r\n")
                    connection = self.context.wrap_socket(connection, server_side=True)
                    secure = True
                elif word == b"DATA":
                    connection.sendall(b"354 go on\r\n")
                    while self._line(connection) not in (b".", None):
                        pass
                    self.messages.append((sender, secure))
                    connection.sendall(b"250 2.0.0 Ok\r\n")
                else:
                    if word == b"MAIL":
                        sender = re.search(rb"<(.*?)>", line)[1].decode()
                    connection.sendall(b"250 2.0.0 Ok\r\n")
        connection.close()

    @staticmethod
    def _line(connection):
        line = b""
        while not line.endswith(b"\r\n"):
            byte = connection.recv(1)
            if not byte:
                return None
            line += byte
        return line[:-2]


class DeliverySecurity(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.addClassCleanup(cls.stack.close)
        cls.sink = TlsSink(cls.stack.folder)
        cls.addClassCleanup(cls.sink.close)
        cls.browser = cls.stack.administrator()
        cls.stack.set_route("tls.test", cls.sink.port)

    def demand(self, tls):
        """The policy of tls.test, by the form."""
        if "tls.test" in self.browser.get("/delivery-security"):
            self.browser.post("/delivery-security/policies/tls.test/remove", {},
                              "/delivery-security/policies/tls.test")
        response, text = self.browser.post(
            "/delivery-security/policies", {"policy_domain": "tls.test", "policy_tls": tls},
            "/delivery-security")
        self.assertEqual(response.status, 303, text)
        wait_until("the policy runs", lambda: self.runs(tls))

    def runs(self, tls):
        """Whether the mta runs a document with that policy: the file is there before it does."""
        with open(os.path.join(self.stack.state, "config", "current.json")) as file:
            document = json.loads(json.load(file)["document"])
        policies = document["smtp"].get("delivery", {}).get("tls_policies", [])
        policy = next((p["tls"] for p in policies if p["domain"] == "tls.test"), None)
        version = self.stack.mta_status().get("configuration_version")
        return policy == tls and version == document["version"]

    def send(self):
        """Returns the delivery event of a fresh message."""
        sender = f"{unique()}@client.test"
        self.stack.send(sender, ["b@tls.test"], "Subject: secret\r\n\r\nHello.\r\n")
        events = []

        def delivered():
            events[:] = json.loads(self.stack.postgres.value(
                "SELECT coalesce(jsonb_agg(e.payload), '[]') FROM audit_event e"
                " JOIN audit_message m ON m.id = e.message_id WHERE e.type = 'delivery'"
                f" AND m.sender = '{sender}'"))
            return events

        wait_until("the attempt is in the audit log", delivered, 60, 0.2)
        return sender, events[0]

    def test_demands_of_the_form_hold_for_the_mail(self):
        self.demand("required")
        sender, event = self.send()
        self.assertEqual((event["outcome"], event["security"]), ("delivered", "required"))
        self.assertIn((sender, True), self.sink.messages)

        self.demand("verified")
        sender, event = self.send()
        self.assertEqual(event["outcome"], "deferred")
        self.assertEqual(event["reply"], "451 4.7.5 [internal] the certificate of 127.0.0.1 is "
                                         "not trusted: self-signed certificate")
        self.assertNotIn(sender, [message[0] for message in self.sink.messages])

        self.sink.tls = False
        sender, event = self.send()
        self.assertEqual(event["reply"],
                         "451 4.7.4 [internal] 127.0.0.1 does not offer TLS (STARTTLS)")
        self.demand("opportunistic")
        sender, event = self.send()
        self.assertEqual(event["outcome"], "delivered")
        self.assertIsNone(event["security"])
        self.assertIn((sender, False), self.sink.messages)


if __name__ == "__main__":
    unittest.main()
