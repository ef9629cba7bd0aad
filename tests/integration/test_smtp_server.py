"""The SMTP servers of a real mta with its real queue: what clients in front of it, users and the
directory make of a message, in the queue and in the audit events. A directory and an engine of the
test's own answer; delivery pauses, so every message waits in the queue."""
import base64
import contextlib
import json
import os
import smtplib
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import unittest

from stack import BUILD, Process, free_ports, wait_until

PROXY_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


class Directory:
    """Answers at run/directory.sock: knows `recipients` ({address: answer}) and `users`."""

    def __init__(self, path):
        self.path, self.recipients, self.users = path, {}, {}
        self.socket = self.peer = None

    def open(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(self.path)
        self.socket.listen()
        threading.Thread(target=self._serve, args=(self.socket,), daemon=True).start()

    def _serve(self, listener):
        with contextlib.suppress(OSError):
            while True:
                self.peer, _ = listener.accept()
                while question := self.peer.recv(65536):
                    self.peer.send(json.dumps({"answer": self._answer(json.loads(question))})
                                   .encode())

    def _answer(self, question):
        kind, content = next(iter(question.items()))
        answer = {"id": content["id"], "status": "unknown"}
        if kind == "password":
            if self.users.get(content["user"]) == content["password"]:
                answer.update(status="known", user=content["user"])
        elif content["address"] in self.recipients:
            answer.update(self.recipients[content["address"]], status="known")
        return answer

    def close(self):
        for one in (self.peer, self.socket):
            if one:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        self.peer = self.socket = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


class Engine:
    """Finds every message clean."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(path)
        self.socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self.socket.accept()[0],),
                                 daemon=True).start()

    @staticmethod
    def _serve(worker):
        signatures = {"source": "builtin", "version": 1, "count": 1,
                      "built_at": "2026-01-31T12:00:00.000Z"}
        with contextlib.suppress(OSError), worker:
            worker.send(json.dumps({"hello": {"pid": 1, "signatures": signatures}}).encode())
            while True:
                order, descriptors, _, _ = socket.recv_fds(worker, 65536, 1)
                if not order:
                    return
                for one in descriptors:
                    os.close(one)
                result = {"id": json.loads(order)["scan"]["id"], "verdict": "clean",
                          "verdicts": ["clean"], "threats": [], "reason": "", "subject": "x",
                          "from": "", "message_id": "", "parts": 1, "elapsed_us": 1}
                worker.send(json.dumps({"result": result}).encode())

    def close(self):
        self.socket.close()


class Mta:
    """gatehouse-mta alone, with a configuration that the test signs."""

    def __init__(self):
        self.holder = tempfile.TemporaryDirectory(prefix="gatehouse-smtp-")
        self.state = self.holder.name
        for folder in ("config", "run", "queue"):
            os.mkdir(os.path.join(self.state, folder), 0o700)
        self.inbound, self.outbound, self.proxied = free_ports(3)
        self.directory = Directory(self.path("run/directory.sock"))
        self.engine = Engine(self.path("run/engine.sock"))
        self.version = 0
        self.process = None
        self._make_keys()

    def path(self, name):
        return os.path.join(self.state, name)

    def _openssl(self, *arguments):
        return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout

    def _make_keys(self):
        self._openssl("genpkey", "-algorithm", "ed25519", "-out", self.path("signing.pem"))
        public = self._openssl("pkey", "-in", self.path("signing.pem"), "-pubout", "-outform",
                               "DER")[-32:]
        with open(self.path("config/configuration.pub"), "wb") as file:
            file.write(base64.b64encode(public))
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-subj", "/CN=mx.test", "-days", "2", "-keyout",
                      self.path("tls.key"), "-out", self.path("tls.pem"))

    def _read(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def document(self):
        listener = {"address": "127.0.0.1"}
        return {
            "format": 1, "version": self.version, "host_name": "mx.test",
            "scanner_id": "01890000-0000-7000-8000-000000000000",
            "issued_at": "2026-01-31T12:00:00.000Z",
            "smtp": {
                "inbound": {"listeners": [{**listener, "port": self.inbound},
                                          {**listener, "port": self.proxied,
                                           "proxy_protocol": True}],
                            "deliver": False,
                            "proxy_networks": ["127.0.0.0/8"]},
                "outbound": {"listeners": [{**listener, "port": self.outbound,
                                            "implicit_tls": True}],
                             "auth": "required", "deliver": False},
                "tls": {"certificate": self._read("tls.pem"), "key": self._read("tls.key")}},
            "domains": [{"name": name, "recipients": recipients, "route": {"kind": "mx"}}
                        for name, recipients in (("any.test", "any"), ("drop.test", "drop"),
                                                 ("reject.test", "reject"))]}

    def configure(self, **inbound):
        self.version += 1
        document = self.document()
        document["smtp"]["inbound"].update(inbound)
        text = json.dumps(document)
        with open(self.path("document"), "w") as file:
            file.write(text)
        signature = self._openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path("signing.pem"),
                                  "-in", self.path("document"))
        with open(self.path("config/current.json"), "w") as file:
            json.dump({"document": text, "signature": base64.b64encode(signature).decode()}, file)
        if self.process:
            self.ask(op="reload")

    def start(self):
        self.configure()
        self.process = Process([os.path.join(BUILD, "scanner/mta/gatehouse-mta"), "--state",
                                self.state], self.path("log"))
        wait_until("the mta runs", self._is_up)

    def _is_up(self):
        with contextlib.suppress(OSError, smtplib.SMTPException):
            with smtplib.SMTP("127.0.0.1", self.inbound, timeout=5):
                return True
        return False

    def ask(self, **request):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(self.path("run/mta.sock"))
            text = json.dumps(request).encode()
            connection.sendall(struct.pack(">I", len(text)) + text)
            with connection.makefile("rb") as file:
                return json.loads(file.read(struct.unpack(">I", file.read(4))[0]))

    def events(self, after=0):
        return self.ask(op="events", after=after, max=1000, wait_ms=0)["events"]

    def last(self):
        return self.ask(op="status")["last_seq"]

    def queued(self):
        return self.ask(op="queue_list", filter={}, after="", limit=100)["messages"]

    def close(self):
        status = self.process.end() if self.process else 0
        self.directory.close()
        self.engine.close()
        self.log = self._read("log")
        self.holder.cleanup()
        return status


class SmtpServer(unittest.TestCase):
    def setUp(self):
        self.mta = Mta()
        self.addCleanup(self.end)
        self.mta.directory.open()
        self.mta.start()
        self.before = self.mta.last()

    def end(self):
        status = self.mta.close()
        self.assertEqual(status, 0, self.mta.log)
        self.assertNotIn("Sanitizer", self.mta.log)
        self.assertNotIn("wonderland", self.mta.log)

    def client(self, port=None):
        client = smtplib.SMTP("127.0.0.1", port or self.mta.inbound, timeout=20)
        self.addCleanup(client.close)
        client.ehlo("client.test")
        return client

    def user(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = smtplib.SMTP_SSL("127.0.0.1", self.mta.outbound, timeout=20, context=context)
        self.addCleanup(client.close)
        client.ehlo("client.test")
        return client

    def events(self, kind, count=1):
        def look():
            found = [one for one in self.mta.events(self.before) if one["type"] == kind]
            return found if len(found) >= count else None
        return wait_until(f"{count} events {kind}", look)

    def test_unknown_recipients_are_deleted_on_record_and_the_others_are_queued(self):
        self.mta.directory.recipients["b@drop.test"] = {}
        client = self.client()
        client.mail("a@sender.test")
        for name in ("x", "b", "y"):
            self.assertEqual(client.rcpt(f"{name}@drop.test")[0], 250)
        self.assertEqual(client.data(b"Subject: x\r\n\r\nx\r\n")[0], 250)
        received = self.events("received")[0]
        self.assertEqual(received["recipients"], ["b@drop.test", "x@drop.test", "y@drop.test"])
        action = self.events("action")[0]
        self.assertEqual((action["action"], action["policy"], action["recipients"], action["id"]),
                         ("delete", "recipients.unknown", [1, 2], received["id"]))
        queued = self.mta.queued()
        self.assertEqual([one["address"] for one in queued[0]["recipients"]], ["b@drop.test"])
        self.assertEqual(queued[0]["id"], received["id"])

    def test_a_message_for_nobody_but_unknown_recipients_is_on_record_and_not_queued(self):
        client = self.client()
        client.mail("a@sender.test")
        client.rcpt("x@drop.test")
        code, text = client.data(b"Subject: x\r\n\r\nx\r\n")
        self.assertEqual((code, text[:19]), (250, b"2.0.0 Ok: queued as"))
        self.assertEqual(self.events("action")[0]["recipients"], [0])
        self.assertEqual(self.mta.queued(), [])

    def test_the_route_of_the_directory_stays_with_the_queued_recipient(self):
        self.mta.directory.recipients["b@reject.test"] = {"address": "b@inner.test",
                                                          "route": "127.0.0.1:2526"}
        client = self.client()
        client.mail("a@sender.test")
        self.assertEqual(client.rcpt("b@reject.test")[0], 250)
        self.assertEqual(client.rcpt("x@reject.test")[0], 550)
        client.data(b"Subject: x\r\n\r\nx\r\n")
        recipient = self.mta.queued()[0]["recipients"][0]
        self.assertEqual((recipient["address"], recipient["route"]),
                         ("b@inner.test", "127.0.0.1:2526"))

    def test_a_directory_that_is_away_defers_recipients_and_passwords(self):
        self.mta.directory.close()
        client = self.client()
        client.mail("a@sender.test")
        code, text = client.rcpt("b@reject.test")
        self.assertEqual((code, text[:5]), (451, b"4.4.3"))
        self.assertEqual(client.rcpt("b@any.test")[0], 250)
        with self.assertRaises(smtplib.SMTPAuthenticationError) as caught:
            self.user().login("alice", "wonderland")
        self.assertEqual(caught.exception.smtp_code, 454)

    def test_who_signed_in_may_send_and_is_named(self):
        self.mta.directory.users["alice"] = "wonderland"
        client = self.user()
        self.assertEqual(client.mail("a@any.test")[0], 530)
        client.login("alice", "wonderland")
        client.sendmail("a@any.test", ["b@foreign.test"], "Subject: x\r\n\r\nx\r\n")
        received = self.events("received")[0]
        self.assertEqual((received["user"], received["protocol"], received["direction"]),
                         ("alice", "ESMTPSA", "outbound"))
        with self.assertRaises(smtplib.SMTPAuthenticationError):
            self.user().login("alice", "wonderland2")

    def test_the_client_behind_a_proxy_is_the_one_on_record(self):
        with socket.create_connection(("127.0.0.1", self.mta.proxied), timeout=20) as connection:
            file = connection.makefile("rb")
            self.addCleanup(file.close)
            for byte in PROXY_SIGNATURE + b"\x21\x11" + struct.pack(
                    ">H4s4sHH", 12, socket.inet_aton("192.0.2.7"), socket.inet_aton("127.0.0.1"),
                    4711, 25):
                connection.sendall(bytes([byte]))
            self.assertTrue(file.readline().startswith(b"220 "))
            for line in ("HELO x", "MAIL FROM:<a@sender.test>", "RCPT TO:<b@any.test>"):
                connection.sendall(line.encode() + b"\r\n")
                self.assertTrue(file.readline().startswith(b"250 "))
            connection.shutdown(socket.SHUT_RDWR)
        aborted = self.events("aborted")[0]
        self.assertEqual((aborted["peer_ip"], aborted["peer_port"]), ("192.0.2.7", 4711))

    def test_rates_and_harvests_are_on_record_and_outlive_a_reload(self):
        limits = {"harvest": {"unknown_recipients": 3}, "proxy_networks": []}
        self.mta.configure(**limits)
        client = self.client()
        client.mail("a@sender.test")
        replies = [client.rcpt(f"{name}@reject.test")[0] for name in "xyz"]
        self.assertEqual(replies, [550, 550, 421])
        self.mta.configure(**limits)
        with self.assertRaises(smtplib.SMTPConnectError) as caught:
            smtplib.SMTP("127.0.0.1", self.mta.inbound, timeout=20)
        self.assertEqual(caught.exception.smtp_code, 421)
        refused = self.events("refused", 2)
        self.assertEqual([event["reply"][:9] for event in refused], ["421 4.7.0"] * 2)
        self.assertEqual([event["sender"] for event in refused], ["a@sender.test", None])

    def test_a_direction_that_takes_nothing_keeps_its_queue(self):
        client = self.client()
        client.sendmail("a@sender.test", ["b@any.test"], "Subject: x\r\n\r\nx\r\n")
        self.mta.configure(accept=False)
        with self.assertRaises(smtplib.SMTPConnectError) as caught:
            smtplib.SMTP("127.0.0.1", self.mta.inbound, timeout=20)
        self.assertEqual((caught.exception.smtp_code, caught.exception.smtp_error[:5]),
                         (421, b"4.3.2"))
        self.assertEqual(len(self.mta.queued()), 1)
        self.assertEqual(client.mail("a@sender.test")[0], 421)
        self.mta.configure()
        self.client()


if __name__ == "__main__":
    unittest.main()
