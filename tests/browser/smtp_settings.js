// Settings of the SMTP servers: of one host and of all, as the console sets them and as clients see
// them.
"use strict";

const assert = require("node:assert/strict");
const { configurationRuns, openHost } = require("./console_steps");
const { SENDER, RECIPIENT } = require("./mail");
const { ehlo, freePort, greetingOverTls, lastReply } = require("./wire");
const { test } = require("./suite");

const saved = (page) => page.getByRole("status").filter({ hasText: "Saved" }).waitFor();

const openSettings = async (page, gatehouse) => {
  await openHost(page, gatehouse.host_name);
  await page.getByRole("link", { name: "Settings", exact: true }).click();
  await page.getByRole("heading", { level: 1, name: "SMTP" }).waitFor();
};

const saveSettings = async (page, gatehouse) => {
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await saved(page);
  await configurationRuns(page, gatehouse.host_name);
};

test("a limit for all hosts holds until a host has its own", async ({ page, gatehouse }) => {
  await page.goto("/smtp");
  await page.getByRole("group", { name: "Inbound servers" })
    .getByLabel("Largest message (MB)").fill("7");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await saved(page);
  await configurationRuns(page, gatehouse.host_name);
  assert.match(await ehlo(gatehouse.inbound), /^250-SIZE 7340032\r?$/m);
  await openSettings(page, gatehouse);
  const size = page.getByRole("group", { name: "Inbound server", exact: true })
    .getByLabel("Largest message (MB)");
  assert.equal(await size.inputValue(), "");
  assert.equal(await size.getAttribute("placeholder"), "7");
  assert.match(await page.locator("#help-inbound_megabytes").innerText(), /from all hosts: 7/);
  await size.fill("3");
  await saveSettings(page, gatehouse);
  assert.match(await ehlo(gatehouse.inbound), /^250-SIZE 3145728\r?$/m);
  await openSettings(page, gatehouse);
  assert.match(await page.locator("#help-inbound_megabytes").innerText(), /own value of this host/);
});

test("a listener that cannot be read is refused with its line", async ({ page, gatehouse }) => {
  await openSettings(page, gatehouse);
  const listeners = page.locator("#field-inbound_listeners");
  await listeners.fill(`${await listeners.inputValue()}\n127.0.0.1:2465 ssl`);
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByRole("alert").filter({ hasText: "Line 2 is not an IP address" }).waitFor();
  assert.match(await listeners.inputValue(), /2465 ssl/);
});

test("a listener with TLS from the first byte on is opened", async ({ page, gatehouse }) => {
  const port = await freePort();
  await openSettings(page, gatehouse);
  const listeners = page.locator("#field-inbound_listeners");
  await listeners.fill(`${(await listeners.inputValue()).trim()}\n127.0.0.1:${port} tls`);
  await saveSettings(page, gatehouse);
  const { text, certificate } = await greetingOverTls(port);
  assert.match(text, new RegExp(`^220 ${gatehouse.host_name} ESMTP Gatehouse`));
  assert.equal(certificate.subject.CN, gatehouse.host_name);
});

test("TLS that is required is asked for before mail", async ({ page, gatehouse }) => {
  await openSettings(page, gatehouse);
  await page.locator("#field-outbound_tls").selectOption("required");
  await saveSettings(page, gatehouse);
  assert.match(await lastReply(gatehouse.outbound, [`MAIL FROM:<${SENDER}>`]), /^530 5\.7\.0 /);
  await openSettings(page, gatehouse);
  await page.locator("#field-outbound_tls").selectOption("");
  await page.locator("#field-outbound_auth").selectOption("required");
  await saveSettings(page, gatehouse);
  assert.match(await lastReply(gatehouse.outbound, [`MAIL FROM:<${SENDER}>`]), /^530 5\.7\.0 /);
  await openSettings(page, gatehouse);
  await page.locator("#field-outbound_auth").selectOption("");
  await saveSettings(page, gatehouse);
  assert.match(await lastReply(gatehouse.outbound,
    [`MAIL FROM:<${SENDER}>`, `RCPT TO:<${RECIPIENT}>`]), /^250 /);
});

test("a TLS policy of a domain is added, changed and removed", async ({ page }) => {
  await page.goto("/delivery-security");
  await page.getByLabel("Domain", { exact: true }).fill(".Partner.test");
  await page.locator("#field-policy_tls").selectOption("verified");
  await page.getByRole("button", { name: "Add the policy" }).click();
  const row = page.getByRole("row").filter({ hasText: ".partner.test" });
  assert.match(await row.innerText(), /verified/);
  await row.getByRole("link").click();
  await page.locator("#field-policy_tls").selectOption("required");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await saved(page);
  assert.match(await row.innerText(), /required/);
  await row.getByRole("link").click();
  await page.getByRole("button", { name: "Remove the policy" }).click();
  await page.getByRole("status").filter({ hasText: "Removed" }).waitFor();
  assert.equal(await row.count(), 0);
});

test("bounce protection makes its key, and a new one signs", async ({ page, gatehouse }) => {
  await page.goto("/bounce-protection");
  await page.getByLabel("Tag only").check();
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await saved(page);
  const keys = page.getByRole("region", { name: "Keys" });
  assert.match(await keys.getByRole("row").nth(1).innerText(), /^0\s+signs/);
  await keys.getByRole("button", { name: "Make a new key" }).click();
  await saved(page);
  assert.match(await keys.getByRole("row").nth(1).innerText(), /^1\s+signs/);
  await keys.getByRole("button", { name: "Remove key 0" }).click();
  await page.getByRole("status").filter({ hasText: "Removed" }).waitFor();
  assert.equal(await keys.getByRole("row").count(), 2);
  await page.getByLabel("Off", { exact: true }).check();
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await configurationRuns(page, gatehouse.host_name);
});
