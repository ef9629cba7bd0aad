// The message queues: mail that a closed host refuses waits, and each action shows on the wire.
"use strict";

const assert = require("node:assert/strict");
const { configurationRuns, findMessage } = require("./console_steps");
const { signIn, PASSWORD } = require("./sign_in");
const { startSink } = require("./sink");
const { sendMail } = require("./smtp");
const { test, until } = require("./suite");

const DOMAIN = "queued.test";
const SENDERS = "senders.test";
const NAMES = ["bounced", "deleted", "flushed", "held", "rerouted", "shown"];
const sinks = {}; // `closed` is that of the domain, `other` another host

const addDomain = async (page, name, port) => {
  await page.goto("/domains/new");
  await page.getByLabel("Domain", { exact: true }).fill(name);
  await page.getByLabel("These relays").check();
  await page.getByLabel("Relays", { exact: true }).fill(`127.0.0.1:${port}`);
  await page.getByRole("button", { name: "Add domain" }).click();
  await page.getByRole("row").filter({ hasText: name }).first().waitFor();
};

const rowOf = (page, name) => page.getByRole("row").filter({ hasText: `${name}@${DOMAIN}` });

const openQueue = (page) => page.goto(`/queues?domain=${DOMAIN}`);

/** Selects one message, and takes the action as far as its confirmation. */
const choose = async (page, name, action) => {
  await openQueue(page);
  await rowOf(page, name).getByRole("checkbox").check();
  await page.getByRole("button", { name: action, exact: true }).click();
  await page.getByRole("heading", { level: 1, name: action }).filter({ hasText: "1 message" }).waitFor();
};

/** Confirms, and follows the progress to its end. */
const confirm = async (page, action, changed = 1) => {
  await page.getByRole("main").getByRole("button", { name: action, exact: true }).click();
  await page.getByText("Nothing is under way any more").waitFor();
  const row = page.getByRole("row").filter({ hasText: "done" });
  assert.equal(await row.getByRole("cell").nth(2).innerText(), String(changed), "changed");
};

const act = async (page, name, action) => {
  await choose(page, name, action);
  await confirm(page, action);
};

const leavesQueue = (page, name) =>
  until(`${name} is out of the queue`, async () => {
    await openQueue(page);
    return (await rowOf(page, name).count()) === 0;
  });

test("mail that its host refuses for now waits and is listed", async ({ page, gatehouse }) => {
  sinks.closed = await startSink({ isClosed: true });
  sinks.other = await startSink();
  await addDomain(page, DOMAIN, sinks.closed.port);
  await addDomain(page, SENDERS, sinks.other.port);
  await configurationRuns(page, gatehouse.host_name);
  for (const name of NAMES)
    await sendMail(gatehouse.inbound, {
      sender: `${name}@${SENDERS}`, recipients: [`${name}@${DOMAIN}`],
      subject: `Queued <b>${name}</b>`, body: "Hello",
    });
  await until("every message was tried", async () => {
    await openQueue(page);
    return (await page.getByRole("row").filter({ hasText: "451 4.3.0 closed for now" }).count()) ===
      NAMES.length;
  });
  const row = rowOf(page, "shown");
  assert.match(await row.innerText(), /inbound|delivery/);
  assert.match(await row.innerText(), /waiting/);
});

test("a search of the queues finds by recipient and state", async ({ page }) => {
  await page.goto("/queues");
  await page.getByLabel("Recipient", { exact: true }).fill("SHOWN@");
  await page.getByLabel("State", { exact: true }).selectOption("waiting");
  await page.getByRole("button", { name: "Search" }).click();
  assert.equal(await page.getByRole("checkbox", { name: /Select [0-9a-f]{8}-/ }).count(), 1);
  await page.getByLabel("State", { exact: true }).selectOption("held");
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByRole("heading", { name: "No queued message is like this" }).waitFor();
});

test("a queued message shows its recipients and its header as text", async ({ page }) => {
  await openQueue(page);
  await rowOf(page, "shown").getByRole("link", { name: /Details/ }).click();
  await page.getByRole("heading", { level: 1, name: "Queued message" }).waitFor();
  const row = page.getByRole("region", { name: "Recipients" }).getByRole("row").filter({ hasText: "shown@" });
  assert.match(await row.innerText(), /queued[^]*451 4\.3\.0 closed for now/);
  assert.match(await page.locator("pre").innerText(), /Subject: Queued <b>shown<\/b>/);
  await page.getByRole("link", { name: "In the audit log" }).click();
  await page.getByRole("link", { name: "In the message queue" }).click();
  await page.getByRole("heading", { level: 1, name: "Queued message" }).waitFor();
});

test("nothing is done where no message is selected", async ({ page }) => {
  await openQueue(page);
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("alert").filter({ hasText: "Select at least one message" }).waitFor();
});

test("a held message says so and has no next attempt", async ({ page }) => {
  await act(page, "held", "Hold");
  await openQueue(page);
  assert.match(await rowOf(page, "held").innerText(), /held[^]*none while held/);
});

test("a deleted message is gone, and the log names the administrator", async ({ page, gatehouse }) => {
  await choose(page, "deleted", "Delete");
  await page.getByText("nobody is told").waitFor();
  await confirm(page, "Delete");
  await leavesQueue(page, "deleted");
  const row = await findMessage(page, "Queued <b>deleted</b>", "deleted");
  await row.getByRole("link", { name: "deleted" }).click();
  await page.getByText(`deleted from the queue by ${gatehouse.administrator}`).first().waitFor();
});

test("deletion with a bounce tells the sender", async ({ page }) => {
  await act(page, "bounced", "Delete with bounce");
  const [bounce] = await until("the bounce arrives", () => {
    const found = sinks.other.received(`bounced@${SENDERS}`);
    return found.length > 0 && found;
  });
  assert.match(bounce.content, /554 5\.7\.1/);
  await leavesQueue(page, "bounced");
});

test("a wrong new route is refused beside the field", async ({ page }) => {
  await choose(page, "rerouted", "Reroute");
  await page.getByLabel("This host, without MX lookup").check();
  await page.getByLabel("Host or domain").fill("no host at all");
  await page.getByRole("main").getByRole("button", { name: "Reroute" }).click();
  await page.locator("#error-route_to").waitFor();
  assert.ok(await page.getByLabel("This host, without MX lookup").isChecked());
});

test("a rerouted message goes to the new host", async ({ page }) => {
  await page.getByLabel("Host or domain").fill(`127.0.0.1:${sinks.other.port}`);
  await confirm(page, "Reroute");
  await until("it arrives at the other host",
    () => sinks.other.received(`rerouted@${DOMAIN}`).length === 1);
  await leavesQueue(page, "rerouted");
});

test("an own route by MX lookup is shown and taken away again", async ({ page }) => {
  await choose(page, "shown", "Reroute");
  await page.getByLabel(/^MX lookup/).check();
  await page.getByLabel("Host or domain").fill("nowhere.invalid:2525");
  await confirm(page, "Reroute");
  await openQueue(page);
  await rowOf(page, "shown").filter({ hasText: "mx:nowhere.invalid:2525" }).waitFor();
  await choose(page, "shown", "Reroute");
  await page.getByLabel("Back to the normal route").check();
  await confirm(page, "Reroute");
  await openQueue(page);
  assert.doesNotMatch(await rowOf(page, "shown").innerText(), /mx:nowhere/);
});

test("all that a search finds is tried at once, but what is held stays", async ({ page }) => {
  sinks.closed.isClosed = false;
  await openQueue(page);
  await page.getByLabel(/All that the search finds/).check();
  await page.getByRole("button", { name: "Retry now" }).click();
  await page.getByText("All that the search finds").waitFor();
  await confirm(page, "Retry now", 2);
  await until("the others arrive", () => ["flushed", "shown"].every(
    (name) => sinks.closed.received(`${name}@${DOMAIN}`).length === 1));
  await leavesQueue(page, "flushed");
  assert.equal(await rowOf(page, "held").count(), 1);
  assert.equal(sinks.closed.received(`held@${DOMAIN}`).length, 0);
});

test("without scripts a message is released and tried", async ({ browser, gatehouse }) => {
  const page = await browser.newPage({ javaScriptEnabled: false });
  try {
    await signIn(page, gatehouse.administrator, PASSWORD);
    await page.getByRole("heading", { level: 1, name: "Dashboard" }).waitFor();
    await act(page, "held", "Release");
    await act(page, "held", "Retry now");
    await until("it arrives", () => sinks.closed.received(`held@${DOMAIN}`).length === 1);
  } finally {
    await page.context().close();
    sinks.closed.isClosed = true;
  }
});

test("a message stays in the queue for the pictures", async ({ page, gatehouse }) => {
  await sendMail(gatehouse.inbound, {
    sender: `picture@${SENDERS}`, recipients: [`picture@${DOMAIN}`], subject: "Picture", body: "",
  });
  await until("it waits", async () => {
    await openQueue(page);
    return (await rowOf(page, "picture").filter({ hasText: "451" }).count()) === 1;
  });
});

test("without a session the queues lead to the sign-in", async ({ browser }) => {
  const page = await browser.newPage();
  try {
    await page.goto("/queues");
    assert.equal(new URL(page.url()).pathname, "/sign-in");
  } finally {
    await page.context().close();
  }
});

module.exports = { openQueue, rowOf, choose };
