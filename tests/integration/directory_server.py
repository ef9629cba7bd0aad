"""A private OpenLDAP server on loopback with a few people, for tests of the whole scanner."""
import contextlib
import os
import socket
import subprocess

from stack import Process, free_ports, wait_until

BASE = "dc=example,dc=test"
READER = f"cn=reader,{BASE}"
READER_PASSWORD = "the reader's own"

CONFIGURATION = """include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/misc.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
database mdb
maxsize 16777216
suffix "{base}"
directory {folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{reader}" read by anonymous auth by * none
"""

ENTRIES = f"""dn: {BASE}
objectClass: dcObject
objectClass: organization
o: Example

dn: {READER}
objectClass: organizationalRole
objectClass: simpleSecurityObject
userPassword: {READER_PASSWORD}

"""

PERSON = """dn: uid={uid},{base}
objectClass: inetOrgPerson
objectClass: inetLocalMailRecipient
cn: {uid}
sn: {uid}
mail: {uid}@example.test
userPassword: {password}
{more}

"""


class DirectoryServer:
    """`people` is {uid: (password, further lines of LDIF)}."""

    def __init__(self, folder, people):
        self.folder = folder
        os.makedirs(os.path.join(folder, "data"), mode=0o700)
        self.port = free_ports(1)[0]
        self.uri = f"ldap://127.0.0.1:{self.port}"
        self.conf = os.path.join(folder, "slapd.conf")
        self.process = None
        entries = ENTRIES + "".join(
            PERSON.format(uid=uid, base=BASE, password=password, more=more)
            for uid, (password, more) in people.items())
        ldif = os.path.join(folder, "entries.ldif")
        for path, text in ((self.conf, CONFIGURATION.format(folder=folder, base=BASE,
                                                            reader=READER)),
                           (ldif, entries.replace("\n\n\n", "\n\n"))):
            with open(path, "w") as file:
                file.write(text)
        subprocess.run(["/usr/sbin/slapadd", "-f", self.conf, "-l", ldif], check=True,
                       capture_output=True)
        self.start()

    def start(self):
        self.process = Process(["/usr/sbin/slapd", "-f", self.conf, "-h", f"{self.uri}/", "-d", "0"],
                               os.path.join(self.folder, "log"))
        wait_until("the directory server answers", self.is_up)

    def is_up(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
            return True
        return False

    def stop(self):
        if self.process:
            self.process.end()
        self.process = None
