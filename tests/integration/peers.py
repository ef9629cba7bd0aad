"""Other mail servers for tests: Postfix, OpenSMTPD and Exim, each with its own configuration and
spool below one folder, on loopback; root only.

Each relays mail for through.test to Gatehouse and all other mail to a sink. It refuses
nobody@DOMAIN with 550 and, while its file `later` is there, later@DOMAIN with 451. TLS is offered
and, towards Gatehouse, used where it is offered.
"""
import collections
import contextlib
import json
import os
import re
import shutil
import signal
import smtplib
import socketserver
import subprocess
import sys
import tempfile
import threading
import unittest

from stack import ROOT, Process, Stack, free_ports, wait_until

sys.path.append(os.path.join(ROOT, "tests", "bench"))
import mail_tools  # noqa: E402

UNPACKED = "/var/cache/gatehouse-peers"  # by tools/fetch-peers
USERS = {"opensmtpd": 64801, "opensmtpq": 64802, "Debian-exim": 64803}


def can_run_unpacked(program):
    """It is there, and this machine lets a process have mounts of its own."""
    return os.path.exists(os.path.join(UNPACKED, program)) and subprocess.run(
        ["unshare", "--mount", "mount", "--bind", "/etc/passwd", "/etc/passwd"],
        capture_output=True).returncode == 0


def make_certificate(folder):
    """(certificate, key), paths of PEM files."""
    certificate, key = (os.path.join(folder, name) for name in ("certificate.pem", "key.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048",
                    "-nodes", "-days", "2", "-subj", "/CN=peer.test",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


class Peer:
    """`ports`: where it listens, Gatehouse and the sink. Sub-classes start it."""
    name = ""
    has_utf8 = True
    has_tls = True  # as a server
    dies_of_pipelining = False
    sender_in_log = r"from=<([^>]*)>"
    # Where its log tells that content was sent or came in chunks (RFC 3030); None: never.
    chunks_sent_in_log = chunks_received_in_log = None

    def __init__(self, folder, gatehouse, sink, tls):
        self.folder = os.path.join(folder, self.name)
        os.makedirs(self.folder, mode=0o755)
        self.domain = f"{self.name}.test"
        self.gatehouse, self.sink, self.tls = gatehouse, sink, tls
        self.port = free_ports(1)[0]
        self.process = None
        self.later = os.path.join(self.folder, "later")
        self._start()
        wait_until(f"{self.name} answers", self._is_up, 30)

    def _start(self):
        raise NotImplementedError

    def _make_folders(self, *names):
        for name in names:
            os.makedirs(os.path.join(self.folder, name), mode=0o755, exist_ok=True)

    def _write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o644)
        return path

    def _copy_key(self):
        path = os.path.join(self.folder, "key.pem")
        shutil.copyfile(self.tls[1], path)
        os.chmod(path, 0o600)
        return path

    def _is_up(self):
        with contextlib.suppress(OSError, smtplib.SMTPException):
            with smtplib.SMTP("127.0.0.1", self.port, timeout=5):
                return True
        return False

    def refuse_later(self, refuse):
        """Whether later@DOMAIN is refused with 451 from now on."""
        if refuse:
            self._write("later", "")
        else:
            os.unlink(self.later)

    def log(self):
        with contextlib.suppress(OSError), open(self.log_path(), errors="replace") as file:
            return file.read()
        return ""

    def accepted_senders(self):
        """The envelope senders of all messages that it took, as its log names them."""
        return " ".join(re.findall(self.sender_in_log, self.log()))

    def log_path(self):
        return os.path.join(self.folder, "log")

    def revive(self):
        """Starts it again on its spool if it has ended."""
        if self._is_up():
            return
        Peer.close(self)
        self._start()
        wait_until(f"{self.name} answers again", self._is_up, 30)

    def close(self):
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.child.pid, signal.SIGTERM)
            self.process.end(seconds=5)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.child.pid, signal.SIGKILL)


class Policy:
    """A policy service of Postfix: `decide` takes a recipient and returns an action. A table would
    not do: a server process does not look into it again while a client stays connected."""

    def __init__(self, decide):
        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                recipient = ""
                for line in self.rfile:
                    name, _, value = line.decode("utf-8", "replace").rstrip("\n").partition("=")
                    if name == "recipient":
                        recipient = value
                    elif not name:
                        self.wfile.write(f"action={decide(recipient)}\n\n".encode())

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Postfix(Peer):
    name = "postfix"
    chunks_received_in_log = r"disconnect from .* bdat=[1-9]"
    server = policy = None

    SETTINGS = """\
smtpd_tls_security_level = may
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtp_tls_security_level = may
message_size_limit = 0
maximal_queue_lifetime = 1h
queue_run_delay = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 2s
transport_maps = inline:{{ {{ through.test = smtp:[127.0.0.1]:{gatehouse} }} }}
smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:{policy}, permit
smtpd_client_connection_count_limit = 0
"""

    @staticmethod
    def is_there():
        return os.path.exists(mail_tools.MASTER)

    def _start(self):
        self.policy = Policy(self._decide)
        self.server = mail_tools.Postfix(self.folder, self.port, self.sink, self.SETTINGS.format(
            folder=self.folder, certificate=self.tls[0], key=self.tls[1],
            gatehouse=self.gatehouse, policy=self.policy.port))

    def _decide(self, recipient):
        if recipient == "nobody@postfix.test":
            return "550 5.1.1 no such user"
        if recipient == "later@postfix.test" and os.path.exists(self.later):
            return "451 4.3.0 not now"
        return "DUNNO"

    def log_path(self):
        return os.path.join(self.folder, "queue", "mail.log")

    def close(self):
        if self.server:
            self.server.close()
        if self.policy:
            self.policy.close()


def private_accounts(folder):
    """Copies of passwd and group that know the users of the unpacked servers too."""
    for source, line in (("passwd", "{0}:x:{1}:{1}::/nonexistent:/usr/sbin/nologin\n"),
                         ("group", "{0}:x:{1}:\n")):
        shutil.copyfile(f"/etc/{source}", os.path.join(folder, source))
        with open(os.path.join(folder, source), "a") as file:
            file.writelines(line.format(*user) for user in USERS.items())


class Unpacked(Peer):
    """A server whose paths are compiled in: it runs where they lead to folders of its own, in a
    mount namespace that ends with it."""
    mounts = {}  # path: name below the folder
    program = ""

    @classmethod
    def is_there(cls):
        return can_run_unpacked(cls.program)

    def _run(self, *arguments, environment=None):
        private_accounts(self.folder)
        mounts = {"/etc/passwd": "passwd", "/etc/group": "group", **self.mounts}
        script = "".join(f"mount --bind '{self.folder}/{name}' {path} && "
                         for path, name in mounts.items())
        self.process = Process(
            ["setsid", "unshare", "--mount", "--propagation", "private", "sh", "-c",
             script + 'exec "$@"', "sh", os.path.join(UNPACKED, self.program), *arguments],
            self.log_path(), environment=environment)


class OpenSmtpd(Unpacked):
    name = "opensmtpd"
    program = "usr/sbin/smtpd"
    mounts = {"/var/spool": "spool", "/var/lib": "lib", "/run": "run", "/usr/libexec": "libexec"}
    has_utf8 = False
    # Debian's program of this version cannot use its key with OpenSSL 3: every handshake breaks off.
    has_tls = False
    # It may end where commands follow what it takes for the end of data, not each time.
    dies_of_pipelining = True

    SETTINGS = """\
pki peer cert "{certificate}"
pki peer key "{key}"
smtp max-message-size 100M
smtp limit max-rcpt 10000
smtp limit max-mails 10000
table later file:{folder}/access
filter later phase rcpt-to match rcpt-to <later> reject "451 4.3.0 not now"
listen on 127.0.0.1 port {port} tls pki peer hostname opensmtpd.test filter later
action gatehouse relay host smtp://127.0.0.1:{gatehouse} helo opensmtpd.test
action sink relay host smtp+notls://127.0.0.1:{sink} helo opensmtpd.test
match from any for rcpt-to "nobody@opensmtpd.test" reject
match from any for domain "through.test" action gatehouse
match from any for any action sink
"""

    def _start(self):
        self._make_folders("spool", "lib/opensmtpd/empty", "run")
        for name, mode in (("", 0o711), ("offline", 0o770), ("purge", 0o700), ("temporary", 0o700),
                           ("incoming", 0o700), ("queue", 0o700), ("corrupt", 0o700)):
            path = os.path.join(self.folder, "spool", "smtpd", name)
            os.makedirs(path, exist_ok=True)
            os.chmod(path, mode)
            owner = {"": 0, "offline": 0}.get(name, USERS["opensmtpq"])
            os.chown(path, owner, USERS["opensmtpq"] if name == "offline" else 0)
        shutil.copytree(os.path.join(UNPACKED, "usr/libexec"), os.path.join(self.folder, "libexec"),
                        dirs_exist_ok=True)
        self._write_access(False)
        key = self._copy_key()
        path = self._write("smtpd.conf", self.SETTINGS.format(
            folder=self.folder, certificate=self.tls[0], key=key, port=self.port,
            gatehouse=self.gatehouse, sink=self.sink))
        self._run("-d", "-f", path)

    def refuse_later(self, refuse):
        self._write_access(refuse)
        subprocess.run(["nsenter", "-t", str(self.process.child.pid), "-m",
                        os.path.join(UNPACKED, "usr/sbin/smtpctl"), "update", "table", "later"],
                       check=True, capture_output=True, group=USERS["opensmtpq"])

    def _write_access(self, refuse):
        """Never empty: OpenSMTPD takes an empty table for one of another kind."""
        self._write("access", "x@opensmtpd.test\n" + ("later@opensmtpd.test\n" if refuse else ""))


class Exim(Unpacked):
    name = "exim"
    sender_in_log = r" <= (\S+)"
    chunks_sent_in_log = r" => .* K "
    chunks_received_in_log = r" <= .* K "
    program = "usr/sbin/exim4"
    mounts = {"/var/lib": "lib"}

    SETTINGS = """\
exim_path = {program}
keep_environment = LD_LIBRARY_PATH
primary_hostname = exim.test
spool_directory = {folder}/spool
log_file_path = {folder}/log-%s
pid_file_path = {folder}/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
deliver_drop_privilege = true
smtp_accept_max = 200
smtp_accept_queue = 0
smtp_accept_queue_per_connection = 0
smtp_accept_max_per_connection = 0
recipients_max = 10000
rfc1413_query_timeout = 0s
message_size_limit = 100M
tls_certificate = {certificate}
tls_privatekey = {key}
tls_advertise_hosts = *
chunking_advertise_hosts = *
pipelining_advertise_hosts = *
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
acl_smtp_rcpt = check_rcpt
acl_smtp_data = accept
begin acl
check_rcpt:
  deny    recipients = nobody@exim.test
          message    = 550 5.1.1 no such user
  defer   recipients = later@exim.test
          condition  = ${{if exists{{{folder}/later}}}}
          message    = 451 4.3.0 not now
  accept
begin routers
through:
  driver = manualroute
  domains = through.test
  transport = to_gatehouse
  route_list = * 127.0.0.1 byname
  self = send
on:
  driver = manualroute
  transport = to_sink
  route_list = * 127.0.0.1 byname
  self = send
begin transports
to_gatehouse:
  driver = smtp
  port = {gatehouse}
  allow_localhost
  hosts_try_chunking = *
  tls_try_verify_hosts = :
to_sink:
  driver = smtp
  port = {sink}
  allow_localhost
  hosts_avoid_tls = *
begin retry
* * F,1h,2s
"""

    def _start(self):
        self._make_folders("lib/exim4", "spool")
        for name in ("", "spool"):
            os.chown(os.path.join(self.folder, name), USERS["Debian-exim"], USERS["Debian-exim"])
        key = self._copy_key()
        os.chown(key, USERS["Debian-exim"], USERS["Debian-exim"])
        self._write("lib/exim4/config.autogenerated", self.SETTINGS.format(
            program=os.path.join(UNPACKED, self.program), folder=self.folder, port=self.port,
            certificate=self.tls[0], key=key, gatehouse=self.gatehouse, sink=self.sink))
        self._run("-bdf", "-q2s", environment={"LD_LIBRARY_PATH": os.path.join(
            UNPACKED, "usr/lib/x86_64-linux-gnu")})

    def log(self):
        text = super().log()
        for name in sorted(os.listdir(self.folder)):
            if name.startswith("log-"):
                with open(os.path.join(self.folder, name), errors="replace") as file:
                    text += file.read()
        return text


class Scene:
    """A Gatehouse with TLS that tries again after a second, with routes for through.test and
    client.test to its sink, and a folder for peers."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="gatehouse-peers-")
        os.chmod(self.folder, 0o755)
        self.stack = Stack()
        try:
            self._set_up()
        except BaseException:
            self.stack.show_logs()
            self.close()
            raise

    def _set_up(self):
        self.certificate = make_certificate(self.folder)
        texts = []
        for path in self.certificate:
            with open(path) as file:
                texts.append(file.read())
        settings = {"tls": dict(zip(("certificate", "key"), texts)),
                    "delivery": {"retry_seconds": [1]}}
        # set_route raises the version, which carries this too.
        self.stack.postgres.query("UPDATE scanner SET smtp = smtp ||"
                                  f" $json${json.dumps(settings)}$json$::jsonb")
        self.stack.set_route("through.test")
        self.stack.set_route("client.test")

    def start(self, kind):
        """A running peer, or the test is skipped."""
        if os.geteuid() != 0 or not kind.is_there():
            raise unittest.SkipTest(f"{kind.name} is not there (tools/fetch-peers), or this is not"
                                    " root")
        folder = tempfile.mkdtemp(prefix=f"{kind.name}-", dir=self.folder)
        os.chmod(folder, 0o755)
        return kind(folder, self.stack.inbound, self.stack.sink.port, self.certificate)

    def in_sink(self, mark):
        """Without reports about it."""
        field = f"X-Mark: {mark}\r\n".encode()
        return [m for m in self.stack.sink.copy() if m[0] and field in m[2]]

    def recipients_in_sink(self, mark):
        return collections.Counter(r for m in self.in_sink(mark) for r in m[1])

    def ask_database(self, sql, condition=lambda row: True, seconds=30):
        """The first row once the condition holds for it."""
        def found():
            rows = self.stack.postgres.query(sql)
            return rows and condition(rows[0]) and rows[0]
        return wait_until(sql, found, seconds, 0.2)

    def close(self):
        try:
            self.stack.close()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
