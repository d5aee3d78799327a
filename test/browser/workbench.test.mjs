// Drives the page of a run as a workbench: cursors that stay, peaks, history and
// links, arranged charts.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { accessible, base, chart, complaints, drag, env, launch, plot, quit, resting, second, settled, signIn, span, until, visit } from "./visit.mjs";

const START = Date.parse("2026-06-07T10:00:00Z"), ROUND = 200 * Math.PI; // m, of a circle
const id = "bench", here = `${base}/runs/${id}?metrics=speed_ms,power_w,motor_temp_c`;

// Four rounds at 10 m/s, five records a second; the power peaks in one record.
const power = (i) => (i === 777 ? 912.5 : 200 + 50 * Math.sin(i / 40));
const PEAK = "10:02:35.400"; // when that was

let context, page;

before(async () => {
  await launch();
  const records = Array.from({ length: 1290 }, (_, i) => ({
    session_id: id, timestamp: new Date(START + i * 200).toISOString(), speed_ms: 10, power_w: power(i), voltage_v: 48 - i / 1000, motor_temp_c: 40 + i / 100,
    latitude: 47.1 + Math.sin(i / 50) / 1111.95, longitude: 11.5 + Math.cos(i / 50) / 756.9, ...(i % 2 ? {} : { pump: i < 600 ? "on" : "off" }),
  }));
  const response = await fetch(`${base}/api/v1/telemetry`, { method: "POST", headers: { Authorization: `Bearer ${env("DEPLOY_KEY")}`, "Content-Type": "application/json" }, body: JSON.stringify(records) });
  assert.equal(response.status, 200, await response.text());
  ({ context, page } = await visit());
  await page.goto(`${base}/signin`);
  await signIn(page, env("ADMIN_EMAIL"), env("ADMIN_PASSWORD"));
  await page.getByRole("heading", { name: "All runs" }).waitFor();
});
after(quit);

// open shows the run, and waits for its laps.
async function open(page, address = here) {
  await page.goto(address);
  await settled(page);
  await page.getByRole("region", { name: "Laps; choose one to see it in the charts" }).waitFor();
  await page.evaluate(() => scrollTo(0, 0));
}

const values = (page) => page.getByRole("region", { name: "Values of the charts' channels" });
const row = async (page, channel) => (await values(page).locator(`[data-of="${channel}"] td`).allTextContents()).map((v) => (v === "–" ? null : Number(v.replace("−", "-").replace("+", "").replaceAll(",", "")) || v));
const near = (v, want, by, what) => assert.ok(Math.abs(v - want) <= by, `${what}: ${v}, want ${want}`);

describe("the page as a workbench", { concurrency: false }, () => {
  test("pins cursors, and says the values at each and what is between them", async () => {
    await open(page);
    const box = await resting(page, "speed_ms"), at = (part) => [box.x + box.width * part, box.y + 40], seconds = 257.801;
    await page.mouse.move(...at(0.25));
    await page.locator(".here", { hasText: /^10:01:0\d\.\d{3} · Lap 2 · Sector \d · \d+ m$/ }).waitFor();
    await page.mouse.click(...at(0.25));
    await page.mouse.click(...at(0.5));
    await until("values of the records there", async () => { const cells = await row(page, "motor_temp_c"); return cells.length === 7 && cells[3]; });
    const [, a, b, by, low, mean, high] = await row(page, "motor_temp_c");
    near(a, 40 + (seconds * 0.25) / 20, 0.03, "at A"); // 0.05 °C/s
    near(b, 40 + (seconds * 0.5) / 20, 0.03, "at B");
    near(by, b - a, 0.011, "between them");
    near(low, 40, 0.001, "lowest"), near(mean, 46.445, 0.01, "mean"), near(high, 52.89, 0.001, "highest");
    const said = await page.locator(".where").innerText();
    const [, dt, way] = /B − A ([\d.]+) s · ([\d.]+) m/.exec(said);
    near(dt, seconds / 4, 0.5, "seconds between them"), near(way, dt * 10, 6, "metres between them");
    assert.match(said, /A 10:01:0\d\.\d{3} · Lap 2/);
    await accessible(page, "a run with pinned cursors");
    // A state has its text, and the keyboard does the same.
    await page.locator("#charts").focus();
    await page.keyboard.press("Escape");
    assert.equal(await page.locator(".where").innerText().then((text) => text.includes("B")), false);
    await page.keyboard.press("Period");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Period");
    await page.keyboard.press("Enter");
    await until("what is between them", async () => /B − A \d\.\d+ s/.test(await page.locator(".where").innerText()));
  });

  test("goes to the record with the highest value", async () => {
    await open(page);
    await chart(page, "power_w").getByRole("button", { name: "max 912.5" }).click();
    await page.locator(".here", { hasText: PEAK }).waitFor();
    await page.waitForFunction((at) => document.getElementById("status").textContent.endsWith(`Power 912.5 W at ${at}`), PEAK);
    await page.locator("#charts").focus();
    await page.keyboard.press("Enter");
    await until("its value", async () => (await row(page, "power_w"))[1] === 912.5);
  });

  test("undoes a zoom by Back, and opens a link just as it was", async () => {
    await open(page);
    const win = async (what, check) => { await until(what, async () => check(await span(page))); return span(page); };
    await drag(page, await resting(page, "speed_ms"), 0.2, 0.8);
    const first = await win("the first zoom", (w) => w);
    await page.locator("#charts").focus();
    await page.keyboard.press("+");
    await settled(page);
    await win("the second zoom", (w) => w[1] - w[0] < (first[1] - first[0]) * 0.6);
    await page.goBack();
    await win("the window before", (w) => w && Math.abs(w[0] - first[0]) < 0.002 && Math.abs(w[1] - first[1]) < 0.002);
    await page.waitForFunction((t) => document.querySelector(".stack-status").textContent.startsWith(t), `${new Date(START + first[0] * 1000).toISOString().slice(11, 19)}`);
    await page.goForward();
    const last = await win("the second zoom again", (w) => w && w[1] - w[0] < (first[1] - first[0]) * 0.6);
    await settled(page);
    // Cursors, ticked laps and channels belong to the link.
    const box = await plot(page, "speed_ms");
    await page.mouse.click(box.x + box.width * 0.2, box.y + 30);
    await page.mouse.click(box.x + box.width * 0.7, box.y + 30);
    await page.getByLabel("Compare lap 2").check();
    await until("both cursors in the address", async () => new URL(page.url()).searchParams.get("cursor")?.includes(","));
    const told = () => page.locator(".where").innerText().then((text) => text.replace(/^Cursor.*\n/, ""));
    await page.locator(".where", { hasText: /B − A [\d.]+ s · [\d.]+ m$/ }).waitFor();
    const link = page.url(), said = await told();
    await page.goto("about:blank");
    await open(page, link);
    assert.deepEqual(await span(page), last);
    await until("the cursors", async () => (await told()).split("\n")[2] === said.split("\n")[2]);
    assert.ok(await page.getByLabel("Compare lap 2").isChecked());
    assert.deepEqual(await page.locator(".chart").evaluateAll((nodes) => nodes.map((n) => n.dataset.metric)), ["speed_ms", "power_w", "motor_temp_c"]);
    assert.equal(page.url().split("?")[1].split("&").sort().join(), link.split("?")[1].split("&").sort().join());
    // Backspace does what Back does; of a page that was opened there is nothing to undo.
    await page.locator("#charts").focus();
    await page.keyboard.press("Backspace");
    await page.keyboard.press("0");
    await win("the whole run", (w) => !w);
    await page.locator("#charts").focus();
    await page.keyboard.press("Backspace");
    await win("the zoom", (w) => w && Math.abs(w[0] - last[0]) < 0.002);
  });

  test("draws several channels in one chart, and keeps height and order", async () => {
    await open(page, `${here},pump`);
    const traces = () => page.locator(".chart").evaluateAll((nodes) => nodes.map((n) => [...n.querySelectorAll("[data-trace]")].map((t) => t.dataset.trace).join("+")).filter(Boolean));
    const menu = page.getByRole("dialog", { name: "Arrange Speed" });
    await page.getByRole("button", { name: "Arrange Speed" }).click();
    await menu.getByRole("checkbox", { name: "Power" }).check(); // it leaves its own chart
    await menu.getByRole("checkbox", { name: "Voltage" }).check(); // that was not drawn
    await settled(page);
    assert.deepEqual(await traces(), ["speed_ms+power_w+voltage_v", "motor_temp_c"]);
    assert.ok(await menu.getByRole("checkbox", { name: "Motor temperature" }).isDisabled(), "a fourth unit");
    await accessible(page, "the menu of a chart");
    // By the keyboard, which goes on where it was.
    const low = (await plot(page, "speed_ms")).height;
    await menu.getByRole("button", { name: "Tall" }).focus();
    await page.keyboard.press("Enter");
    await until("a tall chart", async () => (await plot(page, "speed_ms")).height > low * 1.5);
    const swatches = () => page.locator("[data-trace]").evaluateAll((nodes) => nodes.map((n) => `${n.dataset.trace} ${n.querySelector(".swatch").style.background}`).sort());
    const colours = await swatches();
    await menu.getByRole("button", { name: "Move down" }).focus();
    await page.keyboard.press("Enter");
    await until("the other order", async () => (await traces()).join() === "motor_temp_c,speed_ms+power_w+voltage_v");
    assert.deepEqual(await swatches(), colours, "a channel keeps its colour");
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => document.activeElement.getAttribute("aria-label") === "Arrange Speed");
    assert.match(page.url(), /metrics=motor_temp_c,speed_ms,power_w,voltage_v,pump&charts=1,3l$/);
    const box = await plot(page, "speed_ms");
    await page.mouse.move(box.x + box.width / 2, box.y + 30);
    await until("a value of each channel", async () => (await page.locator(".together output").allTextContents()).every((text) => /^\d/.test(text)));
    await page.reload(); // and without the address
    await settled(page);
    await page.goto(`${base}/runs/${id}`);
    await settled(page);
    assert.deepEqual(await traces(), ["motor_temp_c", "speed_ms+power_w+voltage_v"]);
    // A layout is drawn of another run as well, without what that lacks.
    await page.getByRole("button", { name: "Layouts" }).click();
    await page.getByLabel("Keep the charts as they are now").fill("Heat");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("button", { name: "Heat", exact: true }).waitFor();
    await accessible(page, "layouts");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Remove Power" }).click();
    await until("the rest of it", async () => (await traces()).join() === "motor_temp_c,speed_ms+voltage_v");
    await page.goto(`${base}/runs/odd?metrics=speed_ms`);
    await settled(page);
    await page.getByRole("button", { name: "Layouts" }).click();
    await page.getByRole("button", { name: "Heat", exact: true }).click();
    await until("the layout", async () => (await traces()).join() === "motor_temp_c,speed_ms");
    await page.getByText("this run lacks 3 of its 5 channels").waitFor();
    await page.getByRole("button", { name: "Layouts" }).click();
    await page.getByRole("button", { name: "Delete Heat" }).click();
    await page.getByText("None is saved yet.").waitFor();
    await page.evaluate(() => localStorage.clear());
  });

  test("colours the track of the window by a channel, and saves a picture of a chart", async () => {
    await open(page, `${here}&from=60&to=120`);
    await page.getByLabel("What the map is coloured by").selectOption("motor_temp_c");
    const scale = (from, to) => page.locator(".way-scale", { hasText: new RegExp(`^≤ ${from}\\.\\d+ to ≥ ${to}\\.\\d+ °C$`) }).waitFor();
    await scale(43, 45); // 0.05 °C/s
    await page.getByRole("button", { name: "Whole run" }).click();
    await scale(40, 52);
    await until("the whole run in the address", async () => !/from=/.test(page.url())); // it follows a little later
    await page.reload();
    await settled(page);
    await scale(40, 52);
    assert.equal(new URL(page.url()).searchParams.get("map"), "motor_temp_c");
    await page.getByRole("button", { name: "Arrange Power" }).click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save as PNG" }).click()]);
    assert.match(download.suggestedFilename(), /^Run_bench.*power_w\.png$/);
    const picture = readFileSync(await download.path());
    assert.equal(picture.toString("latin1", 1, 4), "PNG");
    const own = await plot(page, "power_w");
    assert.ok(picture.readUInt32BE(16) > own.width && picture.readUInt32BE(20) > own.height + 60, "the chart with a head");
    await page.keyboard.press("Escape");
  });

  test("compares with a shift and cursors that the link says", async () => {
    await page.goto(`${base}/compare?runs=${id},${second}&metrics=speed_ms`);
    await settled(page);
    await page.getByLabel("shift s").nth(1).fill("-12");
    await page.getByLabel("shift s").nth(1).press("Enter");
    await settled(page);
    const box = await plot(page, "speed_ms");
    await page.mouse.click(box.x + box.width * 0.1, box.y + 30);
    await until("shift and cursor in the address", async () => /shift=0,-12/.test(page.url()) && /cursor=\d/.test(page.url()));
    await page.goto(page.url());
    await settled(page);
    assert.equal(await page.getByLabel("shift s").nth(1).inputValue(), "-12");
    await page.locator(".where", { hasText: /A \d:\d\d/ }).waitFor();
    await until("a value of each run", async () => (await values(page).locator("tbody tr").count()) === 2);
    await accessible(page, "a comparison with a cursor");
  });

  test("hides nothing that gets the focus, and scrolls as one page", async () => {
    const { context, page } = await visit({ viewport: { width: 1280, height: 720 } });
    await page.goto(`${base}/signin`);
    await signIn(page, env("ADMIN_EMAIL"), env("ADMIN_PASSWORD"));
    await page.getByRole("heading", { name: "All runs" }).waitFor();
    await open(page, `${here}&values=1`);
    await page.getByRole("heading", { name: /^Notes/ }).waitFor();
    await resting(page, "speed_ms");
    await page.locator("#charts").focus();
    const focused = () => page.evaluate(() => {
      const node = document.activeElement, box = node.getBoundingClientRect(), hit = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
      return { what: node.getAttribute("aria-label") || node.textContent.trim().slice(0, 40), signals: !!node.closest("summary")?.querySelector("#signals-title"), hidden: box.height < 100 && !(hit && (node.contains(hit) || hit.contains(node))) };
    });
    const hidden = [];
    let at = {};
    for (let i = 0; i < 120 && !at.signals; i++) {
      await page.keyboard.press("Tab");
      at = await focused();
      if (at.hidden) hidden.push(at.what);
    }
    assert.ok(at.signals, `came to ${at.what}`);
    assert.deepEqual(hidden, []);
    const before = await page.evaluate(() => scrollY), laps = await page.getByRole("region", { name: "Laps; choose one to see it in the charts" }).boundingBox();
    assert.ok(before > 0);
    await page.mouse.move(laps.x + 20, Math.min(700, laps.y + laps.height - 5));
    await page.mouse.wheel(0, -100);
    await until("the wheel to scroll the page", () => page.evaluate((before) => scrollY < before, before));
    // Tables have the height of the window and the width that they need, and what is chosen there is brought into view.
    const table = page.getByRole("region", { name: "Laps; choose one to see it in the charts" }), shown = (node) => node.evaluate((node) => { const { top, bottom } = node.getBoundingClientRect(); return bottom > 0 && top < innerHeight; });
    assert.ok(await table.evaluate((node) => {
      node.scrollIntoView();
      const { left, top } = node.getBoundingClientRect();
      return node.contains(document.elementFromPoint(left + 20, top + 5)) && node.scrollWidth <= node.clientWidth && node.scrollHeight <= node.clientHeight;
    }), "the laps are cut off, or something is over them");
    await page.setViewportSize({ width: 390, height: 844 });
    await table.evaluate((node) => node.scrollIntoView());
    await until("charts out of sight", async () => !(await shown(page.locator("#charts"))));
    await table.getByRole("button", { name: "Show lap 2 in the charts" }).click();
    await until("charts in view", () => shown(page.locator("#charts")));
    await context.close();
  });

  test("never complained on the console", () => assert.deepEqual(complaints, []));
});
