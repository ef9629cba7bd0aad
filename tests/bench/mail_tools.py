"""What the mail benchmarks share: messages, the generator and sink of Postfix, a private Postfix.

Everything listens on 127.0.0.1 and lives below the folder that the caller gives.
"""
import contextlib
import os
import pwd
import random
import re
import shutil
import signal
import subprocess
import threading
import time

SENDER = "sender@bench.test"
RECIPIENT = "recipient@bench.test"
DOMAIN = "bench.test"
WORDS = ("the mail of this morning has been read and answered before noon while a copy was kept "
         "for those who could not come and will ask what was said about the plan").split()
MASTER = "/usr/lib/postfix/sbin/master"
PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def find_program(name):
    return shutil.which(name, path=PATH)


def message(size):
    """A plain text message of about `size` bytes, with LF; the same each time."""
    chance = random.Random(size)
    lines = [f"From: Sender <{SENDER}>", f"To: Recipient <{RECIPIENT}>",
             "Subject: What was said about the plan", "Date: Wed, 25 Nov 2026 10:00:00 +0000",
             f"Message-ID: <{size}@bench.test>", "MIME-Version: 1.0",
             "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 7bit", ""]
    length = sum(len(line) + 2 for line in lines)
    while length < size:
        line = " ".join(chance.choices(WORDS, k=12))[:76]
        lines.append(line)
        length += len(line) + 2
    return "\n".join(lines) + "\n"


def fsync_rate(folder, seconds=2.0):
    """4 KiB appends, each with its own fdatasync, in a second."""
    path = os.path.join(folder, "fsync")
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    count, start = 0, time.monotonic()
    try:
        while time.monotonic() - start < seconds:
            os.write(file, b"x" * 4096)
            os.fdatasync(file)
            count += 1
        return count / (time.monotonic() - start)
    finally:
        os.close(file)
        os.unlink(path)


class Sink:
    """smtp-sink, with the number of messages that it has taken."""

    def __init__(self, port):
        self.port = port
        self.count = 0
        self.changed = threading.Condition()
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.child = subprocess.Popen(
            [find_program("smtp-sink"), "-c", "-m", "1000", *user, f"127.0.0.1:{port}", "1000"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/")
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        rest = b""
        while part := os.read(self.child.stdout.fileno(), 1 << 16):
            rest = (rest + part)[-200:]
            counts = re.findall(rb"mesg=(\d+)(?=\D)", rest)
            if counts:
                with self.changed:
                    self.count = int(counts[-1])
                    self.changed.notify_all()

    def wait_for(self, count, end):
        """True once `count` messages are there; False at the time `end` (monotonic)."""
        with self.changed:
            return self.changed.wait_for(lambda: self.count >= count, max(0, end - time.monotonic()))

    def close(self):
        self.child.kill()
        self.child.wait()
        self.reader.join()
        self.child.stdout.close()


def source(port, path, count, sessions, seconds):
    """Sends `count` messages over `sessions` connections; returns how long that took, in s."""
    command = [find_program("smtp-source"), "-d", "-s", str(sessions), "-m", str(count), "-F", path,
               "-f", SENDER, "-t", RECIPIENT, f"127.0.0.1:{port}"]
    start = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=seconds, cwd="/")
    if done.returncode != 0:
        raise RuntimeError(f"smtp-source: {done.stderr.strip()[:400]}")
    return time.monotonic() - start


MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
shlib_directory = /usr/lib/postfix
multi_instance_enable = no
syslog_name = gatehouse-bench
maillog_file = {folder}/queue/mail.log
maillog_file_prefixes = {folder}
myhostname = postfix.test
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{sink}
smtpd_peername_lookup = no
smtp_host_lookup = native
default_process_limit = 200
"""

MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """A private instance with its own configuration, queue and ports; root only. `settings` are
    further lines of main.cf."""

    def __init__(self, folder, port, sink, settings=""):
        self.folder, self.port = folder, port
        self.settings = os.path.join(folder, "etc")
        for name in ("etc", "queue", "data"):
            os.makedirs(os.path.join(folder, name), mode=0o755)
        entry = pwd.getpwnam("postfix")
        os.chown(os.path.join(folder, "data"), entry.pw_uid, entry.pw_gid)
        for name, text in (("main.cf", MAIN_CF), ("master.cf", MASTER_CF)):
            with open(os.path.join(self.settings, name), "w") as file:
                file.write(text.format(folder=folder, port=port, sink=sink))
        with open(os.path.join(self.settings, "main.cf"), "a") as file:
            file.write(settings)
        # Makes the folders of the queue.
        checked = subprocess.run([find_program("postfix"), "-c", self.settings, "check"], cwd="/",
                                 stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if checked.returncode != 0:
            raise RuntimeError(f"postfix check: {checked.stderr.strip()[:400]}")
        # In a session of its own, so that all its processes can be ended with it.
        self.output = open(os.path.join(folder, "output"), "wb")
        self.child = subprocess.Popen([MASTER, "-c", self.settings, "-d"], cwd="/",
                                      stdin=subprocess.DEVNULL, stdout=self.output,
                                      stderr=self.output, start_new_session=True)

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGTERM)
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        self.output.close()
