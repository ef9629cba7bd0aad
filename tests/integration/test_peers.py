"""Postfix's own test client and server on both sides."""
import os
import shutil
import subprocess
import tempfile
import unittest

from stack import Process, Stack, free_ports, wait_until

SOURCE, SINK = (shutil.which(name, path="/usr/sbin:/usr/bin") for name in
                ("smtp-source", "smtp-sink"))
MESSAGES = 300


@unittest.skipUnless(SOURCE and SINK, "smtp-source and smtp-sink are not there")
class Peers(unittest.TestCase):
    def setUp(self):
        self.stack = Stack()
        self.addCleanup(self.stack.close)
        self.port = free_ports(1)[0]
        self.folder = tempfile.mkdtemp(prefix="gatehouse-peers-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.sink = Process([SINK, *(["-u", "nobody"] if os.geteuid() == 0 else []),
                             f"127.0.0.1:{self.port}", "100"], os.path.join(self.folder, "log"))
        self.addCleanup(self.sink.end)
        self.stack.set_route("example.test", self.port)

    def test_smtp_source_and_smtp_sink_pass_every_message(self):
        done = subprocess.run(
            [SOURCE, "-s", "20", "-m", str(MESSAGES), "-l", "4096", "-f", "a@client.test", "-t",
             "b@example.test", f"127.0.0.1:{self.stack.inbound}"], capture_output=True, text=True,
            timeout=240)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.stack.wait_for_empty_queue(120)
        def delivered():
            return self.stack.postgres.value("SELECT count(*) FROM audit_recipient WHERE state ="
                                             " 'delivered'") == str(MESSAGES)
        wait_until("every message is on record as delivered", delivered, 60, 0.3)


if __name__ == "__main__":
    unittest.main()
