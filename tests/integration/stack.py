"""A whole Gatehouse for tests: private PostgreSQL, Control Center, one scanner, a mail sink.

Everything is on loopback and below one temporary folder, and is gone after close().
"""
import contextlib
import glob
import html.parser
import http.client
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import smtplib
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse

ROOT = os.environ.get("SOURCE_ROOT") or os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.environ.get("GATEHOUSE_BUILD") or os.path.join(ROOT, "build")
POSTGRES_BIN = "/usr/lib/postgresql/15/bin"
PASSWORD = "correct horse battery staple"
PROGRAMS = {"controlcenter": "controlcenter/gatehouse-controlcenter",
            "scanner": "scanner/supervisor/gatehouse-scanner"}
# In pieces, so that nothing takes this file for the test virus.
EICAR = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTI" + "VIRUS-TEST-FILE!$H+H*"


def program(name):
    return os.path.join(BUILD, PROGRAMS[name])


def is_sanitized():
    with open(os.path.join(BUILD, "meson-info", "intro-buildoptions.json")) as file:
        return any(o["name"] == "b_sanitize" and o["value"] != "none" for o in json.load(file))


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_until(what, condition, seconds=30.0, pause=0.05):
    """Returns what the condition returns once it is true."""
    end = time.monotonic() + seconds * (3 if is_sanitized() else 1)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not in {seconds} s: {what}")
        time.sleep(pause)


class Process:
    """A child whose output goes to a file."""

    def __init__(self, command, log, user=None, environment=None):
        self.log = log
        self.output = open(log, "ab")
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output,
                                      stderr=self.output, user=user, cwd="/",
                                      env={**os.environ, **(environment or {})})

    def end(self, number=signal.SIGTERM, seconds=40):
        if self.child.poll() is None:
            self.child.send_signal(number)
        try:
            status = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            status = self.child.wait()
        self.output.close()
        return status


class Postgres:
    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, mode=0o755)
        self.user = None
        if os.geteuid() == 0:
            entry = pwd.getpwnam("postgres")
            self.user = entry.pw_uid
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        self.data = os.path.join(folder, "data")
        self.log = os.path.join(folder, "log")
        open(self.log, "wb").close()
        subprocess.run([f"{POSTGRES_BIN}/initdb", "-N", "-A", "trust", "-U", "postgres", "--locale",
                        "C.UTF-8", "-E", "UTF8", "-D", self.data], check=True, user=self.user,
                       cwd="/", stdout=subprocess.DEVNULL)
        self.conninfo = f"host={folder} user=postgres dbname=postgres"
        self.process = None
        self.start()

    def start(self):
        wait_until("PostgreSQL takes connections", self.is_up, 60)

    def _launch(self):
        return Process(
            [f"{POSTGRES_BIN}/postgres", "-D", self.data, "-k", self.folder, "-c",
             "listen_addresses=", "-c", "fsync=off"], self.log, self.user)

    def is_up(self):
        """After a kill -9 a start may find the old server's memory still in use, and ends."""
        if not self.process or self.process.child.poll() is not None:
            self.process = self._launch()
        return subprocess.run([f"{POSTGRES_BIN}/pg_isready", "-q", "-h", self.folder],
                              stdout=subprocess.DEVNULL).returncode == 0

    def stop(self, number=signal.SIGINT):
        if self.process:
            self.process.end(number)
        self.process = None

    def query(self, sql):
        """Rows as lists of texts."""
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1",
                               "-c", sql, self.conninfo], capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"{sql}: {done.stderr}")
        return [line.split("\x1f") for line in done.stdout.splitlines()]

    def value(self, sql):
        rows = self.query(sql)
        return rows[0][0] if rows else None


class Sink:
    """The next hop: keeps every message that it accepted as (sender, recipients, content)."""

    def __init__(self, port=0):
        self.messages = []
        self.commands = []  # each MAIL and RCPT, as it came
        self.lock = threading.Lock()
        self.replies = {}  # command word to reply, instead of 250
        self.socket = socket.create_server(("127.0.0.1", port), backlog=200)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            lines = connection.makefile("rb")
            sender, recipients = None, []
            connection.sendall(b"220 sink.test ESMTP\r\n")
            for line in lines:
                word = line[:4].decode("latin-1").strip().upper()
                text = line.decode("utf-8", "replace").strip()
                if word in self.replies:
                    connection.sendall(self.replies[word].encode() + b"\r\n")
                    continue
                if word == "EHLO":
                    connection.sendall(b"250-sink.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
                                       b"250-PIPELINING\r\n250 DSN\r\n")
                    continue
                if word in ("MAIL", "RCPT"):
                    with self.lock:
                        self.commands.append(text)
                if word == "MAIL":
                    sender, recipients = re.search(r"<(.*?)>", text)[1], []
                elif word == "RCPT":
                    recipients.append(re.search(r"<(.*?)>", text)[1])
                elif word == "DATA":
                    connection.sendall(b"354 go on\r\n")
                    content = self._read_content(lines)
                    if content is None:
                        return
                    with self.lock:
                        self.messages.append((sender, recipients, content))
                elif word == "QUIT":
                    connection.sendall(b"221 bye\r\n")
                    return
                connection.sendall(b"250 2.0.0 Ok\r\n")

    @staticmethod
    def _read_content(lines):
        content = []
        for line in lines:
            if line == b".\r\n":
                return b"".join(content)
            content.append(line[1:] if line.startswith(b".") else line)
        return None

    def copy(self):
        with self.lock:
            return list(self.messages)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Forms(html.parser.HTMLParser):
    """The first value of each hidden field."""

    def __init__(self, text):
        super().__init__()
        self.hidden = {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "input" and values.get("type") == "hidden":
            self.hidden.setdefault(values["name"], values.get("value") or "")


class Browser:
    """Enough of a browser for forms: cookies, hidden fields, redirects are shown, not followed."""

    def __init__(self, port):
        self.port = port
        self.cookies = {}
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def request(self, method, path, fields=None):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context,
                                                 timeout=30)
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        body = None
        if fields is not None:
            body = urllib.parse.urlencode(fields, doseq=True)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        for header, value in response.getheaders():
            if header.lower() == "set-cookie":
                name, _, rest = value.partition("=")
                self.cookies[name] = rest.partition(";")[0]
        connection.close()
        return response, text

    def get(self, path):
        response, text = self.request("GET", path)
        assert response.status == 200, f"{path}: {response.status} {response.headers}"
        return text

    def post(self, path, fields, form=None):
        """Fills in the form that GET shows, hidden fields included."""
        hidden = Forms(self.get(form or path)).hidden
        return self.request("POST", path, {**hidden, **fields})

    def sign_in(self, name, password):
        return self.post("/sign-in", {"name": name, "password": password})


class Stack:
    def __init__(self, queue_disk=None, environment=None):
        self.folder = tempfile.mkdtemp(prefix="gatehouse-test-")
        os.chmod(self.folder, 0o755)
        self.state = os.path.join(self.folder, "scanner")
        self.environment = {"GATEHOUSE_ALLOW_ROOT": "1", "GATEHOUSE_SIGNATURES": "/nonexistent",
                            "GATEHOUSE_FRESHCLAM": "/nonexistent",
                            "GATEHOUSE_LIBEXEC": self._gather_programs(),
                            **(environment or {})}
        if is_sanitized():
            self.environment["GATEHOUSE_ENGINE_SANDBOX"] = "off"
        ports = free_ports(4)
        self.https, self.fleet, self.inbound, self.outbound = ports
        self.center = self.scanner = self.postgres = self.queue_disk = None
        self.config = os.path.join(self.folder, "controlcenter.json")
        self.sink = Sink()
        try:
            with self.logs_of_failure():
                self._start(queue_disk)
        except BaseException:
            self.close()
            raise

    def _start(self, queue_disk):
        self.postgres = Postgres(os.path.join(self.folder, "postgres"))
        self._write_config()
        self.command("migrate")
        self.start_center()
        self.enroll()
        if queue_disk:
            self.queue_disk = self._mount_queue(queue_disk)
        self.start_scanner()
        self.wait_for_scanner()

    def _gather_programs(self):
        folder = os.path.join(self.folder, "libexec")
        os.makedirs(folder)
        for name in ("mta", "engine", "directory", "agent"):
            os.symlink(os.path.join(BUILD, "scanner", name, f"gatehouse-{name}"),
                       os.path.join(folder, f"gatehouse-{name}"))
        return folder

    def _mount_queue(self, size):
        folder = os.path.join(self.state, "queue")
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", folder],
                       check=True)
        return folder

    def _write_config(self):
        config = {"database": self.postgres.conninfo,
                  "https": {"address": "127.0.0.1", "port": self.https},
                  "fleet": {"address": "127.0.0.1", "port": self.fleet, "names": ["127.0.0.1"]},
                  "templates": os.path.join(ROOT, "templates"),
                  "webroot": os.path.join(BUILD, "webroot"),
                  "schema": os.path.join(ROOT, "schema")}
        if not os.path.isdir(config["webroot"]):
            config["webroot"] = os.path.join(ROOT, "webroot")
        with open(self.config, "w") as file:
            json.dump(config, file)

    # --- the Control Center ---

    def command(self, *arguments):
        name, *rest = arguments
        done = subprocess.run([program("controlcenter"), name, *rest, "--config", self.config],
                              capture_output=True, text=True)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def start_center(self):
        self.center = Process([program("controlcenter"), "run", "--config", self.config],
                              os.path.join(self.folder, "controlcenter.log"))
        wait_until("the console answers", self.center_is_up, 60)

    def center_is_up(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return Browser(self.https).request("GET", "/sign-in")[0].status == 200
        return False

    def stop_center(self, number=signal.SIGTERM):
        if self.center:
            self.center.end(number)
        self.center = None

    def administrator(self, name="admin"):
        """A signed-in browser of a new administrator."""
        printed = self.command("create-administrator", name)
        once = re.search(r"one-time password: (\S+)", printed)[1]
        browser = Browser(self.https)
        response, _ = browser.sign_in(name, once)
        assert response.status == 303, response.status
        response, text = browser.post("/account/password", {
            "current": once, "password": PASSWORD, "repeat": PASSWORD})
        assert response.status == 303, text
        return browser

    def token(self, host_name="mx1.test"):
        printed = self.command("create-token", host_name, "--inbound", f"127.0.0.1:{self.inbound}",
                               "--outbound", f"127.0.0.1:{self.outbound}")
        return re.search(r"gh1\.\S+", printed)[0]

    # --- the scanner ---

    def enroll(self):
        done = subprocess.run(
            [program("scanner"), "enroll", "--state", self.state, "--url",
             f"https://127.0.0.1:{self.fleet}", "--token", self.token()],
            capture_output=True, text=True, env={**os.environ, **self.environment})
        assert done.returncode == 0, done.stderr

    def start_scanner(self):
        self.scanner = Process([program("scanner"), "run", "--state", self.state],
                               os.path.join(self.folder, "supervisor.log"),
                               environment=self.environment)

    def stop_scanner(self, number=signal.SIGTERM):
        if self.scanner:
            self.scanner.end(number)
        self.scanner = None

    def ask(self, name, **request):
        """One request to a scanner process: mta, supervisor or engine-control."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(os.path.join(self.state, "run", f"{name}.sock"))
            text = json.dumps(request).encode()
            connection.sendall(struct.pack(">I", len(text)) + text)
            size = struct.unpack(">I", self._read(connection, 4))[0]
            return json.loads(self._read(connection, size))

    @staticmethod
    def _read(connection, count):
        data = b""
        while len(data) < count:
            part = connection.recv(count - len(data))
            if not part:
                raise ConnectionError("closed")
            data += part
        return data

    def mta_status(self):
        with contextlib.suppress(OSError, ValueError):
            return self.ask("mta", op="status")
        return {}

    def engine_workers(self):
        with contextlib.suppress(OSError, ValueError):
            return self.ask("engine-control", op="status")["workers"]["count"]
        return 0

    def wait_for_scanner(self):
        wait_until("the mta has a configuration",
                   lambda: self.mta_status().get("configuration_version", 0) > 0, 60)
        wait_until("engine workers are there", lambda: self.engine_workers() >= 2, 90)
        wait_until("SMTP answers", self.smtp_is_up, 30)

    def smtp_is_up(self):
        with contextlib.suppress(OSError, smtplib.SMTPException):
            with smtplib.SMTP("127.0.0.1", self.inbound, timeout=5):
                return True
        return False

    def set_route(self, domain, port=None):
        before = self.mta_status()["configuration_version"]
        self.command("set-route", domain, f"127.0.0.1:{port or self.sink.port}")
        wait_until("the route runs",
                   lambda: self.mta_status().get("configuration_version", 0) > before)

    def service_pid(self, name):
        return self.ask("supervisor", op="status")["services"][name]["pid"]

    def send(self, sender, recipients, content, port=None):
        """Returns the reply to the content, (code, text); refused commands raise."""
        if isinstance(content, str):
            content = content.encode()
        with smtplib.SMTP("127.0.0.1", port or self.inbound, timeout=90) as client:
            client.ehlo("client.test")
            code, text = client.mail(sender)
            if code != 250:
                raise smtplib.SMTPSenderRefused(code, text, sender)
            for recipient in recipients:
                code, text = client.rcpt(recipient)
                if code != 250:
                    raise smtplib.SMTPRecipientsRefused({recipient: (code, text)})
            return client.data(content)

    # --- what became of it ---

    def all_events_are_in(self):
        status = self.mta_status()
        taken = self.postgres.value("SELECT coalesce(max(last_seq), 0) FROM audit_stream WHERE "
                                    f"stream = '{status['stream']}'") if status else None
        return taken is not None and int(taken or 0) == status["last_seq"]

    def wait_for_events(self, seconds=60):
        wait_until("all events are in the database", self.all_events_are_in, seconds, 0.2)

    def wait_for_empty_queue(self, seconds=60):
        """And for what became of its messages to be in the database. The mta counts an event of a
        delivery only once it is synced, a moment after the queue is empty: so the recipients tell."""
        wait_until("the queue is empty", lambda: sum(
            self.mta_status().get("queues", {"away": 1}).values()) == 0, seconds)
        self.wait_for_events(seconds)
        wait_until("every recipient's end is in the database", lambda: self.postgres.value(
            "SELECT count(*) FROM audit_recipient WHERE state IN"
            " ('to be scanned', 'queued', 'deferred', 'failed')") == "0", seconds, 0.2)

    def logs(self):
        for path in glob.glob(os.path.join(self.state, "log", "*.log")) + \
                glob.glob(os.path.join(self.folder, "*.log")):
            with open(path, errors="replace") as file:
                yield path, file.read()

    @contextlib.contextmanager
    def logs_of_failure(self):
        """Shows the logs where the block fails."""
        try:
            yield
        except BaseException:
            self.show_logs()
            raise

    def show_logs(self):
        for path, text in self.logs():
            print(f"--- {path}\n{text[-6000:]}")

    def check_sanitizers(self):
        for path, text in self.logs():
            assert "AddressSanitizer" not in text and "runtime error:" not in text and \
                "LeakSanitizer" not in text, f"{path}: {text[-8000:]}"

    def close(self):
        self.stop_scanner()
        self.stop_center()
        if self.postgres:
            self.postgres.stop()
        self.sink.close()
        if self.queue_disk:
            subprocess.run(["umount", "-l", self.queue_disk], check=True)
        try:
            self.check_sanitizers()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def unique():
    return secrets.token_hex(8)
