"""Signatures are replaced while mail is scanned: no scan fails, and no more than two databases are
in memory at a time."""
import array
import contextlib
import fcntl
import glob
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

from stack import BUILD, is_sanitized, wait_until

MESSAGE = b"Subject: x\r\n\r\n" + b"Good morning, this is mail like any other.\r\n" * 200
DATABASE_LINES = 400000  # some 75 MiB once loaded


class Engine:
    def __init__(self, folder):
        self.state = os.path.join(folder, "state")
        self.signatures = os.path.join(folder, "signatures")
        os.makedirs(os.path.join(self.state, "signatures/custom"))
        os.makedirs(self.signatures)
        self.write_database(0)
        environment = {**os.environ, "GATEHOUSE_SIGNATURES": self.signatures}
        if is_sanitized():
            environment["GATEHOUSE_ENGINE_SANDBOX"] = "off"
        self.log = open(os.path.join(folder, "log"), "wb")
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "scanner/engine/gatehouse-engine"), "--state", self.state],
            stdout=self.log, stderr=self.log, env=environment)

    def write_database(self, first):
        """Replaces it at once, as freshclam does."""
        made = os.path.join(self.signatures, "large.tmp")
        with open(made, "w") as file:
            for i in range(first, first + DATABASE_LINES):
                file.write(f"{i:032x}:{1000 + i % 5000}:Test.Large-{i}\n")
        os.rename(made, os.path.join(self.signatures, "large.hdb"))

    def write_custom(self, name, text):
        path = os.path.join(self.state, "signatures/custom", name)
        with open(path + ".tmp", "w") as file:
            file.write(text)
        os.rename(path + ".tmp", path)

    def ask(self, **request):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(120)
            connection.connect(os.path.join(self.state, "run/engine-control.sock"))
            text = json.dumps(request).encode()
            connection.sendall(struct.pack(">I", len(text)) + text)
            size = struct.unpack(">I", connection.recv(4, socket.MSG_WAITALL))[0]
            return json.loads(connection.recv(size, socket.MSG_WAITALL))

    def is_serving(self):
        with contextlib.suppress(OSError, struct.error, ValueError):
            return self.ask(op="status")["workers"]["count"] >= 2
        return False

    def processes(self):
        """The master and all below it."""
        found, children = {self.process.pid}, {}
        for path in glob.glob("/proc/[0-9]*/stat"):
            with contextlib.suppress(OSError):
                with open(path) as file:
                    fields = file.read().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(path.split("/")[2]))
        waiting = [self.process.pid]
        while waiting:
            for child in children.get(waiting.pop(), []):
                found.add(child)
                waiting.append(child)
        return found

    def memory(self):
        """Proportional: what several share counts once. In MiB."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as file:
                for line in file:
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        return total / 1024

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()


class Load:
    """Scans on one connection after the other, as the mta does."""

    def __init__(self, engine):
        self.path = os.path.join(engine.state, "run/engine.sock")
        self.scans = self.failures = 0
        self.stop = threading.Event()
        self.descriptor = os.memfd_create("message", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.write(self.descriptor, MESSAGE)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, 0xf)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stop.is_set():
            with contextlib.suppress(TimeoutError), \
                    socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                connection.settimeout(5)
                connection.connect(self.path)
                connection.recv(65536)  # hello; waits for a worker
                self.scan_until_closed(connection)

    def scan_until_closed(self, connection):
        connection.settimeout(60)
        # So many, then the others that wait for a worker have their turn.
        for _ in range(50):
            packet = json.dumps({"scan": {"id": str(uuid.uuid4()), "size": len(MESSAGE),
                                          "seconds": 30, "clean": []}}).encode()
            try:
                connection.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                               array.array("i", [self.descriptor]))])
            except (BrokenPipeError, ConnectionResetError):
                return  # nothing was taken: no failed scan
            try:
                answer = connection.recv(65536)
            except OSError:
                answer = b""
            if answer and json.loads(answer).get("result", {}).get("verdict") == "clean":
                self.scans += 1
            else:
                self.failures += 1
                return

    def end(self):
        self.stop.set()
        self.thread.join(60)
        os.close(self.descriptor)


class Memory(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="gatehouse-test-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.engine = Engine(self.folder)
        self.addCleanup(self.engine.close)
        wait_until("the engine serves", self.engine.is_serving, 60)

    def watch(self):
        """Keeps the peak until told to stop."""
        while not self.done.is_set():
            self.peak = max(self.peak, self.engine.memory())
            time.sleep(0.02)

    @unittest.skipIf(is_sanitized(), "a sanitizer has memory of its own")
    def test_replacing_fails_no_scan_and_needs_two_databases_at_most(self):
        loads = [Load(self.engine) for _ in range(4)]
        self.done, self.peak = threading.Event(), 0
        wait_until("scans go on", lambda: sum(load.scans for load in loads) > 50)
        before = self.engine.memory()
        watcher = threading.Thread(target=self.watch)
        watcher.start()
        try:
            for i in range(4):
                if i % 2:
                    self.engine.write_database(i)
                else:
                    self.engine.write_custom("a.ndb", f"Test.{i}:0:*:{'61' * 40}{i:02x}\n")
                self.assertTrue(self.engine.ask(op="reload")["changed"])
        finally:
            self.done.set()
            watcher.join()
            for load in loads:
                load.end()
        wait_until("the old generation has ended", lambda: len(self.engine.processes()) == 4)
        after = self.engine.memory()
        scans = sum(load.scans for load in loads)
        failures = sum(load.failures for load in loads)
        print(f"\n4 replacements, {scans} scans, {failures} failed; memory (PSS, MiB): "
              f"{before:.0f} before, {self.peak:.0f} at most, {after:.0f} after")
        self.assertEqual(failures, 0)
        self.assertLess(self.peak, 2 * before + 40)
        self.assertLess(after, before * 1.15 + 10)


if __name__ == "__main__":
    unittest.main()
