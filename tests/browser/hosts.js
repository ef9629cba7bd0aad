"use strict";

const assert = require("node:assert/strict");
const { configurationRuns } = require("./console_steps");
const { test } = require("./suite");

test("the hosts show the scanner and the configuration that it runs", async (world) => {
  const { page, gatehouse } = world;
  const version = await configurationRuns(page, gatehouse.host_name);
  assert.ok(version >= 3, `version ${version} after three changes`);
  await page.goto("/hosts");
  const row = page.getByRole("row").filter({ hasText: gatehouse.host_name });
  assert.match(await row.innerText(), new RegExp(`online[^]*up to date[^]*version ${version}`));
});

test("the host's page shows the services that run", async ({ page, gatehouse }) => {
  await page.getByRole("link", { name: gatehouse.host_name, exact: true }).click();
  const services = page.getByRole("region", { name: "Services" });
  for (const name of ["mta", "engine", "directory", "agent"]) {
    const row = services.getByRole("row").filter({ has: page.getByRole("rowheader", { name }) });
    assert.match(await row.innerText(), /running/, name);
  }
});

test("a scanner to add gets its enrolment command", async ({ page }) => {
  await page.goto("/hosts");
  await page.getByRole("link", { name: "Add a scanner" }).click();
  await page.getByLabel("Host name").fill("mx2.test");
  await page.getByRole("button", { name: "Make the enrolment command" }).click();
  const command = await page.getByLabel("Enrolment command").innerText();
  assert.match(command,
    /^gatehouse-scanner enroll --state \S+ --url https:\/\/127\.0\.0\.1:\d+ --token gh1\.\S+\.\S+$/);
});

test("the command for a new scanner can be copied", async ({ page }) => {
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy the command" }).click();
  await page.getByRole("button", { name: "Copied" }).waitFor();
});
