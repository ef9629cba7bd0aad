// What an SMTP client sees of a server before it sends mail.
"use strict";

const net = require("node:net");
const tls = require("node:tls");

const TIMEOUT_MS = 10000;

const connected = (socket, event) =>
  new Promise((resolve, reject) => {
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error("no answer by SMTP")));
    socket.once(event, resolve);
    socket.once("error", reject);
  });

/** One whole reply; "" where the server closes instead. */
const readReply = (socket) =>
  new Promise((resolve, reject) => {
    let text = "";
    const end = (value) => {
      socket.off("data", take);
      socket.off("end", close);
      resolve(value);
    };
    const close = () => end(text);
    const take = (data) => {
      text += data.toString();
      if (/^\d{3}(?: .*)?\r\n$/m.test(text.slice(text.lastIndexOf("\n", text.length - 2) + 1)))
        end(text.trimEnd());
    };
    socket.on("data", take);
    socket.once("end", close);
    socket.once("error", reject);
  });

const ask = async (socket, command) => {
  socket.write(`${command}\r\n`);
  return readReply(socket);
};

/** Runs `use` with a connected socket and the greeting, and closes the socket. */
const withSocket = async (socket, event, use) => {
  try {
    const greeting = readReply(socket);
    await connected(socket, event);
    return await use(socket, await greeting);
  } finally {
    socket.destroy();
  }
};

const withServer = (port, use) => withSocket(net.connect(port, "127.0.0.1"), "connect", use);

const greeting = (port) => withServer(port, async (socket, text) => text);

const ehlo = (port) => withServer(port, (socket) => ask(socket, "EHLO client.test"));

/** The reply to the last one of the commands after EHLO. */
const lastReply = (port, commands) =>
  withServer(port, async (socket) => {
    let reply = await ask(socket, "EHLO client.test");
    for (const command of commands) reply = await ask(socket, command);
    return reply;
  });

/** The certificate that STARTTLS shows. */
const certificateOf = (port) =>
  withServer(port, async (socket) => {
    await ask(socket, "EHLO client.test");
    const reply = await ask(socket, "STARTTLS");
    if (!reply.startsWith("220")) throw new Error(`STARTTLS: ${reply}`);
    const secure = tls.connect({ socket, rejectUnauthorized: false });
    await connected(secure, "secureConnect");
    return secure.getPeerCertificate();
  });

/** The greeting over TLS from the first byte on, and the certificate. */
const greetingOverTls = (port) => {
  const socket = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  return withSocket(socket, "secureConnect", async (secure, text) => ({
    text, certificate: secure.getPeerCertificate(),
  }));
};

/** A port that nothing listens at. */
const freePort = () =>
  new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

module.exports = { greeting, ehlo, lastReply, certificateOf, greetingOverTls, freePort };
