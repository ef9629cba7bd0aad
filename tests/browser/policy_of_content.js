"use strict";

const assert = require("node:assert/strict");
const { test } = require("./suite");

test("pages forbid scripts and styles within themselves", async ({ page }) => {
  const response = await page.goto("/");
  const policy = response.headers()["content-security-policy"] || "";
  assert.match(policy, /default-src|script-src/);
  assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval|\*/);
});

test("no page broke the content policy or logged an error", async ({ browser }) => {
  assert.deepEqual(browser.complaints.take(), []);
});

test("a script within a page is refused, and noted here", async ({ page, browser }) => {
  await page.goto("/");
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "document.title = 'it ran'";
    document.body.append(script);
  });
  assert.match(await page.title(), /^Dashboard/);
  assert.match(browser.complaints.take().join("\n"), /Content Security Policy/);
});
