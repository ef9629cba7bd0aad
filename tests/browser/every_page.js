// Every page as look.js looks at one.
"use strict";

const { findMessage, openHost } = require("./console_steps");
const { openIncident } = require("./incidents");
const { look } = require("./look");
const { subject } = require("./mail");
const { deleted } = require("./malware");
const { choose, openQueue, rowOf } = require("./queues");
const { signIn } = require("./sign_in");
const { test } = require("./suite");

const at = (address) => ({ page }) => page.goto(address);

const atMessage = (text, state) => async ({ page }) => {
  const row = await findMessage(page, text, state);
  await row.getByRole("link", { name: text, exact: true }).click();
  await page.getByRole("heading", { level: 1, name: text }).waitFor();
};

const atHost = (link) => async ({ page, gatehouse }) => {
  await openHost(page, gatehouse.host_name);
  if (!link) return;
  await page.getByRole("main").getByRole("link", { name: link, exact: true }).click();
  await page.waitForURL(`**/${link.toLowerCase()}`);
};

const atLink = (address, ...links) => async ({ page }) => {
  await page.goto(address);
  for (const link of links) {
    await page.getByRole("main").getByRole("link", { name: link, exact: true }).click();
    await page.waitForLoadState("load");
  }
};

const submitted = (address, fields, button) => async ({ page }) => {
  await page.goto(address);
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(value);
  await page.getByRole("button", { name: button, exact: true }).click();
  await page.waitForLoadState("load");
};

const atQueue = async ({ page }) => {
  await openQueue(page);
  await rowOf(page, "picture").waitFor();
};

const atQueuedMessage = async (world) => {
  await atQueue(world);
  await rowOf(world.page, "picture").getByRole("link", { name: /Details/ }).click();
  await world.page.getByRole("heading", { level: 1, name: "Queued message" }).waitFor();
};

const atConfirmation = (action) => ({ page }) => choose(page, "picture", action);

const atProgress = async ({ page }) => {
  await choose(page, "picture", "Hold");
  await page.getByRole("main").getByRole("button", { name: "Hold" }).click();
  await page.getByText("Nothing is under way any more").waitFor();
};

const atDirectory = async ({ page }) => {
  await page.goto("/directory");
  await page.getByRole("link", { name: "Our people", exact: true }).click();
  await page.getByLabel("Address to look up").fill("rose@people.test");
  await page.getByRole("button", { name: "Test", exact: true }).click();
  await page.locator(".test-result").waitFor();
};

const PAGES = {
  dashboard: at("/"),
  audit: at("/audit"),
  "audit-nothing-found": at("/audit?subject=nothing-is-like-this"),
  "audit-refused": at("/audit?ip=nowhere&from=2026-02-01T00:00&until=2026-01-01T00:00"),
  message: atMessage(subject, "delivered"),
  "message-virus": atMessage(deleted, "deleted"),
  queues: atQueue,
  "queues-nothing-found": at("/queues?sender=nothing-is-like-this"),
  "queues-refused": at("/queues?id=none"),
  "queue-message": atQueuedMessage,
  "queue-delete": atConfirmation("Delete"),
  "queue-reroute": atConfirmation("Reroute"),
  "queue-progress": atProgress,
  outbox: at("/outbox"),
  incidents: at("/incidents"),
  "incidents-nothing-found": at("/incidents?text=nothing-is-like-this"),
  "incidents-refused": at("/incidents?from=2026-02-01&until=2026-01-01"),
  incident: ({ page }) => openIncident(page, "open"),
  "incident-decided": ({ page }) => openIncident(page, "approved"),
  "incident-confirm": async ({ page }) => {
    await page.goto("/incidents?state=open");
    await page.getByRole("checkbox", { name: /^Select incident/ }).first().check();
    await page.getByRole("button", { name: "Approve", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "Decide over 1 incident" }).waitFor();
  },
  "incident-folders": at("/incidents/folders"),
  "incident-folder": at("/incidents/folders/named/held"),
  "incident-folder-new-refused": submitted("/incidents/folders/new",
    { Name: "x", "Kept for days": "often" }, "Keep in the draft"),
  directory: at("/directory"),
  "directory-new": at("/directory/new"),
  "directory-new-refused": submitted("/directory/new", { Name: "x", "Primary server": "no server" },
    "Add directory"),
  "directory-source": atDirectory,
  "smtp-users": at("/directory/users"),
  "smtp-user": at("/directory/users/printer@people.test"),
  "malware-policy": at("/malware/policy"),
  "malware-limits": at("/malware/limits"),
  "malware-limits-refused": submitted("/malware/limits", { Depth: "101" }, "Save limits"),
  "malware-signatures": at("/malware/signatures"),
  "malware-signatures-refused": submitted("/malware/signatures",
    { Name: "x.exe", "Or its text": "x" }, "Try and add"),
  "malware-signature-remove": atLink("/malware/signatures", "Remove browser.ndb"),
  "malware-signature-updates": at("/malware/signatures/updates"),
  "malware-signature-updates-refused": submitted("/malware/signatures/updates",
    { "Hours between updates": "often", "Private mirror": "nowhere" }, "Save"),
  "policy-filters": at("/policies/filters"),
  "policy-filter-new": at("/policies/filters/new"),
  "policy-filter-refused": submitted("/policies/filters/new", { Name: "Payroll" }, "Add filter"),
  "policy-filter": atLink("/policies/filters", "Payroll"),
  "policy-filter-remove": atLink("/policies/filters", "Remove Payroll"),
  "policy-groups": at("/policies/groups"),
  "policy-group-new": at("/policies/groups/new"),
  "policy-group-refused": submitted("/policies/groups/new", { Name: "Sales", Members: "nobody" },
    "Add group"),
  "policy-group": atLink("/policies/groups", "Sales"),
  "policy-group-in-use": atLink("/policies/groups", "Remove Sales"),
  "policy-review": at("/policies/review"),
  "policy-discard": at("/policies/discard"),
  "policy-history": at("/policies/history"),
  "policy-version": at("/policies/history/1"),
  "policy-compare": at("/policies/history/compare?from=1&to=draft"),
  "policy-test": at("/policies/test"),
  "policy-test-refused": submitted("/policies/test", { Recipients: "nobody" }, "Try it"),
  "policy-import": at("/policies/import"),
  "policy-import-refused": submitted("/policies/import", { "Or its text": "{" },
    "Import into the draft"),
  domains: at("/domains"),
  "domain-new": at("/domains/new"),
  "domain-new-refused": submitted("/domains/new", { Domain: "not a domain" }, "Add domain"),
  "domain-edit": at("/domains/named/browser.test"),
  "domain-remove": at("/domains/named/browser.test/remove"),
  "domain-default-route": at("/domains/default-route"),
  "domain-import": at("/domains/import"),
  aliases: at("/aliases"),
  "alias-new": at("/aliases/new"),
  "alias-new-refused": submitted("/aliases/new", { Address: "no address", "Goes to": "x" },
    "Add alias"),
  "alias-edit": at("/aliases/edit?key=new%40main-lists.test"),
  "alias-remove": at("/aliases/remove?key=new%40main-lists.test"),
  "alias-import-refused": submitted("/aliases/import", { "Or its text": "bad,x\nworse,y" },
    "Import"),
  "alias-import-done": submitted("/aliases/import",
    { "Or its text": "new@main-lists.test,y@main-lists.test" }, "Import"),
  masquerades: at("/masquerades"),
  "masquerade-new": at("/masquerades/new"),
  "masquerade-edit": at("/masquerades/edit?key=%40in.test"),
  "masquerade-remove": at("/masquerades/remove?key=%40in.test"),
  "masquerade-import-confirm": async ({ page }) => {
    await page.goto("/masquerades/import");
    await page.getByLabel("Or its text").fill("@in.test,@other.test");
    await page.getByLabel("Goes where it is not").check();
    await page.getByRole("button", { name: "Import", exact: true }).click();
    await page.getByRole("button", { name: "Replace all" }).waitFor();
  },
  hosts: at("/hosts"),
  host: atHost(),
  "host-settings": atHost("Settings"),
  "host-remove": atHost("Remove"),
  "host-new": at("/hosts/new"),
  "host-new-refused": submitted("/hosts/new", { "Host name": "not a host" },
    "Make the enrolment command"),
  "host-enrol": submitted("/hosts/new", { "Host name": "mx3.test" }, "Make the enrolment command"),
  smtp: at("/smtp"),
  "delivery-security": at("/delivery-security"),
  "bounce-protection": at("/bounce-protection"),
  certificates: at("/certificates"),
  certificate: atLink("/certificates", "p12.browser.test"),
  "certificate-remove": atLink("/certificates", "p12.browser.test", "Remove"),
  "certificate-new": at("/certificates/new"),
  "certificate-new-refused": submitted("/certificates/new", { "Names of the servers": "not a name" },
    "Make it"),
  "certificate-import": at("/certificates/import"),
  "certificate-import-refused": submitted("/certificates/import",
    { "Or as text: certificate and chain": "nothing" }, "Import"),
  password: at("/account/password"),
  "not-found": at("/nothing/here"),
};

for (const [name, open] of Object.entries(PAGES))
  test(`page ${name} is accessible and fits`, async (world) => {
    await open(world);
    await look(world.page, name);
  });

test("page sign-in is accessible and fits, refusal included", async ({ browser, gatehouse }) => {
  const page = await browser.newPage();
  try {
    await page.goto("/sign-in");
    await look(page, "sign-in");
    await signIn(page, gatehouse.administrator, "not this one");
    await page.getByRole("alert").waitFor();
    await look(page, "sign-in-refused");
  } finally {
    await page.context().close();
  }
});
