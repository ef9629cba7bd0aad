// The console as a browser shows it, over a whole Gatehouse that carries mail.
//
// usage: [GATEHOUSE_BUILD=FOLDER] node tests/browser
//
// Pictures of every page go to tests/artefacts/browser/.
"use strict";

const { startBrowser } = require("./browser");
const { startGatehouse } = require("./gatehouse");
const { runAll } = require("./suite");

for (const topic of ["sign_in", "dashboard", "mail", "malware", "signatures", "hosts", "domains", "queues", "directory", "flow", "certificates",
  "smtp_settings", "policies", "incidents", "links", "no_script", "every_page",
  "policy_of_content", "sign_out"])
  require(`./${topic}`);

const runOver = async (gatehouse) => {
  const browser = await startBrowser(gatehouse.https);
  try {
    const world = { gatehouse, browser, page: await browser.newPage() };
    const { passed, failed } = await runAll(world);
    if (failed) gatehouse.showLogs();
    return { passed, failed };
  } finally {
    await browser.close();
  }
};

// At the exit Chromium is killed and Gatehouse's leash ends.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));

const main = async () => {
  const gatehouse = await startGatehouse();
  let counts;
  try {
    counts = await runOver(gatehouse);
  } finally {
    await gatehouse.close();
  }
  console.log(`browser: ${counts.passed} passed, ${counts.failed} failed`);
  process.exitCode = counts.failed ? 1 : 0;
};

main().catch((error) => {
  console.error(error);
  console.log("browser: 0 passed, 1 failed");
  process.exitCode = 1;
});
