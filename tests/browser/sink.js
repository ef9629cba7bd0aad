// A mail server that keeps what it is sent, or answers that it cannot take anything now.
"use strict";

const { once } = require("node:events");
const net = require("node:net");
const readline = require("node:readline");

const serve = async (socket, sink) => {
  const say = (text) => socket.write(`${text}\r\n`);
  const lines = readline.createInterface({ input: socket, crlfDelay: Infinity });
  let content = null;
  let recipients = [];
  say("220 sink.test ESMTP");
  for await (const line of lines) {
    const word = line.slice(0, 4).toUpperCase();
    if (content) {
      if (line !== ".") {
        content.push(line);
        continue;
      }
      sink.messages.push({ recipients, content: content.join("\n") });
      content = null;
      say("250 2.0.0 kept");
    } else if (word === "QUIT") {
      say("221 2.0.0 bye");
      socket.end();
    } else if (word === "MAIL" && sink.isClosed) {
      say("451 4.3.0 closed for now");
    } else if (word === "DATA") {
      say("354 go on");
      content = [];
    } else {
      if (word === "MAIL" || word === "RSET") recipients = [];
      if (word === "RCPT") recipients.push(/<(.*?)>/.exec(line)[1]);
      say("250 2.0.0 Ok");
    }
  }
};

/** Resolves to the sink: port, messages ({recipients, content}), isClosed, received(), close(). */
const startSink = async ({ isClosed = false } = {}) => {
  const sockets = new Set();
  const sink = { messages: [], isClosed };
  const server = net.createServer((socket) => {
    socket.unref(); // a test that failed must not keep the program from its end
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    serve(socket, sink).catch(() => socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  server.unref();
  sink.port = server.address().port;
  sink.received = (address) => sink.messages.filter(({ recipients }) => recipients.includes(address));
  sink.close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return sink;
};

module.exports = { startSink };
