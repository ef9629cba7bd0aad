// Incidents: a filter holds real messages, people decide over them, and the wire shows it.
"use strict";

const assert = require("node:assert/strict");
const { configurationRuns } = require("./console_steps");
const { startSink } = require("./sink");
const { sendMail } = require("./smtp");
const { test, until } = require("./suite");

const DOMAIN = "incidents.test";
const SENDERS = "incident-senders.test";
const WORD = "Quetzalcoatl"; // what the filter looks for
const OWN = "Release and copy to legal";
const NAMES = ["approved", "rejected", "own", "first", "second", "open"];
let sink;

const addDomain = async (page, name) => {
  await page.goto("/domains/new");
  await page.getByLabel("Domain", { exact: true }).fill(name);
  await page.getByLabel("These relays").check();
  await page.getByLabel("Relays", { exact: true }).fill(`127.0.0.1:${sink.port}`);
  await page.getByRole("button", { name: "Add domain" }).click();
  await page.getByRole("row").filter({ hasText: name }).first().waitFor();
};

const send = (gatehouse, name) =>
  sendMail(gatehouse.inbound, {
    sender: `${name}@${SENDERS}`, recipients: [`${name}@${DOMAIN}`], subject: `Held ${name}`,
    body: `Look at <b>${WORD}</b> and\r\nat ${WORD.toLowerCase()} again`,
  });

const rowOf = (page, name) => page.getByRole("row").filter({ hasText: `Held ${name}` });

const openIncident = async (page, name) => {
  await page.goto(`/incidents?text=${encodeURIComponent(`Held ${name}`)}`);
  await rowOf(page, name).getByRole("link", { name: `Held ${name}` }).click();
  await page.getByRole("heading", { level: 1, name: `Held ${name}` }).waitFor();
};

const arrives = (address) =>
  until(`mail for ${address}`, () => sink.received(address).length > 0 && sink.received(address));

/** Presses a button of the form that decides. */
const decide = (page, action) =>
  page.getByRole("form", { name: "Decide" }).getByRole("button", { name: action, exact: true }).click();

test("two folders to begin with are one click, and get actions of their own", async ({ page, gatehouse }) => {
  sink = await startSink();
  await page.goto("/incidents/folders");
  await page.getByRole("button", { name: "Add the usual folders" }).click();
  await page.getByRole("link", { name: "Held for review", exact: true }).click();
  await page.getByRole("checkbox", { name: /^Forward/ }).check();
  await page.getByLabel("Forward: address").fill("no address");
  await page.getByRole("button", { name: "Keep in the draft" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Forward: address").fill(`colleague@${DOMAIN}`);
  await page.getByRole("group", { name: "Who may see and decide its incidents" })
    .getByRole("checkbox", { name: gatehouse.administrator }).check();
  const own = page.getByRole("group", { name: "Own action 1" });
  await own.getByLabel("Name").fill(OWN);
  await own.getByLabel("Decision").selectOption("deliver");
  await own.getByLabel("Archive to").fill(`legal@${DOMAIN}`);
  await page.getByRole("button", { name: "Keep in the draft" }).click();
  const row = page.getByRole("row").filter({ hasText: OWN });
  await row.getByText(`for ${gatehouse.administrator}`).waitFor();
});

test("a filter puts messages into the folder, which then cannot be removed", async ({ page }) => {
  await page.goto("/policies/filters/new");
  await page.getByLabel("Name", { exact: true }).fill("Feathered serpents");
  await page.getByLabel("What condition 1 looks at").selectOption("body");
  await page.getByLabel("How condition 1 looks at it").selectOption("contains");
  await page.getByLabel("Values of condition 1").fill(WORD);
  await page.getByLabel("What action 1 does").selectOption("incident");
  await page.getByLabel("Folder of action 1").selectOption({ label: "Held for review" });
  await page.getByRole("button", { name: "Add filter" }).click();
  await page.getByRole("link", { name: "Feathered serpents" }).first().waitFor();
  await page.goto("/incidents/folders");
  await page.getByRole("link", { name: "Held for review", exact: true }).click();
  const remove = page.getByRole("form", { name: "Remove the folder" });
  await remove.getByText("Feathered serpents").waitFor();
  assert.equal(await remove.getByRole("button").count(), 0);
});

test("messages that the filter meets are held and listed", async ({ page, gatehouse }) => {
  await page.goto("/policies/review");
  await page.getByRole("button", { name: "Put in force" }).click();
  await page.waitForLoadState("load");
  await addDomain(page, DOMAIN);
  await addDomain(page, SENDERS);
  await configurationRuns(page, gatehouse.host_name);
  for (const name of NAMES) assert.match(await send(gatehouse, name), /^250 /);
  await until("all are incidents", async () => {
    await page.goto("/incidents?text=Held&state=open");
    for (const name of NAMES) if ((await rowOf(page, name).count()) !== 1) return false;
    return true;
  }, 60);
  assert.deepEqual(sink.messages, []);
});

test("an incident shows its message as text, with what matched marked", async ({ page, browser }) => {
  await openIncident(page, "approved");
  const text = page.getByLabel("Text of body");
  await text.waitFor();
  assert.deepEqual(await text.locator("mark").allInnerTexts(), [WORD, WORD.toLowerCase()]);
  assert.match(await text.innerText(), /<b>Quetzalcoatl<\/b>/);
  assert.match(await page.getByLabel("Header of the message").innerText(), /Subject: Held approved/);
  assert.match(await page.getByRole("region", { name: "What matched" }).innerText(), /Feathered serpents/);
  assert.deepEqual(browser.complaints.list, []);
});

test("the message is downloaded as a file", async ({ page }) => {
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Download the message" }).click(),
  ]);
  assert.match(download.suggestedFilename(), /^incident-\d+\.eml$/);
});

test("comments and assignment stand in the history", async ({ page, gatehouse }) => {
  await page.getByLabel("New comment").fill("Asked the <sender>");
  await page.getByRole("button", { name: "Add comment" }).click();
  await page.getByText("The comment is kept.").waitFor();
  await page.getByLabel("Who looks after it").selectOption(gatehouse.administrator);
  await page.getByRole("button", { name: "Assign", exact: true }).click();
  const history = page.getByRole("region", { name: "History" });
  await history.getByText(`Assigned to ${gatehouse.administrator}`).waitFor();
  assert.match(await history.innerText(), /Put here by Feathered serpents[^]*Asked the <sender>/);
});

test("an approved message reaches its recipient once", async ({ page, browser }) => {
  const address = page.url();
  await page.getByLabel("Comment on the decision").fill("It is harmless");
  await decide(page, "Approve");
  await page.getByText("Done. What became of the incident stands below.").waitFor();
  const [message] = await arrives(`approved@${DOMAIN}`);
  assert.match(message.content, new RegExp(WORD));
  assert.match(await page.getByRole("region", { name: "History" }).innerText(), /It is harmless/);
  await page.goto(address);
  assert.equal(await page.getByRole("form", { name: "Decide" }).count(), 0);
  assert.equal(sink.received(`approved@${DOMAIN}`).length, 1);
  assert.deepEqual(browser.complaints.list, []);
});

test("a rejected message is told to its sender, who is not told twice", async ({ page }) => {
  await openIncident(page, "rejected");
  const second = await page.context().newPage();
  await second.goto(page.url());
  await decide(page, "Reject");
  await page.getByText("Done. What became of the incident stands below.").waitFor();
  const [report] = await arrives(`rejected@${SENDERS}`);
  assert.match(report.content, /multipart\/report/);
  assert.match(report.content, /rejected@incidents\.test/);
  await decide(second, "Approve");
  await second.getByText(/it is decided already: Reject, by/).waitFor();
  await second.close();
  assert.equal(sink.received(`rejected@${DOMAIN}`).length, 0);
});

test("forwarding leaves it open; an action of the folder's own does several things", async ({ page }) => {
  await openIncident(page, "own");
  await decide(page, "Forward");
  const [copy] = await arrives(`colleague@${DOMAIN}`);
  assert.match(copy.content, /message\/rfc822/);
  await decide(page, OWN);
  await page.getByText("Done. What became of the incident stands below.").waitFor();
  const [archived] = await arrives(`legal@${DOMAIN}`);
  assert.match(archived.content, /X-Gatehouse-Recipient: <own@incidents\.test>/);
  await arrives(`own@${DOMAIN}`);
});

test("several are decided at once after a confirmation", async ({ page }) => {
  await page.goto("/incidents?folder=held&state=open");
  for (const name of ["first", "second"]) await rowOf(page, name).getByRole("checkbox").check();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("heading", { level: 1, name: "Decide over 2 incidents" }).waitFor();
  await page.getByRole("button", { name: "Carry out" }).click();
  await page.getByRole("heading", { level: 1, name: "Done for 2 incidents" }).waitFor();
  await page.goto("/incidents?state=deleted");
  for (const name of ["first", "second"]) assert.equal(await rowOf(page, name).count(), 1);
  for (const name of ["first", "second"])
    assert.equal(sink.received(`${name}@${DOMAIN}`).length, 0);
});

test("without a session incidents lead to the sign-in", async ({ browser }) => {
  const page = await browser.newPage();
  try {
    await page.goto("/incidents");
    assert.equal(new URL(page.url()).pathname, "/sign-in");
  } finally {
    await page.context().close();
  }
});

module.exports = { openIncident };
