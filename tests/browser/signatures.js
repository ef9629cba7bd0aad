// Custom signatures and how they are updated.
"use strict";

const assert = require("node:assert/strict");
const { configurationRuns } = require("./console_steps");
const { test } = require("./suite");

const rowOf = (page, name) => page.getByRole("row").filter({ hasText: name });

test("a broken signature is refused at its field with the line", async ({ page }) => {
  await page.goto("/malware/signatures");
  await page.getByLabel("Name", { exact: true }).fill("browser.yar");
  await page.getByLabel("Or its text").fill("rule a { condition: true }\nrule b { condition: $x }");
  await page.getByRole("button", { name: "Try and add" }).click();
  await page.getByRole("alert").getByText("refused line 2").waitFor();
  assert.match(await page.getByLabel("Or its text").getAttribute("aria-describedby"), /error-text/);
  assert.match(await page.getByLabel("Or its text").inputValue(), /rule b/);
  assert.equal(await rowOf(page, "browser.yar").count(), 0);
});

test("a signature file is uploaded, switched off and on", async ({ page, gatehouse }) => {
  await page.goto("/malware/signatures");
  await page.getByLabel("Name", { exact: true }).fill("browser.ndb");
  await page.getByLabel("File", { exact: true }).setInputFiles({
    name: "anything.ndb", mimeType: "text/plain",
    buffer: Buffer.from("Browser.Test:0:*:62726f777365722d746573742d7369676e6174757265\n") });
  await page.getByRole("button", { name: "Try and add" }).click();
  await page.getByRole("status").filter({ hasText: "Added" }).waitFor();
  assert.match(await rowOf(page, "browser.ndb").innerText(), /byte patterns[^]*in use[^]*1/);
  await configurationRuns(page, gatehouse.host_name);
  await page.goto("/malware/signatures");
  await page.getByRole("button", { name: "Switch off browser.ndb" }).click();
  await rowOf(page, "browser.ndb").getByText("off", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Switch on browser.ndb" }).click();
  await rowOf(page, "browser.ndb").getByText("in use", { exact: true }).waitFor();
});

test("an update cannot be asked of a host without freshclam", async ({ page, gatehouse }) => {
  await page.goto("/malware/signatures");
  await page.getByRole("button", { name: `Update now ${gatehouse.host_name}` }).click();
  await page.getByRole("alert").getByText("freshclam is not installed").waitFor();
});

test("the settings of updates are kept, and the password is not shown", async ({ page }) => {
  await page.goto("/malware/signatures");
  await page.getByRole("link", { name: "Update settings" }).click();
  await page.getByLabel("Hours between updates").fill("0");
  await page.getByLabel("Further databases").fill("http://127.0.0.1:9/a.ndb\nftp://127.0.0.1/b.ndb");
  await page.getByLabel("Host", { exact: true }).fill("127.0.0.1");
  await page.getByLabel("User", { exact: true }).fill("me");
  await page.getByLabel("Password", { exact: true }).fill("never-shown");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByRole("alert").getByText("Line 2").waitFor();
  assert.equal(await page.getByLabel("Password", { exact: true }).inputValue(), "");
  await page.getByLabel("Further databases").fill("http://127.0.0.1:9/a.ndb");
  await page.getByLabel("Password", { exact: true }).fill("never-shown");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByRole("status").filter({ hasText: "Saved" }).waitFor();
  await page.getByRole("link", { name: "Update settings" }).click();
  await page.getByText("One is stored").waitFor();
  assert.doesNotMatch(await page.content(), /never-shown/);
  assert.equal(await page.getByLabel("User", { exact: true }).inputValue(), "me");
});
