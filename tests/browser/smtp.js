// One message by SMTP, as far as a test needs it.
"use strict";

const net = require("node:net");
const readline = require("node:readline");

const TIMEOUT_MS = 20000;

/** Reads whole replies: the lines up to the one without a hyphen behind its code. */
async function* replies(socket) {
  let lines = [];
  for await (const line of readline.createInterface({ input: socket, crlfDelay: Infinity })) {
    lines.push(line);
    if (line[3] !== "-") {
      yield lines.join("\n");
      lines = [];
    }
  }
}

const dotted = (content) => content.replace(/^\./gm, "..");

/** Resolves to the reply to the content; a reply that refuses an earlier command rejects. */
const sendMail = async (port, { sender, recipients, subject, body }) => {
  const socket = net.connect(port, "127.0.0.1");
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error("no answer by SMTP")));
  const failed = new Promise((_, reject) => socket.on("error", reject));
  const incoming = replies(socket);
  const answer = async () => {
    const { value, done } = await Promise.race([incoming.next(), failed]);
    if (done) throw new Error("the SMTP session ended early");
    return value;
  };
  const expect = async (code, command) => {
    if (command) socket.write(`${command}\r\n`);
    const reply = await answer();
    if (!reply.startsWith(code)) throw new Error(`${command || "connect"}: ${reply}`);
  };
  try {
    await expect("220");
    await expect("250", "EHLO client.test");
    await expect("250", `MAIL FROM:<${sender}>`);
    for (const recipient of recipients) await expect("250", `RCPT TO:<${recipient}>`);
    await expect("354", "DATA");
    const head = `From: ${sender}\r\nTo: ${recipients.join(", ")}\r\nSubject: ${subject}`;
    socket.write(`${dotted(`${head}\r\n\r\n${body}`)}\r\n.\r\n`);
    return await answer();
  } finally {
    socket.destroy();
    failed.catch(() => {});
  }
};

module.exports = { sendMail };
