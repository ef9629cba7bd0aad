"""Child processes: started in their own session, watched, and stopped in order."""
import ctypes
import os
import signal
import subprocess
import time

from demo.problem import Problem

PR_SET_PDEATHSIG = 1
SHOWN_LINES = 12
libc = ctypes.CDLL(None, use_errno=True)


class Child:
    """One service. `stop_signal` asks it to end, and reaches it too where this process dies."""

    def __init__(self, name, command, log, stop_signal=signal.SIGTERM, stop_seconds=30, **options):
        self.name = name
        self.log = log
        self.stop_signal = stop_signal
        self.stop_seconds = stop_seconds

        def tie_to_parent():
            libc.prctl(PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)

        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640) if log else None
        self.log_start = os.fstat(output).st_size if log else 0
        try:
            # A session of its own, so that Ctrl-C reaches only us, who stop them in order.
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/",
                start_new_session=True, preexec_fn=tie_to_parent, umask=0o027, **options)
        finally:
            if output is not None:
                os.close(output)

    def has_ended(self):
        return self.process.poll() is not None

    def how_it_ended(self):
        status = self.process.returncode
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def last_words(self):
        """What it wrote last in this run, and where the rest is."""
        if not self.log:
            return ""
        with open(self.log, "rb") as file:
            file.seek(self.log_start)
            lines = file.read().decode("utf-8", "replace").splitlines()
        shown = "".join(f"    {line}\n" for line in lines[-SHOWN_LINES:])
        return f"{shown}  Its log: {self.log}"

    def stop(self):
        """Returns False where it had to be killed."""
        if self.has_ended():
            return True
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(self.stop_seconds)
            return True
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return False


class Family:
    """All children, in the order of their start."""

    def __init__(self):
        self.children = []

    def start(self, *arguments, **options):
        child = Child(*arguments, **options)
        self.children.append(child)
        return child

    def check(self):
        for child in self.children:
            if child.has_ended():
                raise Problem(f"{child.name} {child.how_it_ended()}", child.last_words())

    def wait_until(self, ready, seconds, what):
        """Looks often; ends early where a child dies."""
        end = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > end:
                raise Problem(f"{what} after {seconds} s", "\n".join(
                    f"{child.name}:\n{child.last_words()}" for child in self.children[-1:]))
            time.sleep(0.05)

    def stop(self):
        while self.children:
            child = self.children.pop()
            if not child.stop():
                print(f"{child.name} did not end in {child.stop_seconds} s and was killed",
                      flush=True)


def run_command(command, what, **options):
    """Runs a program to its end; its output is returned, or shown where it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, cwd="/", check=False, text=True,
                          errors="replace", start_new_session=True, **options)
    if done.returncode != 0:
        raise Problem(f"{what} failed", done.stdout.strip())
    return done.stdout
