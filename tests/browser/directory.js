// A directory: its form, its test, and what it changes on the wire.
"use strict";

const assert = require("node:assert/strict");
const { configurationRuns } = require("./console_steps");
const { startSink } = require("./sink");
const { startSlapd } = require("./slapd");
const { sendMail } = require("./smtp");
const { test, until } = require("./suite");

const DOMAIN = "people.test";
const NAME = "Our people";
const world = {};

const setPurpose = (page, name, isOn) =>
  page.getByRole("checkbox", { name: new RegExp(`^${name}`) }).setChecked(isOn);

const runTest = async (page, address) => {
  await page.getByLabel("Address to look up").fill(address);
  await page.getByRole("button", { name: "Test", exact: true }).click();
  await page.locator(".test-result").waitFor();
  return page.locator("#test").innerText();
};

const rcpt = (gatehouse, address) =>
  sendMail(gatehouse.inbound, {
    sender: "sender@client.test", recipients: [address], subject: "Hello", body: "Hello",
  }).then((reply) => reply, (error) => error.message);

test("a directory form without a server is refused and names the field", async ({ page }) => {
  await page.goto("/directory/new");
  await page.getByLabel("Name", { exact: true }).fill(NAME);
  await page.getByLabel("Primary server").fill("not an address");
  await page.getByRole("button", { name: "Add directory" }).click();
  await page.locator("#error-server").filter({ hasText: "must be ldap://HOST" }).waitFor();
});

test("a test shows step by step what works, and that a password is wrong", async ({ page }) => {
  world.slapd = await startSlapd();
  const { uri, base, reader } = world.slapd;
  await page.getByLabel("Primary server").fill(uri);
  await page.getByLabel("Alternate server").fill(uri); // both the same is allowed
  await page.getByLabel("Base DN").fill(base);
  await page.getByLabel("Bind DN").fill(reader);
  await page.getByLabel("Filters of").selectOption("openldap");
  await page.getByRole("button", { name: "Fill in" }).click();
  await page.waitForLoadState("load");
  for (const name of ["Recipient validation", "Routing", "Groups"]) await setPurpose(page, name, true);
  await page.getByLabel("Bind password").fill("wrong");
  assert.match(await runTest(page, "rose@people.test"), /Not everything works[^]*Sign in:\s+fails/);
});

test("a test tells who is known, the route and the groups", async ({ page }) => {
  await page.getByLabel("Bind password").fill(world.slapd.password);
  const known = await until("every step works", async () => {
    const text = await runTest(page, "rose@people.test");
    return text.includes("Every step works") && text;
  });
  assert.match(known, /Recipient\s+known[^]*mail\.people\.test:2525[^]*gardeners/);
  await page.getByLabel("Address to look up").fill("");
  assert.match(await runTest(page, "nobody@people.test"), /Recipient\s+unknown/);
  assert.equal(await page.getByLabel("Bind password").inputValue(), world.slapd.password);
});

test("a directory is added, and its password does not come back", async ({ page, gatehouse }) => {
  await setPurpose(page, "Routing", false);
  await page.getByRole("button", { name: "Add directory" }).click();
  await page.getByRole("row").filter({ hasText: NAME }).filter({ hasText: "recipients" }).waitFor();
  await configurationRuns(page, gatehouse.host_name);
  await page.goto("/directory");
  await page.getByRole("link", { name: NAME, exact: true }).click();
  assert.ok(!(await page.content()).includes("reader's secret"));
  assert.equal(await page.getByLabel("Bind password").inputValue(), "");
  assert.ok(!(await page.getByRole("checkbox", { name: /^Routing/ }).isChecked()));
  assert.match(await page.getByLabel("Filter of routes").inputValue(), /mailLocalAddress/);
});

test("a test without a password typed in uses the stored one", async ({ page }) => {
  assert.match(await runTest(page, "rose@people.test"), /Every step works[^]*known/);
});

test("a recipient whom the directory does not know is refused", async ({ page, gatehouse }) => {
  world.sink = await startSink();
  await page.goto("/domains/new");
  await page.getByLabel("Domain", { exact: true }).fill(DOMAIN);
  await page.getByLabel("These relays").check();
  await page.getByLabel("Relays", { exact: true }).fill(`127.0.0.1:${world.sink.port}`);
  await page.getByLabel(/^Reject them/).check();
  await page.getByRole("button", { name: "Add domain" }).click();
  await page.getByRole("row").filter({ hasText: DOMAIN }).first().waitFor();
  await configurationRuns(page, gatehouse.host_name);
  assert.match(await rcpt(gatehouse, `nobody@${DOMAIN}`), /550 5\.1\.1/);
  assert.match(await rcpt(gatehouse, `rose@${DOMAIN}`), /^250 /);
  await until("mail for a known one arrives", () => world.sink.received(`rose@${DOMAIN}`).length === 1);
});

test("while the directory is down recipients are deferred, not refused", async ({ gatehouse }) => {
  await world.slapd.close();
  assert.match(await rcpt(gatehouse, `lily@${DOMAIN}`), /451 4\./);
});

test("directories change places", async ({ page }) => {
  await page.goto("/directory/new");
  await page.getByLabel("Name", { exact: true }).fill("Second");
  await page.getByLabel("Primary server").fill("ldaps://ldap.invalid");
  await page.getByRole("button", { name: "Add directory" }).click();
  await page.getByRole("button", { name: "Up Second" }).click();
  await page.getByRole("row").nth(1).filter({ hasText: "Second" }).waitFor();
  assert.ok(await page.getByRole("button", { name: "Up Second" }).isDisabled());
  await page.getByRole("link", { name: "Remove Second" }).click();
  await page.getByRole("button", { name: "Remove directory" }).click();
  await page.getByRole("status").filter({ hasText: "Removed" }).waitFor();
  assert.equal(await page.getByRole("row").filter({ hasText: "Second" }).count(), 0);
});

test("an SMTP user is added, refused twice, disabled and removed", async ({ page }) => {
  const add = async (again) => {
    await page.goto("/directory/users");
    await page.getByLabel("Name", { exact: true }).fill("Printer@people.test");
    await page.getByLabel("Password", { exact: true }).fill("correct horse battery");
    await page.getByLabel("Password again").fill(again);
    await page.getByRole("button", { name: "Add user" }).click();
  };
  await add("another one entirely");
  await page.locator("#error-again").waitFor();
  await add("correct horse battery");
  await page.getByRole("row").filter({ hasText: "printer@people.test" }).filter({ hasText: "enabled" }).waitFor();
  await add("correct horse battery");
  await page.locator("#error-name").filter({ hasText: "There is a user of that name already" }).waitFor();
  await page.goto("/directory/users/printer@people.test");
  await page.getByRole("button", { name: "Disable" }).click();
  await page.getByRole("row").filter({ hasText: "printer@people.test" }).filter({ hasText: "disabled" }).waitFor();
});
