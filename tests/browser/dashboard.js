"use strict";

const { test, until } = require("./suite");

test("the dashboard says that a scanner has no real signatures", async ({ page, gatehouse }) => {
  await until("the alert is there", async () => {
    await page.goto("/");
    const alerts = page.getByRole("region", { name: "Needs attention" });
    return (await alerts.count()) && (await alerts.innerText()).includes(gatehouse.host_name) &&
      (await alerts.innerText()).includes("Virus signatures are missing");
  });
});
