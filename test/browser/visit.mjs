// What tests of the page share: visits in Chromium, and what they read and do there.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

export const env = (name) => process.env[name] ?? assert.fail(`${name} is not set`);
export const base = env("BASE_URL");
export const run = {
  id: env("RUN_ID"), name: env("RUN_NAME"), records: Number(env("RUN_RECORDS")), spike: Number(env("RUN_SPIKE")), peak: Number(env("RUN_PEAK")),
  peakAt: Number(env("RUN_PEAK_AT")), seconds: Number(env("RUN_SECONDS")), gapFrom: Number(env("RUN_GAP_FROM")), gapTo: Number(env("RUN_GAP_TO")),
};
export const second = encodeURIComponent("second/run"); // the run to compare with
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser;
export const complaints = []; // what the consoles of all visitors said

export async function launch() {
  browser = await chromium.launch({
    executablePath: env("CHROMIUM"),
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}
export const quit = () => browser?.close();

// visit opens the page as a new visitor. What its console says is a complaint,
// but for the refusals that a test expects.
export async function visit({ expect = /^$/, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, timezoneId: "UTC", locale: "en-GB", ...options });
  context.setDefaultTimeout(120_000); // a machine may be busy
  const page = await context.newPage();
  page.on("console", (m) => { if (["error", "warning"].includes(m.type()) && !expect.test(m.text())) complaints.push(`${m.type()}: ${m.text()} at ${m.location().url}`); });
  page.on("pageerror", (e) => complaints.push(`exception: ${e.stack}`));
  return { context, page };
}

// weigh counts what the browser transfers, headers included.
export async function weigh(page) {
  const client = await page.context().newCDPSession(page);
  await client.send("Network.enable");
  let bytes = 0, requests = 0;
  client.on("Network.loadingFinished", (e) => { bytes += e.encodedDataLength; requests++; });
  return () => ({ bytes, requests });
}

export async function signIn(page, email, password) {
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.locator("form").getByRole("button", { name: "Sign in" }).click();
}

export const chart = (page, metric) => page.locator(`[data-metric="${metric}"]`);

// settled waits until the charts show what was asked for last.
export async function settled(page) {
  await page.waitForTimeout(150); // longer than the charts wait before they ask
  await page.waitForFunction(() => !document.querySelector(".stack[aria-busy]") && document.querySelector(".chart .u-over"));
}

// highest reads the maximum that a chart states for its window.
export async function highest(page, metric) {
  const text = await chart(page, metric).locator(".range").textContent();
  return Number(/max ([−\-\d.,]+)/.exec(text)?.[1].replace(",", "").replace("−", "-"));
}

export async function plot(page, metric) {
  const over = chart(page, metric).locator(".u-over");
  await over.scrollIntoViewIfNeeded();
  return over.boundingBox();
}

// undrawn returns at which of these seconds of a window of that many a chart has
// no pixel of its line.
export const undrawn = (page, metric, times, seconds) => chart(page, metric).evaluate((node, [times, seconds]) => {
  const canvas = node.querySelector("canvas"), over = node.querySelector(".u-over");
  const ratio = canvas.width / canvas.clientWidth, box = over.getBoundingClientRect(), at = canvas.getBoundingClientRect();
  const colour = getComputedStyle(node.querySelector(".swatch")).backgroundColor.match(/\d+/g).map(Number);
  const left = (box.left - at.left) * ratio, top = (box.top - at.top) * ratio, width = box.width * ratio;
  const { data, width: stride } = canvas.getContext("2d").getImageData(0, top, canvas.width, box.height * ratio);
  const drawn = (column) => {
    for (let i = 4 * column; i < data.length; i += 4 * stride) if (colour.every((v, k) => Math.abs(data[i + k] - v) < 48) && data[i + 3] > 128) return true;
    return false;
  };
  return times.filter((t) => {
    const column = Math.round(left + (t / seconds) * width);
    return ![-2, -1, 0, 1, 2].some((by) => drawn(column + by));
  });
}, [times, seconds]);

// until waits for what the page's own code cannot be asked for at once.
export async function until(what, check) {
  for (const end = Date.now() + 120_000; !(await check());) {
    if (Date.now() > end) assert.fail(`timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// resting is plot once the page around it moves no more: figures come later.
export async function resting(page, metric) {
  await page.locator(".tile").first().waitFor();
  for (let before = null; ;) {
    const box = await plot(page, metric);
    if (before?.y === box.y) return box;
    before = box;
    await page.waitForTimeout(300);
  }
}

export async function drag(page, box, from, to, { shift = false } = {}) {
  const y = box.y + box.height / 2;
  if (shift) await page.keyboard.down("Shift");
  await page.mouse.move(box.x + box.width * from, y);
  await page.mouse.down();
  await page.mouse.move(box.x + (box.width * (from + to)) / 2, y, { steps: 4 });
  await page.mouse.move(box.x + box.width * to, y, { steps: 4 });
  await page.mouse.up();
  if (shift) await page.keyboard.up("Shift");
  await settled(page);
}

export const span = (page) => page.evaluate(() => { const q = new URLSearchParams(location.search); return q.has("from") ? [Number(q.get("from")), Number(q.get("to"))] : null; });
export async function windowOf(page) {
  await page.waitForTimeout(400); // the address follows a little later
  return (await span(page)) || [0, run.seconds];
}

export async function accessible(page, where) {
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const bad = violations.filter((v) => ["moderate", "serious", "critical"].includes(v.impact));
  assert.deepEqual(bad.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ")).join("; ")}`), [], `${where}: axe-core`);
  for (const v of violations) console.log(`# ${where}: ${v.impact} ${v.id} (${v.nodes.length})`);
}
