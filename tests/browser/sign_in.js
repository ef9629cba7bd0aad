"use strict";

const assert = require("node:assert/strict");
const { test } = require("./suite");

const PASSWORD = "correct horse battery staple";

const signIn = async (page, name, password) => {
  await page.goto("/sign-in");
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
};

const changePassword = async (page, current, password, repeat) => {
  await page.getByLabel("One-time password").fill(current);
  await page.getByLabel("New password", { exact: true }).fill(password);
  await page.getByLabel("New password again").fill(repeat);
  await page.getByRole("button", { name: "Change password" }).click();
};

test("without a session every page leads to the sign-in", async ({ page }) => {
  for (const address of ["/", "/audit", "/hosts", "/domains/new"]) {
    await page.goto(address);
    assert.equal(new URL(page.url()).pathname, "/sign-in", address);
  }
});

test("a wrong password is refused with an explanation", async ({ page, gatehouse }) => {
  await signIn(page, gatehouse.administrator, "not this one");
  await page.getByRole("alert").filter({ hasText: "Name or password is not right" }).waitFor();
  assert.match(await page.title(), /^Error: /);
  assert.equal(await page.getByLabel("Password").inputValue(), "");
});

test("a one-time password gives nothing but the change of it", async ({ page, gatehouse }) => {
  await signIn(page, gatehouse.administrator, gatehouse.one_time_password);
  await page.waitForURL("**/account/password*");
  await page.goto("/audit");
  assert.equal(new URL(page.url()).pathname, "/account/password");
});

test("two new passwords that differ are refused beside the field", async ({ page, gatehouse }) => {
  await changePassword(page, gatehouse.one_time_password, PASSWORD, `${PASSWORD} not`);
  await page.locator("#error-repeat").filter({ hasText: "are not the same" }).waitFor();
});

test("the administrator's own password opens the dashboard", async ({ page, gatehouse }) => {
  await changePassword(page, gatehouse.one_time_password, PASSWORD, PASSWORD);
  await page.getByRole("heading", { level: 1, name: "Change password" }).waitFor({ state: "hidden" });
  await page.goto("/");
  await page.getByRole("heading", { level: 1, name: "Dashboard" }).waitFor();
});

module.exports = { signIn, PASSWORD };
