// Content filters: built, put in order, put in force, compared and taken back.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const { configurationRuns } = require("./console_steps");
const { test, until } = require("./suite");

const rule = (page, name) => page.getByRole("group", { name, exact: true });
const banner = (page) => page.getByRole("region", { name: "Not in force yet" });

const addFilter = async (page, name, subject) => {
  await page.goto("/policies/filters/new");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Values of condition 1").fill(subject);
  await page.getByLabel("What action 1 does").selectOption("Delete it");
  await page.getByLabel("Folder of action 1").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Add filter" }).click();
  await page.getByRole("link", { name, exact: true }).waitFor();
};

const order = (page) => page.locator("#filters h2 a").allInnerTexts();

/** Puts the draft in force and waits until the host runs it. */
const putInForce = async (page, gatehouse, comment) => {
  await page.goto("/policies/filters");
  await banner(page).getByRole("link", { name: "Review and put in force" }).click();
  await page.getByLabel("Comment").fill(comment);
  await page.getByRole("button", { name: "Put in force" }).click();
  await page.getByRole("status").filter({ hasText: "In force." }).waitFor();
  await configurationRuns(page, gatehouse.host_name);
};

test("a filter of three conditions and two actions is built with the mouse", async ({ page }) => {
  await page.goto("/policies/filters/new");
  await page.getByLabel("Name", { exact: true }).fill("Payroll");
  await page.getByLabel("Values of condition 1").fill("salary\npayslip");
  await page.getByRole("button", { name: "Add a condition" }).click();
  await rule(page, "Condition 2").waitFor();
  await page.getByLabel("What condition 2 looks at").selectOption("Attachment");
  await page.getByLabel("How condition 2 looks at it").selectOption("is in the attachment list");
  await page.getByLabel("Which one for condition 2").selectOption({ value: "premium.office" });
  await page.getByRole("button", { name: "Add a condition" }).click();
  await page.getByLabel("What condition 3 looks at").selectOption("Sender (envelope)");
  await page.getByLabel("How condition 3 looks at it").selectOption("is the address or in the domain");
  await page.getByLabel("Values of condition 3").fill("@example.com");
  await page.getByLabel("not: turn condition 3 over").check();
  await page.getByLabel("What action 1 does").selectOption("Reject it");
  await page.getByLabel("Text of action 1").fill("Not from there");
  await page.getByRole("button", { name: "Add an action" }).click();
  await rule(page, "Action 2").waitFor();
  await page.getByLabel("What action 2 does").selectOption("Add a header field");
  await page.getByLabel("Header field of action 2", { exact: true }).fill("X-Payroll");
  await page.getByLabel("Value of the header field of action 2").fill("yes");
  await page.getByLabel("Stop", { exact: true }).check();
  await until("the summary says all of it", async () =>
    /^If the subject contains “salary” or “payslip” and any attachment is in the list .+ and the sender is outside example\.com, then reject the message with “Not from there”, add the header field X-Payroll: yes and stop\.$/
      .test(await page.locator("#summary").innerText()), 5);
  await page.getByRole("button", { name: "Add filter" }).click();
  await page.getByRole("status").filter({ hasText: "Kept in the draft." }).waitFor();
  assert.match(await page.locator(".filter-row").innerText(), /outside example\.com, then reject/);
});

test("what the summary says in the editor is what the list says", async ({ page }) => {
  await page.goto("/policies/filters");
  const listed = await page.locator(".filter-row").filter({ hasText: "Payroll" }).locator("p").innerText();
  await page.getByRole("link", { name: "Payroll", exact: true }).click();
  assert.equal(await page.locator("#summary").innerText(), listed);
});

test("a condition goes, another takes its place, and what was typed stays", async ({ page }) => {
  await page.goto("/policies/filters/new");
  await page.getByLabel("Values of condition 1").fill("goes");
  await page.getByRole("button", { name: "Add a condition" }).click();
  await page.getByLabel("Values of condition 2").fill("stays");
  await page.getByRole("button", { name: "Remove condition 1" }).click();
  await rule(page, "Condition 2").waitFor({ state: "detached" });
  assert.equal(await page.getByLabel("Values of condition 1").inputValue(), "stays");
  assert.equal(await page.evaluate(() => document.activeElement.id), "add_condition");
});

test("tags of HTML are scanned or left out, by condition", async ({ page }) => {
  await page.goto("/policies/filters/new");
  await page.getByLabel("What condition 1 looks at").selectOption("Body");
  await page.getByLabel("Only visible text").waitFor();
  await page.getByLabel("Values of condition 1").fill("onclick");
  await page.getByLabel("HTML tags are scanned too").check();
  await until("the summary follows", async () =>
    (await page.locator("#summary").innerText()).startsWith("If the body with its HTML tags contains “onclick”"), 5);
});

test("a fault in a filter is shown at its field", async ({ page }) => {
  await page.goto("/policies/filters/new");
  await page.getByLabel("Name", { exact: true }).fill("Broken");
  await page.getByLabel("How condition 1 looks at it").selectOption("matches the expression");
  await page.getByLabel("Values of condition 1").fill("fine\na(b");
  await page.getByLabel("What action 1 does").selectOption("Delete it");
  await page.getByLabel("Folder of action 1").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Add filter" }).click();
  await page.locator("#error-c0_values").filter({ hasText: "Line 2" }).waitFor();
  await page.getByRole("alert").getByRole("link").first().click();
  assert.equal(await page.evaluate(() => document.activeElement.id), "field-c0_values");
});

test("filters are put in order by dragging", async ({ page }) => {
  await addFilter(page, "Second", "second");
  await addFilter(page, "Third", "third");
  assert.deepEqual(await order(page), ["Payroll", "Second", "Third"]);
  const handle = await page.getByRole("button", { name: "Move Third" }).boundingBox();
  const target = await page.locator(".filter-row").first().boundingBox();
  await page.mouse.move(handle.x + handle.width / 2, handle.y + handle.height / 2);
  await page.mouse.down();
  await page.mouse.move(handle.x + 5, target.y + target.height * 0.7, { steps: 8 });
  await page.mouse.move(handle.x + 5, target.y + 4, { steps: 8 });
  await page.mouse.up();
  await page.locator("#move-status").filter({ hasText: "Third stands at place 1" }).waitFor({ state: "attached" });
  await page.reload();
  assert.deepEqual(await order(page), ["Third", "Payroll", "Second"]);
});

test("filters are put in order with the keyboard, and Escape puts one back", async ({ page }) => {
  await page.getByRole("button", { name: "Move Third" }).focus();
  for (const key of ["Space", "ArrowDown", "ArrowDown", "Space"]) await page.keyboard.press(key);
  await page.locator("#move-status").filter({ hasText: "Third stands at place 3" }).waitFor({ state: "attached" });
  assert.equal(await page.evaluate(() => document.activeElement.closest("li").dataset.name), "Third");
  for (const key of ["Space", "ArrowUp", "Escape"]) await page.keyboard.press(key);
  await page.reload();
  assert.deepEqual(await order(page), ["Payroll", "Second", "Third"]);
});

test("filters are put in order by buttons, disabled, copied and removed", async ({ page }) => {
  await page.getByRole("button", { name: "Up Second" }).click();
  await until("it moved", async () => (await order(page))[0] === "Second");
  await page.getByRole("button", { name: "Disable Second" }).click();
  await page.getByRole("button", { name: "Enable Second" }).waitFor();
  await page.getByRole("button", { name: "Copy Third" }).click();
  await page.getByRole("link", { name: "Third (copy)", exact: true }).waitFor();
  await page.getByRole("link", { name: "Remove Third (copy)" }).click();
  await page.getByRole("button", { name: "Remove filter" }).click();
  await page.getByRole("status").filter({ hasText: "Removed" }).waitFor();
  assert.deepEqual(await order(page), ["Second", "Payroll", "Third"]);
});

test("the draft is reviewed and put in force, and the host runs it", async ({ page, gatehouse }) => {
  await page.goto("/policies/filters");
  assert.match(await banner(page).innerText(), /3 changes are not in force yet/);
  await putInForce(page, gatehouse, "Filters at last");
  await page.goto("/policies/filters");
  assert.equal(await banner(page).count(), 0);
});

test("a change is shown as a difference, by field, and discarded", async ({ page }) => {
  await page.getByRole("link", { name: "Payroll", exact: true }).click();
  await page.getByLabel("Values of condition 1").fill("salary\nbonus");
  await page.getByRole("button", { name: "Save" }).first().click();
  await page.getByRole("status").filter({ hasText: "Kept" }).waitFor();
  await banner(page).getByRole("link", { name: "Review and put in force" }).click();
  await page.locator("del", { hasText: "“salary” or “payslip”" }).waitFor();
  await page.locator("ins", { hasText: "“salary” or “bonus”" }).waitFor();
  await page.getByRole("link", { name: "Discard" }).click();
  await page.getByRole("button", { name: "Discard changes" }).click();
  await page.getByRole("status").filter({ hasText: "Discarded" }).waitFor();
});

test("an older version becomes the draft, and two versions are compared", async ({ page, gatehouse }) => {
  await page.getByRole("link", { name: "Remove Third" }).click();
  await page.getByRole("button", { name: "Remove filter" }).click();
  await putInForce(page, gatehouse, "Without the third");
  await page.goto("/policies/history");
  await page.getByRole("button", { name: "Compare" }).click();
  await page.getByRole("heading", { name: "Filter Third removed" }).waitFor();
  await page.goto("/policies/history");
  await page.getByRole("link", { name: "Version 1", exact: true }).click();
  await page.getByRole("button", { name: "Make it the draft" }).click();
  await page.getByRole("heading", { name: "Filter Third added" }).waitFor();
  await putInForce(page, gatehouse, "With the third again");
  await page.goto("/policies/history");
  assert.match(await page.getByRole("row").nth(1).innerText(), /Version 3[^]*With the third again[^]*went back to version 1/);
});

test("a file with a fault is refused with filter and field, the export is taken", async ({ page }) => {
  await page.goto("/policies/filters");
  const [download] = await Promise.all([
    page.waitForEvent("download"), page.getByRole("link", { name: "Export policies" }).click()]);
  const text = fs.readFileSync(await download.path(), "utf8");
  const broken = JSON.parse(text);
  broken.filters.find(({ name }) => name === "Payroll").conditions[1].op = "contains";
  const importText = async (content) => {
    await page.goto("/policies/import");
    await page.getByLabel("Or its text").fill(content);
    await page.getByRole("button", { name: "Import into the draft" }).click();
  };
  await importText(JSON.stringify(broken));
  await page.locator("#error-file").filter({ hasText: "Filter “Payroll”, condition 2, op: " }).waitFor();
  await importText(text);
  await page.getByText("There is no difference.").waitFor();
});

test("a group names each of its wrong lines, and cannot be removed in use", async ({ page }) => {
  await page.goto("/policies/groups/new");
  await page.getByLabel("Name", { exact: true }).fill("Sales");
  await page.getByLabel("Members").fill("anna@example.com\nnobody\n@example.org\nat@@all");
  await page.getByRole("button", { name: "Add group" }).click();
  assert.match(await page.locator("#error-members").innerText(), /Line 2,[^]*Line 4,/);
  await page.getByLabel("Members").fill("anna@example.com\n@example.org\n@.example.net");
  await page.getByLabel("Virus, inbound", { exact: true }).selectOption("Quarantine");
  await page.locator("#field-inbound_virus_hours").fill("48");
  await page.getByRole("button", { name: "Add group" }).click();
  await page.getByRole("row").filter({ hasText: "Sales" }).filter({ hasText: "own inbound" }).waitFor();
  await page.goto("/policies/filters");
  await page.getByRole("link", { name: "Second", exact: true }).click();
  await page.getByLabel("Sales", { exact: true }).check();
  await page.getByRole("button", { name: "Save" }).first().click();
  await page.goto("/policies/groups");
  await page.getByRole("link", { name: "Remove Sales" }).click();
  await page.getByRole("heading", { name: "Sales is in use" }).waitFor();
  await page.getByRole("listitem").filter({ hasText: "Second" }).waitFor();
});

test("two administrators do not lose each other's work", async ({ page }) => {
  const other = await page.context().newPage();
  await page.goto("/policies/filters");
  await page.getByRole("link", { name: "Payroll", exact: true }).click();
  await other.goto("/policies/filters");
  await other.getByRole("button", { name: "Disable Payroll" }).click();
  await other.getByRole("button", { name: "Enable Payroll" }).waitFor();
  await other.close();
  await page.getByLabel("Values of condition 1").fill("mine");
  await page.getByRole("button", { name: "Save" }).first().click();
  await page.getByRole("alert", { name: "Changed by somebody else" }).waitFor();
  assert.equal(await page.getByLabel("Values of condition 1").inputValue(), "mine");
  await page.getByRole("button", { name: "Save" }).first().click();
  await page.getByRole("status").filter({ hasText: "Kept" }).waitFor();
});

test("a message is tried on the draft, and every rule says why", async ({ page }) => {
  await page.goto("/policies/test");
  await page.getByLabel("Sender").fill("somebody@client.test");
  await page.getByLabel("Recipients").fill("anna@example.com\nbob@nobody.test");
  await page.getByLabel("Or its text").fill("Subject: the third\nFrom: somebody@client.test\n\nHello");
  await page.getByRole("button", { name: "Try it" }).click();
  const bob = page.getByRole("region", { name: "bob@nobody.test" });
  await bob.getByText("It is deleted.").waitFor({ timeout: 45000 });
  await bob.getByText("The filter Third decides.").waitFor();
  assert.match(await bob.innerText(), /the subject contains “third” met/);
  assert.match(await page.getByRole("region", { name: "anna@example.com" }).innerText(), /^anna@example\.com Sales/);
});

test("without scripts a filter gets its inputs and is added", async ({ page, browser }) => {
  const plain = await browser.newPage({ javaScriptEnabled: false,
    storageState: await page.context().storageState() });
  try {
    await plain.goto("/policies/filters/new");
    await plain.getByLabel("Name", { exact: true }).fill("Plain");
    await plain.getByLabel("What condition 1 looks at").selectOption("Size");
    await plain.getByLabel("What action 1 does").selectOption("Have it sent again later");
    await plain.getByRole("button", { name: "Show fitting inputs" }).first().click();
    await plain.getByLabel("Size of condition 1").fill("20");
    await plain.getByRole("button", { name: "Add filter" }).click();
    await plain.getByText("If the message is larger than 20.0 MB").waitFor();
    await plain.getByRole("button", { name: "Up Plain" }).click();
    await plain.getByRole("link", { name: "Remove Plain" }).click();
    await plain.getByRole("button", { name: "Remove filter" }).click();
    assert.equal(await plain.getByRole("link", { name: "Plain", exact: true }).count(), 0);
  } finally {
    await plain.context().close();
  }
});
