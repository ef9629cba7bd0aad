#!/usr/bin/python3
"""Serves a whole Gatehouse to a test in another language.

Once everything runs, one line of JSON is written to standard output: the ports, an administrator
and the one-time password. Standard input is the leash: a line "logs" writes what the processes
logged to standard error, and its end takes everything down and away again.
"""
import contextlib
import json
import re
import signal
import sys

from stack import Stack

ADMINISTRATOR = "admin"


def show_logs_as_errors(stack):
    with contextlib.redirect_stdout(sys.stderr):
        stack.show_logs()


def describe(stack):
    printed = stack.command("create-administrator", ADMINISTRATOR)
    return {"https": stack.https, "inbound": stack.inbound, "outbound": stack.outbound,
            "sink": stack.sink.port, "host_name": "mx1.test", "administrator": ADMINISTRATOR,
            "one_time_password": re.search(r"one-time password: (\S+)", printed)[1]}


def stop(number, frame):
    sys.exit(128 + number)


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    with contextlib.redirect_stdout(sys.stderr):  # a failing start shows its logs
        stack = Stack()
    try:
        print(json.dumps(describe(stack)), flush=True)
        for line in sys.stdin:
            if line.strip() == "logs":
                show_logs_as_errors(stack)
    finally:
        stack.close()


if __name__ == "__main__":
    main()
