"use strict";

const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const { configurationRuns, findMessage } = require("./console_steps");
const { sendMail } = require("./smtp");
const { test } = require("./suite");

const DOMAIN = "browser.test";
const RECIPIENT = `rose@${DOMAIN}`;
const SENDER = "sender@client.test";
const subject = `Invoice ${randomBytes(4).toString("hex")}`;

test("a domain without a relay is refused and names the field", async ({ page }) => {
  await page.goto("/domains/new");
  await page.getByLabel("Domain", { exact: true }).fill(DOMAIN);
  await page.getByLabel("These relays").check();
  await page.getByRole("button", { name: "Add domain" }).click();
  await page.getByRole("alert").filter({ hasText: "at least one relay" }).waitFor();
  assert.equal(await page.getByLabel("Domain", { exact: true }).inputValue(), DOMAIN);
});

test("a domain with its route is added by the form and listed", async ({ page, gatehouse }) => {
  await page.getByLabel("Relays", { exact: true }).fill(`127.0.0.1:${gatehouse.sink}`);
  await page.getByRole("button", { name: "Add domain" }).click();
  const row = page.getByRole("row").filter({ hasText: DOMAIN });
  await row.filter({ hasText: `127.0.0.1:${gatehouse.sink}` }).waitFor();
  await configurationRuns(page, gatehouse.host_name);
});

test("a message sent by SMTP is found by its subject", async ({ page, gatehouse }) => {
  const reply = await sendMail(gatehouse.inbound, {
    sender: SENDER, recipients: [RECIPIENT], subject, body: "Hello\r\n.Rose",
  });
  assert.match(reply, /^250 /);
  await findMessage(page, subject, "delivered");
  await page.goto("/audit");
  await page.getByLabel("Subject").fill(subject);
  await page.getByRole("button", { name: "Search" }).click();
  const row = page.getByRole("row").filter({ hasText: subject });
  assert.equal(await row.count(), 1);
  assert.match(await row.innerText(), /clean/);
});

test("the page of a message shows its recipient and the reply", async ({ page }) => {
  await page.getByRole("link", { name: subject }).click();
  await page.getByRole("heading", { level: 1, name: subject }).waitFor();
  const recipients = page.getByRole("region", { name: "Recipients" });
  const row = recipients.getByRole("row").filter({ hasText: RECIPIENT });
  assert.match(await row.innerText(), /delivered[^]*250 2\.0\.0 Ok/);
  assert.match(await page.getByRole("region", { name: "What happened" }).innerText(),
    /Received from[^]*Scanned[^]*Delivered/);
});

test("markup in a subject is shown as text", async ({ page, gatehouse, browser }) => {
  const markup = `<script>alert(1)</script>${randomBytes(4).toString("hex")}`;
  await sendMail(gatehouse.inbound, {
    sender: SENDER, recipients: [RECIPIENT], subject: markup, body: "Hello",
  });
  const row = await findMessage(page, markup, "delivered");
  await row.getByRole("link").click();
  await page.getByRole("heading", { level: 1, name: markup }).waitFor();
  assert.equal(await page.getByRole("heading", { level: 1 }).textContent(), markup);
  assert.equal(await page.locator("script:not([src])").count(), 0);
  assert.deepEqual(browser.complaints.list, []);
});

test("a search for what cannot be is refused with a reason", async ({ page }) => {
  await page.goto("/audit?ip=nowhere");
  await page.getByRole("alert").filter({ hasText: "Write a whole IP address" }).waitFor();
});

module.exports = { subject, RECIPIENT, SENDER };
