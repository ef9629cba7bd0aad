"""What `make run` promises to a newcomer: one command starts all, one Ctrl-C ends all, the next
start goes on where the last one was, and what is in the way is named."""
import http.client
import os
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

import stack

RUN = os.path.join(stack.ROOT, "tools/run")
PORTS = ("CONSOLE", "FLEET", "INBOUND", "OUTBOUND", "SINK")
DOMAIN = "demo.test"


class Demo:
    """A state directory, and at most one `tools/run` on it whose output goes to a file."""

    def __init__(self):
        self.parent = tempfile.mkdtemp(prefix="gatehouse-run-")
        os.chmod(self.parent, 0o755)  # the processes of root's demo run as other users
        self.folder = os.path.join(self.parent, "state")
        self.ports = dict(zip(PORTS, stack.free_ports(len(PORTS))))
        self.process = None

    def environment(self):
        return {**os.environ, "GATEHOUSE_BUILD": stack.BUILD, "GATEHOUSE_STATE": self.folder,
                **{f"GATEHOUSE_{name}_PORT": str(port) for name, port in self.ports.items()}}

    def start(self):
        self.output = os.path.join(self.parent, "output")
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen([RUN], stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=output, env=self.environment())

    def said(self):
        with open(self.output, encoding="utf-8") as output:
            return output.read()

    def start_ready(self):
        self.start()
        stack.wait_until("the demo is ready", lambda: self.is_ready(), 90)

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError("the demo ended:\n" + self.said())
        return re.search(r"^ready after", self.said(), re.M)

    def end(self, number=signal.SIGINT):
        """Returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(90)

    def refusal(self, **changes):
        """What a start says that does not come far."""
        done = subprocess.run([RUN], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=90,
                              env={**self.environment(), **changes})
        assert done.returncode == 1, done.stdout
        return done.stdout

    def processes(self):
        """Whoever has this state directory in the environment is of this demo."""
        mark = f"GATEHOUSE_STATE={self.folder}".encode()
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/environ", "rb") as environment:
                    if mark in environment.read().split(b"\0"):
                        found.append(int(name))
            except OSError:
                pass
        return found

    def named(self, text):
        """The one process of this demo whose command line has that text."""
        for process in self.processes():
            with open(f"/proc/{process}/cmdline", "rb") as command:
                if text.encode() in command.read():
                    return process
        raise AssertionError(f"no process {text}")

    def delivered(self):
        """The messages that came through, as bytes."""
        messages = []
        for name in sorted(os.listdir(os.path.join(self.folder, "sink"))):
            if name.endswith(".eml"):
                with open(os.path.join(self.folder, "sink", name), "rb") as file:
                    messages.append(file.read())
        return messages

    def send(self, subject, body="Hello.\r\n"):
        with smtplib.SMTP("127.0.0.1", self.ports["INBOUND"], timeout=60) as client:
            client.sendmail("alice@example.org", [f"bob@{DOMAIN}"],
                            f"From: alice@example.org\r\nSubject: {subject}\r\n\r\n{body}")

    def wait_for(self, subject):
        line = f"Subject: {subject}\r\n".encode()
        stack.wait_until(f"{subject} is delivered",
                         lambda: any(line in message for message in self.delivered()), 60)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        stack.wait_until("nothing of the demo runs", lambda: not self.processes(), 60)
        shutil.rmtree(self.parent)


@unittest.skipIf(stack.is_sanitized(), "tests the tools, whose programs are tested otherwise")
class MakeRun(unittest.TestCase):
    def setUp(self):
        self.demo = Demo()
        self.addCleanup(self.demo.close)

    def console_status(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", self.demo.ports["CONSOLE"],
                                                 timeout=10, context=context)
        connection.request("GET", "/sign-in")
        status = connection.getresponse().status
        connection.close()
        return status

    def expect_nothing_left(self):
        self.assertEqual(self.demo.processes(), [])
        for port in self.demo.ports.values():
            with socket.socket() as probe:
                self.assertNotEqual(probe.connect_ex(("127.0.0.1", port)), 0)

    def test_mail_passes_and_a_virus_does_not_and_a_second_start_goes_on(self):
        demo = self.demo
        demo.start_ready()
        self.assertRegex(demo.said(), r"admin, one-time password \w{20}\n")
        self.assertEqual(self.console_status(), 200)
        demo.send("virus", stack.EICAR + "\r\n")
        demo.send("first")
        demo.wait_for("first")
        self.assertIn(f"delivered: <alice@example.org> to bob@{DOMAIN}: first", demo.said())
        self.assertEqual(len(demo.delivered()), 1)
        self.assertEqual(demo.end(), 0)
        self.expect_nothing_left()

        demo.start_ready()
        self.assertIn("admin, as set up before", demo.said())
        self.assertIn("reset-password admin", demo.said())
        self.assertNotRegex(demo.said(), r"one-time password \w{20}\n")
        demo.send("second")
        demo.wait_for("second")
        self.assertEqual(demo.end(), 0)
        self.expect_nothing_left()

    def test_an_interrupted_first_start_still_tells_a_password_later(self):
        demo = self.demo
        demo.start()
        stack.wait_until("the database is there", lambda: os.path.isdir(
            os.path.join(demo.folder, "controlcenter/database")), 60)
        self.assertEqual(demo.end(signal.SIGTERM), 0)
        self.expect_nothing_left()
        demo.start_ready()
        self.assertRegex(demo.said(), r"admin, one-time password \w{20}\n")

    def test_nothing_outlives_a_kill_and_the_next_start_repairs(self):
        demo = self.demo
        demo.start_ready()
        demo.end(signal.SIGKILL)
        stack.wait_until("all of it ends", lambda: not demo.processes(), 60)
        # After a crash of the machine the number may be that of any other process.
        left = os.path.join(demo.folder, "controlcenter/database/postmaster.pid")
        data = os.path.join(demo.folder, "controlcenter/database")
        with open(left, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n{data}\n{int(time.time())}\n5432\n\n\n")
        demo.start_ready()
        demo.send("after")
        demo.wait_for("after")

    def test_a_second_run_on_the_same_state_is_refused_and_so_are_taken_ports(self):
        demo = self.demo
        demo.start_ready()
        self.assertRegex(demo.refusal(),
                         rf"another `make run` uses {demo.folder} \(process {demo.process.pid}\)")
        other = demo.refusal(GATEHOUSE_STATE=demo.folder + "-2")
        port = demo.ports["CONSOLE"]
        self.assertRegex(other, rf"port {port} \(console\) is taken by gatehouse-\S+ \(process")
        self.assertIn("GATEHOUSE_CONSOLE_PORT", other)

    def test_a_service_that_dies_is_named_and_the_rest_is_stopped(self):
        demo = self.demo
        demo.start_ready()
        os.kill(demo.named("gatehouse-controlcenter\0run"), signal.SIGKILL)
        self.assertEqual(demo.process.wait(90), 1)
        self.assertIn("the Control Center was killed by SIGKILL", demo.said())
        self.assertIn("controlcenter.log", demo.said())
        self.expect_nothing_left()

    def test_a_folder_of_somebody_else_is_refused_and_left_alone(self):
        os.mkdir(self.demo.folder)
        with open(os.path.join(self.demo.folder, "thesis.txt"), "w", encoding="ascii"):
            pass
        self.assertIn("is not a state directory", self.demo.refusal())
        self.assertEqual(os.listdir(self.demo.folder), ["thesis.txt"])

    def test_a_damaged_state_directory_is_refused_with_the_way_out(self):
        demo = self.demo
        os.mkdir(demo.folder)
        with open(os.path.join(demo.folder, "demo.json"), "w", encoding="ascii") as file:
            file.write('{"format":')
        text = demo.refusal()
        self.assertIn("demo.json cannot be read", text)
        self.assertIn("GATEHOUSE_STATE", text)

    def test_ports_that_cannot_be_are_refused(self):
        self.assertIn("GATEHOUSE_SINK_PORT", self.demo.refusal(GATEHOUSE_SINK_PORT="none"))
        same = str(self.demo.ports["SINK"])
        self.assertIn("cannot share", self.demo.refusal(GATEHOUSE_INBOUND_PORT=same))


if __name__ == "__main__":
    unittest.main()
