"""The Control Center: its configuration file, its first administrator, its answers."""
import http.client
import json
import os
import pwd
import re
import ssl

from demo import ports
from demo.places import CONTROL_CENTER_USER, as_user, is_root
from demo.problem import Problem
from demo.processes import run_command

ADMINISTRATOR = "admin"
READY_SECONDS = 60


class ControlCenter:
    def __init__(self, state, places, database):
        self.state = state
        self.places = places
        self.database = database
        self.config = state.path("controlcenter/config.json")
        self.program = places.programs["gatehouse-controlcenter"]
        self.user = as_user(CONTROL_CENTER_USER)

    def url(self):
        return f"https://{ports.ADDRESS}:{self.state.ports['console']}"

    def fleet_url(self):
        return f"https://{ports.ADDRESS}:{self.state.ports['fleet']}"

    def write_config(self):
        content = {
            "database": self.database.connection(),
            "https": {"address": ports.ADDRESS, "port": self.state.ports["console"]},
            "fleet": {"address": ports.ADDRESS, "port": self.state.ports["fleet"],
                      "names": [ports.ADDRESS, "localhost", "::1"]},
            **self.places.files,
        }
        with open(self.config, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
        if is_root():
            entry = pwd.getpwnam(CONTROL_CENTER_USER)
            os.chown(self.config, entry.pw_uid, entry.pw_gid)
        os.chmod(self.config, 0o600)

    def command(self, *arguments):
        return run_command([self.program, *arguments, "--config", self.config],
                           f"gatehouse-controlcenter {arguments[0]}", **self.user)

    def command_text(self, *arguments):
        """The same as a person would type it."""
        return " ".join([self.program, *arguments, "--config", self.config])

    def start(self, family):
        self.write_config()
        self.command("migrate")
        family.start("the Control Center", [self.program, "run", "--config", self.config],
                     self.state.path("log/controlcenter.log"), **self.user)
        family.wait_until(self.answers, READY_SECONDS, f"{self.url()} does not answer")

    def answers(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # self-signed, and nothing secret is said
        connection = http.client.HTTPSConnection(ports.ADDRESS, self.state.ports["console"],
                                                 timeout=5, context=context)
        try:
            connection.request("GET", "/sign-in")
            return connection.getresponse().status < 500
        except OSError:
            return False
        finally:
            connection.close()

    def create_administrator(self):
        """The one-time password; "" where an earlier start has told it already."""
        if self.state.done("administrator"):
            return ""
        try:
            output = self.command("create-administrator", ADMINISTRATOR)
        except Problem:
            # An earlier start was interrupted before the password was told.
            output = self.command("reset-password", ADMINISTRATOR)
        return re.search(r"one-time password: (\S+)", output)[1]

    def create_token(self, host_name):
        output = self.command(
            "create-token", host_name,
            "--inbound", f"{ports.ADDRESS}:{self.state.ports['inbound']}",
            "--outbound", f"{ports.ADDRESS}:{self.state.ports['outbound']}")
        return re.search(r"^token: (\S+)$", output, re.M)[1]

    def set_route(self, domain, port):
        self.command("set-route", domain, f"{ports.ADDRESS}:{port}")
