"""The scanner and the mail server behind it."""
import os
import socket

from demo import ports
from demo.places import CONTROL_CENTER_USER, as_user, own_folder
from demo.problem import Problem
from demo.processes import run_command

HOST_NAME = "scanner.demo.test"
DOMAIN = "demo.test"
READY_SECONDS = 60


class Scanner:
    def __init__(self, state, places, control_center):
        self.state = state
        self.folder = state.path("scanner")
        self.program = places.programs["gatehouse-scanner"]
        self.environment = {**os.environ, "GATEHOUSE_LIBEXEC": ""}
        if os.path.dirname(self.program) == state.path("programs"):
            self.environment["GATEHOUSE_LIBEXEC"] = state.path("programs")
        self.control_center = control_center

    def enrol(self):
        """Once for a state directory; node.json is what enrolment writes last."""
        node = os.path.join(self.folder, "node.json")
        if self.state.done("scanner"):
            if not os.path.exists(node):
                raise Problem(f"{node} is missing", f"Put it back, or move {self.state.folder} "
                              "away to start anew.")
            return
        if not os.path.exists(node):
            token = self.control_center.create_token(HOST_NAME)
            run_command([self.program, "enroll", "--state", self.folder, "--url",
                         self.control_center.fleet_url(), "--token", token],
                        "enrolling the scanner", env=self.environment)
        self.state.note("scanner")

    def start(self, family):
        family.start("the scanner", [self.program, "run", "--state", self.folder],
                     self.state.path("log/scanner.log"), stop_seconds=60, env=self.environment)
        for name in ("inbound", "outbound"):
            family.wait_until(lambda port=self.state.ports[name]: greets(port), READY_SECONDS,
                              f"the scanner's {name} SMTP port does not answer")


class Sink:
    """Stands for the organisation's mail server; says on the terminal what it got."""

    def __init__(self, state, places):
        self.state = state
        self.folder = state.path("sink")
        self.program = places.sink

    def start(self, family):
        own_folder(self.folder, CONTROL_CENTER_USER)
        port = self.state.ports["sink"]
        family.start("the sink", [self.program, "--address", ports.ADDRESS, "--port", str(port),
                                  "--folder", self.folder], None, **as_user(CONTROL_CENTER_USER))
        family.wait_until(lambda: greets(port), 20, f"the sink's port {port} does not answer")


def greets(port):
    """Whether an SMTP server says 220 there."""
    try:
        with socket.create_connection((ports.ADDRESS, port), 5) as connection:
            return connection.recv(3) == b"220"
    except OSError:
        return False
