// Steps over the console's pages that several topics take.
"use strict";

const { until } = require("./suite");

/** Opens the page of the only host. */
const openHost = async (page, hostName) => {
  await page.goto("/hosts");
  await page.getByRole("link", { name: hostName, exact: true }).click();
  await page.getByRole("heading", { level: 1, name: hostName }).waitFor();
};

const fact = (page, term) =>
  page.locator("dl div").filter({ has: page.getByText(term, { exact: true }) }).locator("dd");

/** The version of the configuration that runs on the host whose page is open. */
const runningVersion = async (page) =>
  Number(await fact(page, "Version that runs").innerText()) || 0;

/** Waits until the host runs what the Control Center wants it to run; returns that version. */
const configurationRuns = async (page, hostName) =>
  until("the newest configuration runs", async () => {
    await openHost(page, hostName);
    const running = await runningVersion(page);
    const wanted = Number(await fact(page, "Version that should run").innerText());
    return running === wanted && running;
  });

/** Searches the audit log by subject until a row has the state; returns that row. */
const findMessage = async (page, subject, state) =>
  until(`a message ${subject} is ${state}`, async () => {
    await page.goto(`/audit?subject=${encodeURIComponent(subject)}`);
    const row = page.getByRole("row").filter({ hasText: subject }).filter({ hasText: state });
    return (await row.count()) === 1 && row;
  });

module.exports = { openHost, fact, configurationRuns, findMessage };
