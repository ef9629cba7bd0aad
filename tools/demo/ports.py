"""The TCP ports of the demo: which they are, whether they are free, and who has them."""
import errno
import os
import re
import socket

from demo.problem import Problem

ADDRESS = "127.0.0.1"
DEFAULTS = {"console": 8443, "fleet": 8444, "inbound": 2525, "outbound": 2587, "sink": 2526}


def variable(name):
    return f"GATEHOUSE_{name.upper()}_PORT"


def choose():
    """Port numbers of a new state directory: from the environment, or the usual ones."""
    ports = {}
    for name, default in DEFAULTS.items():
        text = os.environ.get(variable(name), str(default))
        if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
            raise Problem(f"{variable(name)} is {text!r}", "It must be a port number, 1 to 65535.")
        ports[name] = int(text)
    if len(set(ports.values())) < len(ports):
        raise Problem(f"two services cannot share a port: {ports}",
                      "Choose different numbers in " + ", ".join(map(variable, ports)) + ".")
    return ports


def compare(ports):
    """Ports are kept from the first start on: scanner and routes know them."""
    for name, port in ports.items():
        wanted = os.environ.get(variable(name))
        if wanted not in (None, str(port)):
            raise Problem(f"{variable(name)}={wanted}, but this state directory was made with "
                          f"{port}",
                          f"Leave {variable(name)} away, or set GATEHOUSE_STATE to a new folder.")


def listening_inode(port):
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="ascii") as lines:
            for line in lines:
                fields = line.split()
                if len(fields) > 9 and fields[3] == "0A" and \
                        fields[1].endswith(f":{port:04X}"):
                    return fields[9]
    return None


def processes():
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def has_socket(process, inode):
    folder = f"/proc/{process}/fd"
    try:
        return any(os.readlink(f"{folder}/{fd}") == f"socket:[{inode}]"
                   for fd in os.listdir(folder))
    except OSError:
        return False


def describe_holder(port):
    """Such as " by nginx (process 312)"; "" where this user may not know."""
    try:
        inode = listening_inode(port)
        for process in processes() if inode else ():
            if has_socket(process, inode):
                with open(f"/proc/{process}/comm", encoding="utf-8", errors="replace") as name:
                    return f" by {name.read().strip()} (process {process})"
    except OSError:
        pass
    return ""


def complaint(name, port):
    """What keeps us from listening there; None where nothing does."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
            probe.listen(1)
            return None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"port {port} ({name}) is taken{describe_holder(port)}"
            if error.errno == errno.EACCES:
                return f"port {port} ({name}) is for root only"
            return f"port {port} ({name}) cannot be used: {error.strerror}"


def check(ports, is_new):
    complaints = {name: text for name, port in ports.items() if (text := complaint(name, port))}
    if not complaints:
        return
    name = next(iter(complaints))
    remedy = "Stop what has it"
    if is_new:
        remedy += f", or choose another port: {variable(name)}=NUMBER make run."
    else:
        remedy += (", or start with a new state directory and other ports: GATEHOUSE_STATE=FOLDER "
                   f"{variable(name)}=NUMBER make run.")
    raise Problem("\n".join(complaints.values()), remedy)
