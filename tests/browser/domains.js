"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const { configurationRuns, findMessage } = require("./console_steps");
const { sendMail } = require("./smtp");
const { test } = require("./suite");

const MAIN = "main-lists.test";
const OLD = "old-lists.test";
const ALIAS = `all@${MAIN}`;

/** Sends the import form with a file of that text. */
const importFile = async (page, path, text, options = []) => {
  await page.goto(`${path}/import`);
  await page.getByLabel("File", { exact: true })
    .setInputFiles({ name: "list.csv", mimeType: "text/csv", buffer: Buffer.from(text) });
  for (const option of options) await page.getByLabel(option).check();
  await page.getByRole("button", { name: "Import", exact: true }).click();
};

const exported = async (page, path) => {
  await page.goto(path);
  const [download] = await Promise.all([page.waitForEvent("download"),
    page.getByRole("link", { name: "Export as a file" }).click()]);
  return fs.readFileSync(await download.path(), "utf8");
};

test("a domain that stands for another keeps what its form says", async ({ page, gatehouse }) => {
  await importFile(page, "/domains",
    `name,relays,recipients\n${MAIN},127.0.0.1:${gatehouse.sink},any\n`);
  await page.getByRole("heading", { level: 1, name: "Imported" }).waitFor();
  await page.goto("/domains/new");
  await page.getByLabel("Domain", { exact: true }).fill(OLD);
  await page.getByLabel("The hosts that DNS names").check();
  await page.getByLabel("Take the mail and delete it").check();
  await page.getByLabel("Stands for the domain").fill("nowhere.test");
  await page.getByRole("button", { name: "Add domain" }).click();
  await page.getByRole("alert").filter({ hasText: "not in the list of domains" }).waitFor();
  await page.getByLabel("Stands for the domain").fill(MAIN);
  await page.getByRole("button", { name: "Add domain" }).click();
  await page.getByRole("link", { name: OLD, exact: true }).click();
  assert.equal(await page.getByLabel("Stands for the domain").inputValue(), MAIN);
  assert.ok(await page.getByLabel("Take the mail and delete it").isChecked());
});

test("a relay's password is kept and never shown", async ({ page, gatehouse }) => {
  await page.goto(`/domains/named/${MAIN}`);
  await page.getByLabel("User name at the relays").fill("gate");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").filter({ hasText: "Write the password" }).waitFor();
  await page.getByLabel("Password at the relays").fill("topsecret");
  await page.getByLabel("TLS to the relays").selectOption("required");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("status").filter({ hasText: "Saved" }).waitFor();
  await page.goto(`/domains/named/${MAIN}`);
  assert.equal(await page.getByLabel("Password at the relays").inputValue(), "");
  assert.ok(!(await page.content()).includes("topsecret"));
  await page.getByLabel("User name at the relays").fill("");
  await page.getByLabel("TLS to the relays").selectOption("inherit");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("status").filter({ hasText: "Saved" }).waitFor();
  await configurationRuns(page, gatehouse.host_name);
});

test("an alias is added, and mail for it goes where it says", async ({ page, gatehouse }) => {
  await page.goto("/aliases");
  await page.getByRole("link", { name: "Add an alias" }).click();
  await page.getByLabel("Address", { exact: true }).fill(ALIAS);
  await page.getByLabel("Goes to").fill(`one@${MAIN}\nnot an address`);
  await page.getByRole("button", { name: "Add alias" }).click();
  await page.getByRole("alert").filter({ hasText: "Line 2" }).waitFor();
  await page.getByLabel("Goes to").fill(`one@${MAIN}\ntwo@${MAIN}`);
  await page.getByRole("button", { name: "Add alias" }).click();
  await page.getByRole("row").filter({ hasText: ALIAS }).filter({ hasText: `two@${MAIN}` }).waitFor();
  await configurationRuns(page, gatehouse.host_name);
  const subject = `Alias ${Date.now()}`;
  assert.match(await sendMail(gatehouse.inbound, {
    sender: "a@client.test", recipients: [ALIAS], subject, body: "Hello" }), /^250 /);
  const row = await findMessage(page, subject, "delivered");
  assert.match(await row.innerText(), new RegExp(`one@${MAIN}`));
});

test("a masquerade is added, changed and removed", async ({ page }) => {
  await page.goto("/masquerades");
  await page.getByRole("link", { name: "Add a masquerade" }).click();
  await page.getByLabel("Address inside").fill("@.inside.test");
  await page.getByLabel("Address outside").fill("nothing");
  await page.getByRole("button", { name: "Add masquerade" }).click();
  await page.getByRole("alert").filter({ hasText: "needs an @" }).waitFor();
  await page.getByLabel("Address outside").fill("@outside.test");
  await page.getByRole("button", { name: "Add masquerade" }).click();
  await page.getByRole("link", { name: "@.inside.test", exact: true }).click();
  await page.getByLabel("Address outside").fill("@public.test");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("row").filter({ hasText: "@public.test" }).waitFor();
  await page.getByRole("link", { name: "Remove @.inside.test" }).click();
  await page.getByRole("button", { name: "Remove masquerade" }).click();
  await page.getByRole("heading", { name: "No masquerade yet" }).waitFor();
});

test("a file with wrong lines changes nothing and names each", async ({ page }) => {
  await importFile(page, "/aliases", `address,to\nx@${MAIN},y@${MAIN}\nbad,y@${MAIN}\nz@${MAIN},\n`);
  const lines = page.getByRole("table", { name: /Wrong lines/ });
  for (const line of ["3", "4"]) await lines.getByRole("rowheader", { name: line }).waitFor();
  assert.equal(await lines.getByRole("rowheader").count(), 2);
  assert.ok(!(await exported(page, "/aliases")).includes(`x@${MAIN}`));
});

test("to replace all shows what goes before it goes", async ({ page }) => {
  const before = await exported(page, "/aliases");
  await importFile(page, "/aliases", `address,to\nnew@${MAIN},y@${MAIN}\n`, ["Goes where it is not"]);
  await page.getByRole("heading", { level: 1, name: "Replace all aliases?" }).waitFor();
  assert.equal(await exported(page, "/aliases"), before);
  await importFile(page, "/aliases", `address,to\nnew@${MAIN},y@${MAIN}\n`, ["Goes where it is not"]);
  await page.getByRole("button", { name: "Replace all" }).click();
  await page.getByRole("heading", { level: 1, name: "Imported" }).waitFor();
  assert.equal(await exported(page, "/aliases"), `address,to\r\nnew@${MAIN},y@${MAIN}\r\n`);
});

test("text that is pasted is imported too", async ({ page }) => {
  await page.goto("/masquerades/import");
  await page.getByLabel("Or its text").fill("@in.test,@out.test");
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await page.getByRole("heading", { level: 1, name: "Imported" }).waitFor();
  assert.match(await exported(page, "/masquerades"), /@in\.test,@out\.test/);
});

module.exports = { MAIN };
