// A private OpenLDAP server on loopback with a few people, below one temporary folder.
"use strict";

const { execFileSync, spawn } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const { until } = require("./suite");

const BASE = "dc=people,dc=test";
const READER = `cn=reader,${BASE}`;
const PASSWORD = "reader's secret";

const configuration = (folder) => `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/misc.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile ${folder}/pid
database mdb
maxsize 16777216
suffix "${BASE}"
directory ${folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="${READER}" read by anonymous auth by * none
`.trimStart();

const ENTRIES = `
dn: ${BASE}
objectClass: dcObject
objectClass: organization
o: People

dn: ${READER}
objectClass: organizationalRole
objectClass: simpleSecurityObject
userPassword: ${PASSWORD}

dn: uid=rose,${BASE}
objectClass: inetOrgPerson
objectClass: inetLocalMailRecipient
cn: Rose
sn: Gardener
mail: rose@people.test
mailLocalAddress: rose@people.test
mailHost: mail.people.test:2525

dn: cn=gardeners,${BASE}
objectClass: groupOfNames
member: uid=rose,${BASE}
`.trimStart();

const freePort = async () => {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
};

const isUp = (port) =>
  new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });

/** Resolves to the server: uri, base, reader, password, close(). */
const startSlapd = async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "gatehouse-slapd-"));
  const remove = () => fs.rmSync(folder, { recursive: true, force: true });
  const file = path.join(folder, "slapd.conf");
  const uri = `ldap://127.0.0.1:${await freePort()}`;
  fs.mkdirSync(path.join(folder, "data"));
  fs.writeFileSync(file, configuration(folder));
  fs.writeFileSync(path.join(folder, "entries.ldif"), ENTRIES);
  execFileSync("/usr/sbin/slapadd", ["-f", file, "-l", path.join(folder, "entries.ldif")]);
  const child = spawn("/usr/sbin/slapd", ["-f", file, "-h", uri, "-d", "0"], { stdio: "ignore" });
  child.unref();
  process.once("exit", () => {
    child.kill("SIGKILL");
    remove();
  });
  await until("slapd answers", () => isUp(Number(new URL(uri).port)));
  const close = async () => {
    const ended = once(child, "exit");
    child.kill();
    await ended;
  };
  return { uri, base: BASE, reader: READER, password: PASSWORD, close };
};

module.exports = { startSlapd };
