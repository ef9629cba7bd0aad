"use strict";

const assert = require("node:assert/strict");
const { subject } = require("./mail");
const { signIn, PASSWORD } = require("./sign_in");
const { test } = require("./suite");

test("without scripts one signs in, searches and opens a message", async (world) => {
  const { browser, gatehouse } = world;
  const page = await browser.newPage({ javaScriptEnabled: false });
  try {
    await signIn(page, gatehouse.administrator, PASSWORD);
    await page.getByRole("heading", { level: 1, name: "Dashboard" }).waitFor();
    await page.getByRole("link", { name: "Message audit log" }).click();
    await page.getByLabel("Subject").fill(subject);
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByRole("link", { name: subject }).click();
    await page.getByRole("heading", { level: 1, name: subject }).waitFor();
    await page.setViewportSize({ width: 390, height: 844 });
    assert.ok(await page.getByRole("link", { name: "Protocols" }).isVisible(), "the menu is there");
  } finally {
    await page.context().close();
  }
});
