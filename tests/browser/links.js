// Mailed links: a filter holds a message and tells a reviewer, who decides from the mail alone.
"use strict";

const assert = require("node:assert/strict");
const { configurationRuns } = require("./console_steps");
const { look } = require("./look");
const { startSink } = require("./sink");
const { sendMail } = require("./smtp");
const { test, until } = require("./suite");

const DOMAIN = "links.test"; // the held message's recipients, and who is told
const REVIEWER = `reviewer@${DOMAIN}`;
const SENDER = `kenji@${DOMAIN}`;
const WORD = "Huitzilopochtli"; // what the filter looks for
const JAPANESE_SUBJECT = "メールを保留しました: {{subject}}";
let sink;
let mail; // to the reviewer
let address; // of the incident in the console

/* --- reading mail --- */

const unbase64 = (text) => Buffer.from(text, "base64").toString("utf8");

/** The parts of a multipart message by their type, decoded, and its subject. */
const readMail = ({ content }) => {
  const field = /^Subject: (.*(?:\n[ \t].*)*)/m.exec(content)[1];
  const subject = field.replace(/\?=\s+=\?/g, "?==?")
    .replace(/=\?utf-8\?b\?(.*?)\?=/gi, (_, text) => unbase64(text));
  const parts = {};
  for (const part of content.split(/^--\S+$/m)) {
    const match = /^Content-Type: (text\/\w+)[^]*?\n\n([^]*)/m.exec(part);
    if (match) parts[match[1]] = unbase64(match[2]);
  }
  return { subject, text: parts["text/plain"], html: parts["text/html"] };
};

/** The path of the link that stands behind a word in the mail's text. */
const linkIn = (text, word) => {
  const url = new RegExp(`^${word}: (https://\\S+)`, "m").exec(text)[1];
  return new URL(url).pathname + new URL(url).search;
};

const mailTo = async (recipient) =>
  readMail((await until(`mail for ${recipient}`, () =>
    sink.received(recipient).length > 0 && sink.received(recipient), 60))[0]);

/* --- steps --- */

const addTemplate = async (page, { name, language, subject, text, html = "" }) => {
  await page.goto("/policies/templates/new");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Language", { exact: true }).selectOption(language);
  await page.getByLabel("Subject", { exact: true }).fill(subject);
  await page.getByLabel("Text", { exact: true }).fill(text);
  await page.getByLabel("HTML", { exact: true }).fill(html);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByRole("link", { name, exact: true }).waitFor();
};

const notify = async (page, index, template) => {
  await page.getByRole("button", { name: "Add an action" }).click();
  await page.getByRole("group", { name: `Action ${index}`, exact: true }).waitFor();
  await page.getByLabel(`What action ${index} does`).selectOption("notify");
  await page.getByLabel(`Template of action ${index}`).selectOption({ label: template });
};

/** Runs `use` with a page of somebody who has never signed in. */
const asStranger = async (browser, use) => {
  const page = await browser.newPage();
  try {
    await use(page);
  } finally {
    await page.context().close();
  }
};

const refusal = (page) => page.getByRole("heading", { level: 1, name: /This link does not work/ });

test("a template with an unknown value is refused, and the line named", async ({ page }) => {
  await page.goto("/policies/templates/new");
  await page.getByLabel("Name", { exact: true }).fill("Wrong");
  await page.getByLabel("Subject", { exact: true }).fill("Held");
  await page.getByLabel("Text", { exact: true }).fill("Hello\n{{nothing_like_it}}");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.locator("#error-text").filter({ hasText: /line 2/i }).waitFor();
});

test("notifications to begin with are one click, as long as one is missing", async ({ page }) => {
  const names = ["To the reviewer", "To the sender", "確認者へ", "送信者へ"];
  const button = page.getByRole("button", { name: /^Add the usual ones/ });
  await page.goto("/policies/templates");
  await look(page, "policy-templates-none");
  await button.click();
  await page.getByRole("link", { name: "Remove 送信者へ" }).click();
  await page.getByRole("button", { name: "Remove", exact: true }).click();
  await button.click();
  for (const name of names)
    assert.equal(await page.getByRole("link", { name, exact: true }).count(), 1, name);
  assert.equal(await button.count(), 0);
  await look(page, "policy-templates");
  await page.getByRole("link", { name: "確認者へ", exact: true }).click();
  await page.getByRole("button", { name: "Preview" }).click();
  await page.getByRole("region", { name: "Preview" }).getByText("承認する").first().waitFor();
  await look(page, "policy-template");
});

test("notifications are written in the console, in English and Japanese", async ({ page }) => {
  sink = await startSink();
  await addTemplate(page, {
    name: "Review by mail", language: "en", subject: "Held: {{subject}}",
    text: "{{filter}} found:\n{{matches}}\n\nLook: {{link_view}}\nApprove: {{link_approve}}\n" +
      "Reject: {{link_reject}}\nConsole: {{console_view}}\n",
    html: "<p>{{subject}} from {{sender}}</p>\n<p><a href=\"{{link_view}}\">Look</a> " +
      "<a href=\"{{link_approve}}\">Approve</a> <a href=\"{{link_reject}}\">Reject</a></p>",
  });
  await addTemplate(page, {
    name: "送信者への通知", language: "ja", subject: JAPANESE_SUBJECT,
    text: "{{sender}} 様\n\nメールは確認のため保留されています。判定: {{verdict}}\n",
  });
});

test("a filter holds messages and tells reviewer and sender", async ({ page, gatehouse }) => {
  await page.goto("/incidents/folders/new");
  await page.getByLabel("Name", { exact: true }).fill("Mailed reviews");
  await page.getByRole("button", { name: "Keep in the draft" }).click();
  await page.getByRole("link", { name: "Mailed reviews", exact: true }).waitFor();
  await page.goto("/policies/filters/new");
  await page.getByLabel("Name", { exact: true }).fill("Hummingbirds");
  await page.getByLabel("What condition 1 looks at").selectOption("body");
  await page.getByLabel("Only visible text").waitFor();
  await page.getByLabel("Values of condition 1").fill(WORD);
  await page.getByLabel("Folder of action 1").selectOption({ label: "Mailed reviews" });
  await notify(page, 2, "Review by mail");
  await page.locator("#field-a1_to").fill(REVIEWER);
  await notify(page, 3, "送信者への通知");
  await page.locator("#a2_to_sender").check();
  await page.getByRole("button", { name: "Add filter" }).click();
  await page.getByRole("link", { name: "Hummingbirds", exact: true }).first().waitFor();
  await page.goto("/policies/review");
  await page.getByRole("button", { name: "Put in force" }).click();
  await page.getByRole("status").filter({ hasText: "In force." }).waitFor();
  await page.goto("/domains/new");
  await page.getByLabel("Domain", { exact: true }).fill(DOMAIN);
  await page.getByLabel("These relays").check();
  await page.getByLabel("Relays", { exact: true }).fill(`127.0.0.1:${sink.port}`);
  await page.getByRole("button", { name: "Add domain" }).click();
  await page.getByRole("row").filter({ hasText: DOMAIN }).first().waitFor();
  await configurationRuns(page, gatehouse.host_name);
});

test("the reviewer's mail has text and HTML with the same links", async ({ gatehouse }) => {
  assert.match(await sendMail(gatehouse.inbound, {
    sender: SENDER, recipients: [`held@${DOMAIN}`], subject: "Rain & sun",
    body: `About ${WORD} again` }), /^250 /);
  mail = await mailTo(REVIEWER);
  assert.equal(mail.subject, "Held: Rain & sun");
  assert.match(mail.text, new RegExp(`Hummingbirds found:[^]*${WORD}`));
  assert.match(mail.html, /Rain &amp; sun from kenji@/);
  for (const word of ["Look", "Approve", "Reject"])
    assert.ok(mail.html.includes(linkIn(mail.text, word)), word);
  assert.equal(sink.received(`held@${DOMAIN}`).length, 0);
});

test("the sender's mail is in Japanese", async () => {
  const { subject, text } = await mailTo(SENDER);
  assert.equal(subject, "メールを保留しました: Rain & sun");
  assert.match(text, /kenji@links\.test 様[^]*判定: 問題なし/);
});

test("a link to look shows the incident to who holds it, and nothing else", async ({ browser }) =>
  asStranger(browser, async (page) => {
    await page.goto(linkIn(mail.text, "Look"));
    const number = /Incident (\d+)/.exec(await page.getByRole("heading", { level: 1 }).innerText())[1];
    address = `/incidents/${number}`;
    await page.getByText("Rain & sun").first().waitFor();
    assert.deepEqual(await page.getByLabel("Text of body").locator("mark").allInnerTexts(), [WORD]);
    assert.equal(await page.locator("form").count(), 0);
    await look(page, "link-view");
    await page.goto(address);
    assert.equal(new URL(page.url()).pathname, "/sign-in");
  }));

test("opening a link to approve does nothing yet, however often", async ({ page, browser }) => {
  await asStranger(browser, async (stranger) => {
    for (let times = 0; times < 3; times++) await stranger.goto(linkIn(mail.text, "Approve"));
    await stranger.getByText("Nothing has been done yet").waitFor();
    await look(stranger, "link-approve");
  });
  await page.goto(address);
  await page.getByRole("form", { name: "Decide" }).waitFor();
  assert.equal(sink.received(`held@${DOMAIN}`).length, 0);
});

test("its button delivers the message, and the history says who did it", async ({ page, browser }) => {
  await asStranger(browser, async (stranger) => {
    await stranger.goto(linkIn(mail.text, "Approve"));
    await stranger.getByLabel("Comment").fill("It is about birds");
    await stranger.getByRole("button", { name: "Approve", exact: true }).click();
    await stranger.getByText("The link cannot be used again").waitFor();
    await look(stranger, "link-done");
  });
  await until("the held message arrives", () => sink.received(`held@${DOMAIN}`).length === 1);
  await page.goto(address);
  const history = await page.getByRole("region", { name: "History" }).innerText();
  assert.match(history, new RegExp(REVIEWER));
  assert.match(history, /It is about birds/);
});

test("a link that was used says so, another one who decided", async ({ browser }) =>
  asStranger(browser, async (page) => {
    await page.goto(linkIn(mail.text, "Approve"));
    await page.getByText("It was used already").waitFor();
    await page.goto(linkIn(mail.text, "Reject"));
    await page.getByText(new RegExp(`already: Approve, by .*${REVIEWER}`)).waitFor();
    await look(page, "link-decided");
    assert.equal(sink.received(`held@${DOMAIN}`).length, 1);
  }));

test("an altered link is refused politely", async ({ browser }) =>
  asStranger(browser, async (page) => {
    const link = linkIn(mail.text, "Look");
    await page.goto(link.slice(0, -2) + (link.endsWith("AA") ? "BB" : "AA"));
    await refusal(page).waitFor();
    await page.getByText("was changed on the way").waitFor();
    await look(page, "link-altered");
  }));

test("a link into the console asks for a sign-in", async ({ page, browser }) => {
  const link = linkIn(mail.text, "Console");
  await asStranger(browser, async (stranger) => {
    await stranger.goto(link);
    assert.equal(new URL(stranger.url()).pathname, "/sign-in");
  });
  await page.goto(link);
  await page.getByRole("heading", { level: 1, name: "Rain & sun" }).waitFor();
});
