// A page in a light, a dark and a narrow window: a picture for people to look at, what axe-core
// finds, and whether the page fits.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");

const PICTURES = path.join(__dirname, "../artefacts/browser");
const AXE = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const CONTRAST = "color-contrast";
// Each view after the first is asked only for what it can change.
const VIEWS = [
  { name: "light", colorScheme: "light", width: 1280, height: 900, rules: {} },
  { name: "dark", colorScheme: "dark", width: 1280, height: 900,
    rules: { runOnly: { type: "rule", values: [CONTRAST] } } },
  { name: "narrow", colorScheme: "light", width: 390, height: 844,
    rules: { rules: { [CONTRAST]: { enabled: false } } } },
];

const seriousViolations = async (page, rules) => {
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(`${AXE}; undefined`);
  const options = { resultTypes: ["violations"], preload: false, ...rules };
  const found = await page.evaluate((how) => globalThis.axe.run(document, how), options);
  return found.violations
    .filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ").slice(0, 600)}`);
};

const isTooWide = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);

const look = async (page, name) => {
  const problems = [];
  fs.mkdirSync(PICTURES, { recursive: true });
  for (const view of VIEWS) {
    await page.emulateMedia({ colorScheme: view.colorScheme });
    await page.setViewportSize({ width: view.width, height: view.height });
    await page.screenshot({ path: path.join(PICTURES, `${name}-${view.name}.png`), fullPage: true });
    for (const violation of await seriousViolations(page, view.rules))
      problems.push(`${view.name} ${violation}`);
    if (await isTooWide(page)) problems.push(`${view.name}: the page is wider than the window`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 900 });
  assert.deepEqual(problems, []);
};

module.exports = { look };
