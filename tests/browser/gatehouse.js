// A whole Gatehouse of its own, by the harness of the integration tests.
"use strict";

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const path = require("node:path");
const readline = require("node:readline");

const SERVER = path.join(__dirname, "../integration/serve_stack.py");

/** Resolves to the ports and the administrator, with close() and showLogs(). */
const startGatehouse = async () => {
  const child = spawn("python3", ["-B", SERVER], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "exit");
  child.stdin.on("error", () => {}); // it may end by itself; its status says so
  const lines = readline.createInterface({ input: child.stdout });
  const first = await Promise.race([once(lines, "line"), ended.then(() => null)]);
  if (!first) throw new Error("Gatehouse did not start; what it logged stands above");
  return {
    ...JSON.parse(first[0]),
    showLogs: () => child.stdin.write("logs\n"),
    close: async () => {
      child.stdin.end();
      const [status, signal] = await ended;
      if (status !== 0) throw new Error(`the end of Gatehouse: status ${status}, ${signal}`);
    },
  };
};

module.exports = { startGatehouse };
