// Debian's Chromium, and what it complains of while it shows the console.
"use strict";

const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { chromium } = require("playwright-core");

const CHROMIUM = "/usr/bin/chromium";
const ARGUMENTS = [
  "--no-sandbox", // it would need privileges that a container does not give
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];
const TIMEOUT_MS = 10000;

/** A form that is refused comes back with a status of 4xx, which Chromium notes as an error. */
const isRefusedPage = (message, page) =>
  /^Failed to load resource: .* status of 4\d\d/.test(message.text()) &&
  !new URL(message.location().url).pathname.startsWith("/static/") &&
  message.location().url === page.url();

class Complaints {
  constructor() {
    this.list = [];
  }

  watch(context) {
    context.on("page", (page) => {
      const note = (text) => this.list.push(`${page.url()}: ${text}`);
      page.on("console", (message) => {
        const isBad = ["error", "warning"].includes(message.type());
        if (isBad && !isRefusedPage(message, page)) note(message.text());
      });
      page.on("pageerror", (error) => note(error.message));
      page.on("dialog", (dialog) => {
        note(`a dialog says ${dialog.message()}`);
        return dialog.dismiss();
      });
      page.on("response", (response) => {
        if (response.status() >= 500) note(`${response.url()} answers ${response.status()}`);
      });
    });
  }

  /** What was noted since it was last taken. */
  take() {
    return this.list.splice(0);
  }
}

/** Starts Chromium with a home of its own, which close() takes away. */
const startBrowser = async (port) => {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), "gatehouse-browser-"));
  const remove = () => fs.rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  const environment = { ...process.env, HOME: home, TMPDIR: home };
  for (const name of ["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"])
    delete environment[name];
  const complaints = new Complaints();
  let browser;
  try {
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ARGUMENTS,
      env: environment,
      handleSIGINT: false, // index.js exits
      handleSIGTERM: false,
      handleSIGHUP: false,
    });
    process.once("exit", remove); // after Playwright's own, which kills Chromium
  } catch (error) {
    remove();
    throw error;
  }
  const newPage = async (options = {}) => {
    const context = await browser.newContext({
      baseURL: `https://127.0.0.1:${port}`,
      ignoreHTTPSErrors: true, // the certificate is the Control Center's own
      viewport: { width: 1280, height: 900 },
      colorScheme: "light",
      reducedMotion: "reduce",
      ...options,
    });
    context.setDefaultTimeout(TIMEOUT_MS);
    complaints.watch(context);
    return context.newPage();
  };
  const close = async () => {
    await browser.close();
    remove();
  };
  return { newPage, complaints, close };
};

module.exports = { startBrowser };
