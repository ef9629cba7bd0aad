"use strict";

const assert = require("node:assert/strict");
const { test } = require("./suite");

test("the session is over after the sign-out, for its old cookies too", async ({ page }) => {
  await page.goto("/");
  const cookies = await page.context().cookies();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("status").filter({ hasText: "You are signed out" }).waitFor();
  await page.context().addCookies(cookies);
  await page.goto("/audit");
  assert.equal(new URL(page.url()).pathname, "/sign-in");
});
