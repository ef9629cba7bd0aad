// Tests by name, run in the order in which they were added, and counted. A later test may need what
// an earlier one left in Gatehouse, so a failure does not end the run but is named first.
"use strict";

const tests = [];
const PAUSE_MS = 150;
const LIMIT_SECONDS = 900; // one thing that is broken makes many others wait in vain

const test = (name, run) => tests.push({ name, run });

/** Returns what the condition returns once that is true; what it throws meanwhile is kept. */
const until = async (what, condition, seconds = 30) => {
  const end = Date.now() + seconds * 1000;
  let reason = "";
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
    } catch (error) {
      reason = `: ${error.message}`;
    }
    if (Date.now() > end) throw new Error(`not in ${seconds} s: ${what}${reason}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
};

const runAll = async (world) => {
  const failed = [];
  const end = Date.now() + LIMIT_SECONDS * 1000;
  for (const { name, run } of tests) {
    const start = Date.now();
    try {
      if (start > end) throw new Error("no time was left for it");
      await run(world);
      console.log(`ok      ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed.push(name);
      console.log(`FAILED  ${name}\n${error.stack}`);
    }
  }
  return { passed: tests.length - failed.length, failed: failed.length };
};

module.exports = { test, until, runAll };
