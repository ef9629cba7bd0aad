// The mail flow of a host, as the console sets it and as clients see it.
"use strict";

const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const { configurationRuns, findMessage, openHost } = require("./console_steps");
const { RECIPIENT, SENDER } = require("./mail");
const { sendMail } = require("./smtp");
const { greeting } = require("./wire");
const { test } = require("./suite");

const waiting = `Waiting ${randomBytes(4).toString("hex")}`;

const setFlow = async (page, gatehouse, direction, choice) => {
  await openHost(page, gatehouse.host_name);
  const flow = page.getByRole("region", { name: /^Mail flow/ });
  await flow.getByRole("group", { name: direction }).getByLabel(choice, { exact: true }).check();
  await flow.getByRole("button", { name: "Change the mail flow" }).click();
  await page.getByRole("status").filter({ hasText: "Saved" }).waitFor();
  await configurationRuns(page, gatehouse.host_name);
};

test("a paused delivery accepts messages and keeps them", async ({ page, gatehouse }) => {
  await setFlow(page, gatehouse, "Inbound mail", "Pause delivery");
  const reply = await sendMail(gatehouse.inbound, {
    sender: SENDER, recipients: [RECIPIENT], subject: waiting, body: "Hello",
  });
  assert.match(reply, /^250 /);
  await findMessage(page, waiting, "queued");
  await page.goto("/hosts");
  const row = page.getByRole("row").filter({ hasText: gatehouse.host_name });
  assert.match(await row.innerText(), /inbound delivery paused/);
});

test("without accepting, connections get 421 and the queue drains", async ({ page, gatehouse }) => {
  await setFlow(page, gatehouse, "Inbound mail", "Do not accept incoming messages");
  assert.match(await greeting(gatehouse.inbound), /^421 /);
  assert.match(await greeting(gatehouse.outbound), /^220 /);
  await findMessage(page, waiting, "delivered");
  await page.goto("/");
  await page.getByRole("region", { name: "Needs attention" })
    .getByText("does not accept inbound mail").waitFor();
});

test("the normal flow is chosen again", async ({ page, gatehouse }) => {
  await setFlow(page, gatehouse, "Inbound mail", "Accept and deliver normally");
  assert.match(await greeting(gatehouse.inbound), /^220 /);
  await page.goto("/hosts");
  const row = page.getByRole("row").filter({ hasText: gatehouse.host_name });
  assert.doesNotMatch(await row.innerText(), /inbound (not accepted|delivery|stopped)/);
});
