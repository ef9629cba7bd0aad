// Certificates of the SMTP servers: made, signed elsewhere, imported, chosen, and seen by clients.
"use strict";

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { configurationRuns, openHost } = require("./console_steps");
const { certificateOf } = require("./wire");
const { test } = require("./suite");

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "gatehouse-certificates-"));
process.once("exit", () => fs.rmSync(folder, { recursive: true, force: true }));
const file = (name) => path.join(folder, name);
const openssl = (...options) => execFileSync("openssl", options, { cwd: folder, stdio: "pipe" });

/** An authority in the folder: ca.pem and ca.key. */
const makeAuthority = () =>
  openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
    "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Browser CA");

const choose = async (page, gatehouse, label) => {
  await openHost(page, gatehouse.host_name);
  await page.getByRole("link", { name: "Settings", exact: true }).click();
  await page.getByLabel("What both servers show").selectOption({ label });
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByRole("status").filter({ hasText: "Saved" }).waitFor();
  await configurationRuns(page, gatehouse.host_name);
};

test("the host's own certificate is listed and shown by STARTTLS", async ({ page, gatehouse }) => {
  await page.goto("/certificates");
  const row = page.getByRole("row").filter({ hasText: gatehouse.host_name });
  assert.match(await row.innerText(), /made by itself[^]*valid[^]*self-signed/);
  const certificate = await certificateOf(gatehouse.inbound);
  assert.equal(certificate.subjectaltname, `DNS:${gatehouse.host_name}`);
});

test("a request is signed elsewhere, imported and chosen", async ({ page, gatehouse }) => {
  makeAuthority();
  await page.goto("/certificates/new");
  await page.getByLabel("A certificate authority").check();
  await page.getByLabel("Names of the servers").fill("mail.browser.test\nmx1.test");
  await page.getByRole("button", { name: "Make it" }).click();
  const request = await page.getByLabel("Certificate request").innerText();
  fs.writeFileSync(file("request.pem"), request);
  openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "20",
    "-copy_extensions", "copy", "-out", "answer.pem");
  await page.getByLabel("Or as text").fill(fs.readFileSync(file("ca.pem"), "utf8"));
  await page.getByRole("button", { name: "Import the certificate" }).click();
  await page.getByRole("alert").filter({ hasText: "belongs to none of the certificates" }).waitFor();
  await page.getByLabel("File (PEM)").setInputFiles(file("answer.pem"));
  await page.getByRole("button", { name: "Import the certificate" }).click();
  await page.getByText("Browser CA").first().waitFor();
  await choose(page, gatehouse, "mail.browser.test");
  const certificate = await certificateOf(gatehouse.inbound);
  assert.equal(certificate.issuer.CN, "Browser CA");
  assert.match(certificate.subjectaltname, /DNS:mail\.browser\.test/);
});

test("a certificate that ends soon is told, and one in use stays", async ({ page, gatehouse }) => {
  await page.goto("/");
  const alerts = page.getByRole("region", { name: "Needs attention" });
  await alerts.getByText("The certificate ends soon").waitFor();
  await alerts.getByRole("link", { name: "mail.browser.test" }).click();
  await page.getByRole("link", { name: "Remove", exact: true }).click();
  await page.getByText("It is in use by").waitFor();
  await page.getByRole("main").getByRole("link", { name: gatehouse.host_name }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Remove certificate" }).count(), 0);
});

test("a PKCS#12 file is imported with its password only", async ({ page, gatehouse }) => {
  openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "p12.key", "-out", "p12.csr", "-subj",
    "/CN=p12.browser.test", "-addext", "subjectAltName=DNS:p12.browser.test");
  openssl("x509", "-req", "-in", "p12.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "300",
    "-copy_extensions", "copy", "-out", "p12.pem");
  openssl("pkcs12", "-export", "-in", "p12.pem", "-inkey", "p12.key", "-certfile", "ca.pem",
    "-passout", "pass:sesame", "-out", "all.p12");
  await page.goto("/certificates/import");
  await page.getByLabel("File", { exact: true }).setInputFiles(file("all.p12"));
  await page.getByLabel("Password of the file or key").fill("wrong");
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await page.getByRole("alert").filter({ hasText: "does not open the file" }).waitFor();
  assert.equal(await page.getByLabel("Password of the file or key").inputValue(), "");
  await page.getByLabel("File", { exact: true }).setInputFiles(file("all.p12"));
  await page.getByLabel("Password of the file or key").fill("sesame");
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await page.getByRole("heading", { level: 1, name: "p12.browser.test" }).waitFor();
  await choose(page, gatehouse, "p12.browser.test (does not name this host)");
  assert.equal((await certificateOf(gatehouse.outbound)).subject.CN, "p12.browser.test");
});

test("the host's own certificate is chosen again, and another removed", async (world) => {
  const { page, gatehouse } = world;
  await choose(page, gatehouse, `Made by itself for ${gatehouse.host_name} (self-signed)`);
  assert.equal((await certificateOf(gatehouse.inbound)).subject.CN, gatehouse.host_name);
  await page.goto("/certificates");
  await page.getByRole("link", { name: "mail.browser.test" }).click();
  await page.getByRole("link", { name: "Remove", exact: true }).click();
  await page.getByRole("button", { name: "Remove certificate" }).click();
  await page.getByRole("status").filter({ hasText: "Removed" }).waitFor();
  assert.equal(await page.getByRole("link", { name: "mail.browser.test" }).count(), 0);
});
