"""The state directory: whose it is, who uses it, and how far the first start came."""
import fcntl
import json
import os
import pwd

from demo import ports
from demo.problem import Problem

FORMAT = 1
MARK = "demo.json"       # makes a folder a state directory of ours
SOCKET_PATH_LIMIT = 107  # of a unix socket's name (unix(7))
LONGEST_SOCKET = "scanner/run/directory-control.sock"


def user_name(user):
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"number {user}"


class State:
    """Opened by `open_state`; locked until this process ends."""

    def __init__(self, folder):
        self.folder = folder
        self.is_new = False
        self.ports = {}
        self.steps = []
        self.lock = None

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def done(self, step):
        return step in self.steps

    def note(self, step):
        """Remembers that a step of the first start is behind us."""
        if step not in self.steps:
            self.steps.append(step)
            self.save()

    def save(self):
        with open(self.path(MARK + ".new"), "w", encoding="utf-8") as file:
            json.dump({"format": FORMAT, "ports": self.ports, "steps": self.steps}, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.rename(self.path(MARK + ".new"), self.path(MARK))

    def load(self):
        try:
            with open(self.path(MARK), encoding="utf-8") as file:
                read = json.load(file)
            self.ports = {name: int(read["ports"][name]) for name in ports.DEFAULTS}
            self.steps = [str(step) for step in read["steps"]]
            known = read["format"] == FORMAT
        except (ValueError, KeyError, TypeError) as error:
            raise Problem(f"{self.path(MARK)} cannot be read: {error}",
                          f"The state directory is damaged: move {self.folder} away, or set "
                          "GATEHOUSE_STATE to another folder.") from error
        if not known:
            raise Problem(f"{self.folder} was made by another version of Gatehouse",
                          "Set GATEHOUSE_STATE to another folder.")


def refuse_foreign(folder):
    """Nothing is ever written into a folder with somebody else's files in it."""
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise Problem(f"{folder} is not a folder", "Set GATEHOUSE_STATE to another place.")
    if os.path.isdir(folder) and not os.path.exists(os.path.join(folder, MARK)):
        strange = sorted(name for name in os.listdir(folder)
                         if name not in ("lock", MARK + ".new"))
        if strange:
            raise Problem(f"{folder} is not a state directory of `make run`: it has "
                          f"{strange[0]} in it, and no {MARK}",
                          "Set GATEHOUSE_STATE to another folder, or empty this one.")


def refuse_foreign_owner(folder):
    owner = os.stat(folder).st_uid
    if owner != os.geteuid():
        raise Problem(f"{folder} belongs to the user {user_name(owner)}, and you are "
                      f"{user_name(os.geteuid())}",
                      f"Start as {user_name(owner)}, or set GATEHOUSE_STATE to a folder of yours.")


def take_lock(folder):
    """Returns the open lock file; its content is the process that has it."""
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise Problem(f"another `make run` uses {folder} (process {holder})",
                      "Stop that one with Ctrl-C, or set GATEHOUSE_STATE to another folder.") \
            from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def open_state(folder):
    """Makes the folder where it is missing. Raises Problem where it is not ours to use."""
    if len(os.path.join(folder, LONGEST_SOCKET)) > SOCKET_PATH_LIMIT:
        raise Problem(f"the name of the state directory is too long for unix sockets: {folder}",
                      "Set GATEHOUSE_STATE to a shorter one, such as /tmp/gatehouse.")
    state = State(folder)
    try:
        refuse_foreign(folder)
        os.makedirs(folder, 0o755, exist_ok=True)
        refuse_foreign_owner(folder)
        state.lock = take_lock(folder)
        state.is_new = not os.path.exists(state.path(MARK))
        if state.is_new:
            state.ports = ports.choose()
        else:
            state.load()
            ports.compare(state.ports)
    except OSError as error:
        raise Problem(f"{error.filename or folder}: {error.strerror}",
                      "The state directory needs a place where you may write: set "
                      "GATEHOUSE_STATE.") from error
    return state
