"""Where programs and files are, who runs them, and whether those may reach them."""
import os
import pwd
import shutil
import subprocess

from demo.problem import Problem

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FALLBACK_STATE = "/var/lib/gatehouse-demo"
SCANNER_USERS = ("gatehouse-mta", "gatehouse-engine", "gatehouse-directory", "gatehouse-agent")
CONTROL_CENTER_USER = "gatehouse-controlcenter"
PROGRAMS = {
    "gatehouse-controlcenter": "controlcenter",
    "gatehouse-scanner": "scanner/supervisor",
    "gatehouse-mta": "scanner/mta",
    "gatehouse-engine": "scanner/engine",
    "gatehouse-directory": "scanner/directory",
    "gatehouse-agent": "scanner/agent",
}


def build_folder():
    return os.environ.get("GATEHOUSE_BUILD") or os.path.join(CHECKOUT, "build")


def is_root():
    return os.geteuid() == 0


def as_user(name):
    """Arguments for subprocess that make the child another user where we are root."""
    if not is_root():
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def may(name, right, path):
    """Whether that user may use (x) or read (r) the path: asked as that user."""
    return subprocess.run(["/usr/bin/test", f"-{right}", path], cwd="/", check=False,
                          **as_user(name)).returncode == 0


def create_users():
    if is_root():
        subprocess.run([os.path.join(CHECKOUT, "tools/create-users")], check=True)


def nearest_folder(path):
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def state_folder():
    """GATEHOUSE_STATE, or ./state. Root's processes run as others, who cannot enter /root."""
    wanted = os.environ.get("GATEHOUSE_STATE")
    folder = os.path.abspath(wanted or os.path.join(CHECKOUT, "state"))
    if not is_root() or may(CONTROL_CENTER_USER, "x", nearest_folder(folder)):
        return folder
    if wanted:
        raise Problem(f"{folder} lies where only root may enter, and Gatehouse's processes do not "
                      "run as root", "Set GATEHOUSE_STATE to a folder that others can enter.")
    print(f"{CHECKOUT} can be entered by root only: the state directory is {FALLBACK_STATE}")
    return FALLBACK_STATE


class Places:
    """Programs and files as the processes shall find them."""

    def __init__(self):
        self.build = build_folder()
        self.files = {"templates": os.path.join(CHECKOUT, "templates"),
                      "schema": os.path.join(CHECKOUT, "schema"),
                      "webroot": os.path.join(self.build, "webroot")}
        self.programs = {name: os.path.join(self.build, folder, name)
                         for name, folder in PROGRAMS.items()}
        self.sink = os.path.join(CHECKOUT, "tools/mail-sink")
        self.check()

    def check(self):
        missing = [path for path in [*self.programs.values(), *self.files.values()]
                   if not os.path.exists(path)]
        if missing:
            raise Problem(f"{missing[0]} is missing", "Build first: make build")

    def reachable(self):
        return all(may(CONTROL_CENTER_USER, "r", path) and may(CONTROL_CENTER_USER, "x", path)
                   for path in [*self.programs.values(), *self.files.values()]) and \
            may(CONTROL_CENTER_USER, "r", self.sink)

    def settle(self, state):
        """Where the checkout is closed to the processes' users, they get copies."""
        if not is_root() or self.reachable():
            return
        target = state.path("programs")
        shutil.rmtree(target, ignore_errors=True)
        os.mkdir(target, 0o755)
        for name in self.programs:
            self.programs[name] = copy(self.programs[name], target)
        for name in self.files:
            self.files[name] = copy(self.files[name], target)
        self.sink = copy(self.sink, target)


def copy(source, folder):
    target = os.path.join(folder, os.path.basename(source))
    if os.path.isdir(source):
        shutil.copytree(source, target, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(source, target)
        os.chmod(target, 0o755)
    for parent, folders, files in os.walk(target):
        for name in folders:
            os.chmod(os.path.join(parent, name), 0o755)
        for name in files:
            os.chmod(os.path.join(parent, name), 0o644)
    if os.path.isdir(target):
        os.chmod(target, 0o755)
    return target


def own_folder(path, name, mode=0o700):
    """A folder that belongs to that user."""
    os.makedirs(path, mode, exist_ok=True)
    if is_root():
        entry = pwd.getpwnam(name)
        os.chown(path, entry.pw_uid, entry.pw_gid)
    os.chmod(path, mode)
