"""A private PostgreSQL cluster: its files and its only socket are in the state directory."""
import os
import shutil
import signal
import time

from demo.places import CONTROL_CENTER_USER, as_user
from demo.problem import Problem
from demo.processes import run_command

BIN = "/usr/lib/postgresql/15/bin"
VERSION = "15"
ROLE = NAME = "gatehouse"


class Database:
    def __init__(self, state):
        self.state = state
        self.data = state.path("controlcenter/database")
        self.sockets = state.path("controlcenter/postgresql")
        self.user = as_user(CONTROL_CENTER_USER)

    def connection(self):
        quoted = self.sockets.replace("\\", "\\\\").replace("'", "\\'")
        return f"host='{quoted}' user={ROLE} dbname={NAME}"

    def check(self):
        if not os.path.exists(os.path.join(BIN, "postgres")):
            raise Problem(f"PostgreSQL {VERSION} is not at {BIN}", "Run tools/install-packages.")
        if not os.path.isdir(self.data):
            if self.state.done("database"):
                raise Problem(f"the database {self.data} is missing",
                              f"Put it back, or move {self.state.folder} away to start anew.")
            return
        try:
            with open(os.path.join(self.data, "PG_VERSION"), encoding="ascii") as file:
                version = file.read().strip()
        except (OSError, ValueError) as error:
            raise Problem(f"the database {self.data} is damaged: {error}",
                          f"Put it back, or move {self.state.folder} away to start anew.") from error
        if version != VERSION:
            raise Problem(f"the database {self.data} was made by PostgreSQL {version}, not "
                          f"{VERSION}", "Set GATEHOUSE_STATE to another folder.")

    def create(self):
        """Made beside its place, so that an interrupted start leaves nothing half made."""
        if os.path.isdir(self.data):
            return
        fresh = self.data + ".new"
        shutil.rmtree(fresh, ignore_errors=True)
        run_command([f"{BIN}/initdb", "-A", "trust", "-U", ROLE, "--locale", "C.UTF-8", "-E",
                     "UTF8", "-D", fresh], "making the database cluster", **self.user)
        os.rename(fresh, self.data)

    def wait_for_earlier_server(self):
        """A server of an earlier run that is still stopping, or its file after a crash."""
        path = os.path.join(self.data, "postmaster.pid")
        try:
            with open(path, encoding="utf-8") as file:
                process = int(file.readline())
        except (OSError, ValueError):
            return
        if not self.is_server(process):
            # The number may belong to another process now, which would keep PostgreSQL from
            # starting. The lock of the state directory makes sure that nobody else starts one.
            os.unlink(path)
            return
        print(f"the database server of an earlier run (process {process}) still runs: stopping it")
        os.kill(process, signal.SIGINT)
        end = time.monotonic() + 60
        while self.is_server(process):
            if time.monotonic() > end:
                raise Problem(f"the database server of an earlier run (process {process}) does "
                              "not end", f"End it: kill -QUIT {process}")
            time.sleep(0.1)

    def is_server(self, process):
        try:
            with open(f"/proc/{process}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            return False
        return words[0].endswith(b"postgres") and self.data.encode() in words

    def start(self, family):
        self.check()
        self.create()
        self.wait_for_earlier_server()
        family.start("PostgreSQL",
                     [f"{BIN}/postgres", "-D", self.data, "-k", self.sockets,
                      "-c", "listen_addresses=", "-c", "logging_collector=off"],
                     self.state.path("log/postgresql.log"), stop_signal=signal.SIGINT, **self.user)
        family.wait_until(self.answers, 60, "PostgreSQL does not answer")
        self.create_database()
        self.state.note("database")

    def create_database(self):
        if self.state.done("database"):
            return
        exists = run_command([f"{BIN}/psql", "-h", self.sockets, "-U", ROLE, "-d", "postgres",
                              "-AtXc", f"SELECT 1 FROM pg_database WHERE datname = '{NAME}'"],
                             "asking the database", **self.user)
        if exists.strip() != "1":
            run_command([f"{BIN}/createdb", "-h", self.sockets, "-U", ROLE, NAME],
                        "making the database", **self.user)

    def answers(self):
        try:
            run_command([f"{BIN}/pg_isready", "-q", "-h", self.sockets, "-U", ROLE, "-d",
                         "postgres"], "asking the database", **self.user)
            return True
        except Problem:
            return False
