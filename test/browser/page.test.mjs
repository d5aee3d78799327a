// Drives the built-in page in Chromium, as a crew member would. The Go test
// beside it starts the daemon, fills it, and says in the environment what the
// page has to show.

import assert from "node:assert/strict";
import { createReadStream, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { totp } from "../node/totp.mjs";
import { accessible, base, chart, complaints, drag, env, highest, launch, plot, quit, resting, run, second, settled, signIn, span, undrawn, until, visit, weigh, windowOf } from "./visit.mjs";

const WEIGHT = 200_000; // bytes that a first visit may transfer, sign-in and a run's charts included

let context, page;

before(async () => {
  await launch();
  ({ context, page } = await visit());
});
after(quit);

describe("the built-in page", { concurrency: false }, () => {
  test("shows a visitor what is live and nothing else", async () => {
    const { context, page } = await visit({ expect: /401|403/ });
    await page.goto(base);
    await page.getByRole("heading", { name: "On track now" }).waitFor();
    await page.locator("table.runs").getByRole("link", { name: "Car on track" }).waitFor();
    assert.equal(await page.locator("table.runs tbody tr").count(), 1);
    await accessible(page, "live runs, signed out");
    await page.goto(`${base}/runs/${run.id}`);
    await page.getByRole("heading", { name: "This run is for the crew" }).waitFor();
    await context.close();
  });

  test("signs in, opens the run, and weighs little", async () => {
    const weight = await weigh(page);
    await page.goto(base);
    await page.getByRole("link", { name: "Sign in" }).first().click();
    await accessible(page, "sign-in");
    await signIn(page, env("ADMIN_EMAIL"), "not the password");
    await page.getByRole("alert").filter({ hasText: /\w/ }).waitFor();
    complaints.length = 0; // the browser notes the refusal
    await signIn(page, env("ADMIN_EMAIL"), env("ADMIN_PASSWORD"));
    await page.getByRole("heading", { name: "All runs" }).waitFor();
    assert.equal(new URL(page.url()).pathname, "/");
    await page.getByLabel("Search runs").fill(run.name);
    const row = page.locator("table.runs tbody tr");
    await page.waitForFunction(() => document.querySelectorAll("table.runs tbody tr").length === 1);
    assert.match(await row.textContent(), new RegExp(run.records.toLocaleString("en-GB")));
    await accessible(page, "all runs");
    await row.getByRole("link").click();
    await page.getByRole("heading", { name: run.name, level: 1 }).waitFor();
    await settled(page);
    await page.locator(".tile").first().waitFor();
    for (let before = -1; before !== weight().requests; await page.waitForTimeout(800)) before = weight().requests;
    const { bytes, requests } = weight();
    console.log(`# page weight: ${(bytes / 1000).toFixed(1)} kB in ${requests} requests, sign-in and the charts of a run included`);
    assert.ok(bytes < WEIGHT, `${bytes} bytes transferred`);
  });

  test("keeps the token out of addresses, and from other origins", async () => {
    assert.ok(!page.url().includes("token"));
    assert.deepEqual(await context.cookies(), []);
    const policy = (await page.request.get(base)).headers()["content-security-policy"];
    assert.match(policy, /script-src 'self'(;|$)/);
  });

  test("shows a one-sample spike at every zoom", async () => {
    await page.getByRole("button", { name: "Metrics" }).click();
    await page.getByLabel("Find a metric").fill("accel_x");
    await page.locator('.option input[value="accel_x"]').check();
    await page.getByRole("button", { name: "Done" }).click();
    const asked = page.waitForRequest((r) => r.url().includes("/series?") && r.url().includes("accel_x"));
    await page.reload();
    await settled(page);
    const width = Math.round((await plot(page, "accel_x")).width);
    const points = Number(new URL((await asked).url()).searchParams.get("points"));
    assert.ok(Math.abs(points - width) <= 2 || points === 400, `asked for ${points} points at ${width} pixels`);
    assert.ok(Math.abs((await highest(page, "accel_x")) - run.spike) < 0.06, "the whole run");
    assert.match(await chart(page, "accel_x").locator(".level").textContent(), /buckets · /);
    for (const width of [run.seconds / 6, run.seconds / 40, 60, 8]) {
      const [a, b] = await windowOf(page);
      const at = (run.peakAt - a) / (b - a), half = Math.min(0.45, width / (b - a) / 2);
      await drag(page, await plot(page, "accel_x"), Math.max(0.005, at - half), Math.min(0.995, at + half));
      const [from, to] = await windowOf(page);
      assert.ok(to - from < b - a && from <= run.peakAt && run.peakAt <= to, `zoomed to ${from}..${to} for ${run.peakAt}`);
      assert.ok(Math.abs((await highest(page, "accel_x")) - run.peak) < 0.06, `the spike at ${(to - from).toFixed(1)} s`);
    }
    assert.match(await chart(page, "accel_x").locator(".level").textContent(), /every record/);
    await accessible(page, "a run");
  });

  test("zooms and pans with wheel, mouse, keyboard and buttons", async () => {
    let [a, b] = await windowOf(page);
    let box = await plot(page, "accel_x");
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.wheel(0, 400); // the page's
    await until("the page to scroll", () => page.evaluate(() => scrollY > 0));
    assert.deepEqual(await windowOf(page), [a, b], "the wheel scrolls the page");
    box = await plot(page, "accel_x");
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.keyboard.down("Control");
    await page.mouse.wheel(0, 400);
    await page.keyboard.up("Control");
    await settled(page);
    let [c, d] = await windowOf(page);
    assert.ok(d - c > b - a, "Ctrl and the wheel zoom out");
    box = await plot(page, "accel_x");
    await drag(page, box, 0.5, 0.7, { shift: true });
    let [e, f] = await windowOf(page);
    assert.ok(e < c && Math.abs(f - e - (d - c)) < 0.01, "shift and drag pan");
    await page.locator("#charts").focus();
    await page.keyboard.press("+");
    await settled(page);
    [a, b] = await windowOf(page);
    assert.ok(Math.abs((b - a) * 2 - (f - e)) < 0.01, "+ zooms in");
    await page.keyboard.press("ArrowRight");
    await settled(page);
    [c, d] = await windowOf(page);
    assert.ok(c > a && Math.abs(d - c - (b - a)) < 0.01, "an arrow pans");
    await page.keyboard.press("Period");
    await page.waitForFunction(() => /Accel/i.test(document.getElementById("status").textContent));
    await page.getByRole("button", { name: "Zoom out" }).click();
    await settled(page);
    assert.ok((await windowOf(page)).reduce((p, q) => q - p) > d - c, "the button zooms out");
    box = await plot(page, "accel_x");
    await page.mouse.dblclick(box.x + box.width / 2, box.y + box.height / 2);
    await settled(page);
    assert.equal(await span(page).then(async () => { await page.waitForTimeout(400); return span(page); }), null, "a double click shows everything");
  });

  test("shows a gap as a gap, and all charts one cursor", async () => {
    // Columns of the speed chart that have ink, inside the gap and before it.
    const ink = await page.evaluate(([from, to, all]) => {
      const canvas = document.querySelector('[data-metric="speed_ms"] canvas'), over = document.querySelector('[data-metric="speed_ms"] .u-over');
      const ratio = canvas.width / canvas.clientWidth, g = canvas.getContext("2d", { willReadFrequently: true });
      const left = over.getBoundingClientRect().left - canvas.getBoundingClientRect().left, top = over.getBoundingClientRect().top - canvas.getBoundingClientRect().top;
      const hue = getComputedStyle(document.documentElement).getPropertyValue("--c1").trim();
      const want = [1, 3, 5].map((i) => parseInt(hue.slice(i, i + 2), 16));
      const count = (a, b) => {
        let n = 0;
        const x0 = Math.ceil((left + (over.clientWidth * a) / all) * ratio) + 2, x1 = Math.floor((left + (over.clientWidth * b) / all) * ratio) - 2;
        const data = g.getImageData(x0, top * ratio, Math.max(1, x1 - x0), over.clientHeight * ratio).data;
        for (let i = 0; i < data.length; i += 4) if (want.every((v, k) => Math.abs(data[i + k] - v) < 24)) n++;
        return n / Math.max(1, x1 - x0);
      };
      return { before: count(0, from), inside: count(from + (to - from) * 0.02, to - (to - from) * 0.02) };
    }, [run.gapFrom, run.gapTo, run.seconds]);
    assert.ok(ink.before > 0.5, `${ink.before} pixels of the line per column before the gap`);
    assert.equal(ink.inside, 0, "nothing is drawn across the gap");
    await page.evaluate(() => scrollTo(0, 0));
    const box = await plot(page, "speed_ms");
    await page.mouse.move(box.x + box.width * 0.2, box.y + 20, { steps: 3 });
    for (const metric of ["speed_ms", "accel_x"]) await page.waitForFunction((m) => /\d/.test(document.querySelector(`[data-metric="${m}"] output`).textContent), metric);
    for (const part of [0.3, 0.8]) {
      await page.mouse.move(box.x + (box.width * (run.gapFrom + (run.gapTo - run.gapFrom) * part)) / run.seconds, box.y + 20, { steps: 3 });
      await page.waitForFunction(() => document.querySelector('[data-metric="speed_ms"] output').textContent === "–");
    }
    await page.mouse.move(5, 5);
  });

  test("draws every sample of coarse clocks and sparse channels", async () => {
    const before = page.url();
    await page.goto(`${base}/runs/odd?metrics=speed_ms,motor_temp_c`);
    await settled(page);
    assert.match(await page.locator(".run-head .meta").textContent(), /10:00 UTC · 2 min 00 s · 600 records/);
    for (const [metric, every] of [["speed_ms", 1], ["motor_temp_c", 2]]) {
      await chart(page, metric).scrollIntoViewIfNeeded();
      const times = Array.from({ length: 120 / every }, (_, i) => i * every);
      assert.deepEqual(await undrawn(page, metric, times, 119.801), [], `${metric} is drawn everywhere`);
    }
    await page.goto(before);
    await settled(page);
  });

  test("carries durations into the next unit", async () => {
    const lengths = [119.8, 59.6, 9.96, 0.9996, 3599.5, 3570, 86_399, ...Array.from({ length: 2000 }, () => Math.random() * 10 ** (Math.random() * 8 - 2))];
    const texts = await page.evaluate(async (lengths) => {
      const { duration } = await import(document.querySelector('link[href$="/format.js"]').href);
      return lengths.map(duration);
    }, lengths);
    assert.equal(texts[0], "2 min 00 s");
    const units = { ms: 0.001, s: 1, min: 60, h: 3600 };
    lengths.forEach((length, i) => {
      const parts = [...texts[i].replaceAll(",", "").matchAll(/([\d.]+) (ms|s|min|h)/g)].map(([, n, unit]) => [Number(n), unit]);
      const [n, unit] = parts.at(-1);
      const step = texts[i].includes(".") ? 0.1 : units[unit];
      const written = parts.reduce((sum, [n, unit]) => sum + n * units[unit], 0);
      assert.ok(Math.abs(written - length) <= step * 0.5001, `${length} s is written as ${texts[i]}`);
      assert.ok(n < (unit === "ms" ? 1000 : 60), `${length} s is written as ${texts[i]}`);
    });
  });

  test("shows a run of which all records are set aside, and no figures or charts of it", async () => {
    const body = JSON.stringify([{ session_id: "boot", session_name: "Boot", timestamp: "1980-01-06T00:00:03Z", speed_ms: 1 }]);
    const response = await fetch(`${base}/api/v1/telemetry`, { method: "POST", headers: { Authorization: `Bearer ${env("DEPLOY_KEY")}`, "Content-Type": "application/json" }, body });
    assert.equal(response.status, 200, await response.text());
    const here = page.url();
    await page.goto(base);
    const row = page.locator("tbody tr", { hasText: "Boot" });
    assert.equal(await row.locator('[data-label="Duration"]').textContent(), "–");
    await row.getByRole("link", { name: "Boot" }).click();
    await page.getByRole("heading", { name: "1 record set aside" }).waitFor();
    await page.waitForTimeout(500); // a chart would have said by then what it lacks
    assert.equal(await page.locator(".stack").isVisible(), false);
    assert.equal(await page.locator(".stack .problem").count(), 0);
    await page.goto(here);
    await settled(page);
  });

  test("gives the values as a table, too", async () => {
    await page.getByRole("button", { name: "Table of values" }).click();
    const table = page.getByRole("region", { name: "Values of the charts as a table" });
    await table.locator("tbody tr").first().waitFor();
    const rows = await table.locator("tbody tr").count();
    assert.ok(rows > 10 && rows <= 62, `${rows} rows`);
    assert.match(await table.locator("thead").textContent(), /Speed, km\/h/);
    await accessible(page, "a run with its table");
    await page.getByRole("button", { name: "Table of values" }).click();
  });

  test("downloads the run as CSV, whole", async () => {
    await page.getByRole("button", { name: "CSV" }).click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
    let lines = 0, header = "";
    for await (const line of createInterface({ input: createReadStream(await download.path()) })) { if (!lines++) header = line; }
    assert.equal(lines, run.records + 1);
    assert.match(header, /session_id.*timestamp/);
  });

  test("follows the live car", async () => {
    await page.goto(base);
    await page.locator(".live-card").click();
    await page.getByRole("button", { name: "Live", exact: true }).waitFor();
    await page.waitForFunction(() => document.querySelector(".stack-status").textContent.includes("live"));
    complaints.splice(0, Infinity, ...complaints.filter((c) => !c.includes("willReadFrequently"))); // of the look at the pixels
    const output = chart(page, "speed_ms").locator("output");
    const seen = new Set();
    for (const end = Date.now() + 60_000; seen.size < 5 && Date.now() < end;) { seen.add(await output.textContent()); await page.waitForTimeout(150); }
    assert.ok(seen.size >= 5, `the newest speed changed ${seen.size} times`);
    await page.locator("canvas.track").waitFor();
    await accessible(page, "a live run");
    // Zooming into the past stops following; the button goes on.
    const box = await plot(page, "speed_ms");
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.keyboard.down("Control");
    await page.mouse.wheel(0, -300);
    await page.keyboard.up("Control");
    await page.getByRole("button", { name: "Go live" }).waitFor();
    await settled(page);
    await page.getByRole("button", { name: "Go live" }).click();
    await page.waitForFunction(() => document.querySelector(".stack-status").textContent.includes("live"));
  });

  test("says what may still be spent, while the car drives", async () => {
    // Seven laps of 60 s, a little quicker and slower, the last of which is half over.
    const lap = 600, radius = lap / 2 / Math.PI, steps = [];
    for (let t = 0, way = 0; way < 6.5 * lap; t += 0.5) {
      const speed = 10 * (1 + 0.02 * Math.sin(Math.floor(way / lap) * 2)), angle = way / radius;
      steps.push([t, { speed_ms: speed, power_w: 36 * speed, latitude: 47 + (radius * Math.sin(angle)) / 111_195, longitude: 9 + (radius * Math.cos(angle)) / (111_195 * Math.cos((47 * Math.PI) / 180)) }]);
      way += speed / 2;
    }
    const start = Date.now() - steps.at(-1)[0] * 1000;
    const send = (method, path, body) => fetch(`${base}${path}`, { method, headers: { Authorization: `Bearer ${env("DEPLOY_KEY")}`, "Content-Type": "application/json" }, body: JSON.stringify(body) });
    assert.equal((await send("POST", "/api/v1/telemetry", steps.map(([t, values]) => ({ session_id: "planned", session_name: "Planned run", timestamp: new Date(start + t * 1000).toISOString(), ...values })))).status, 200);
    await page.goto(`${base}/runs/planned`);
    const pace = page.getByRole("region", { name: /^Pace of the last 5 laps/ });
    await pace.getByText(/^in 0:\d\d ± \d+ s$/).waitFor();
    assert.match(await pace.textContent(), /Lap 7 ends\d\d:\d\d:\d\d/);
    await pace.getByRole("button", { name: "Plan…" }).click();
    const form = page.getByRole("dialog");
    await page.waitForFunction(() => document.activeElement.name === "plan_energy_wh");
    await form.getByLabel("Energy, Wh").fill("80");
    await form.getByLabel("Laps").fill("10");
    await form.getByLabel("Time, min").fill("9:00");
    for (const [label, wrong, said] of [["Laps", "1.5", "Laps: must be a whole number"], ["Energy, Wh", "-5", "Energy, Wh: must be from 0.1 to 1000000 Wh, or 0, which takes it out"], ["Time, min", "1e9", "Time, min: must be from 1 second to 366 days, or 0, which takes it out"], ["Time, min", "9:0x", "“9:0x” is no number, nor a time such as 39:00"]]) {
      const field = form.getByLabel(label), before = await field.inputValue();
      await field.fill(wrong);
      await form.getByRole("button", { name: "Save" }).click();
      await form.getByText(said).waitFor();
      await field.fill(before);
    }
    complaints.length = 0; // the browser notes the refusals
    await form.getByRole("button", { name: "Save" }).click();
    const planned = page.getByRole("region", { name: /^What may still be spent/ });
    await planned.getByText("Time does not suffice").waitFor();
    const text = await planned.textContent();
    for (const part of [/49 % of the energy used · the mark in the bar: 65 % of the laps driven · 3\.5 of 10 laps left · 2:30 of 9:00 left/, /Energy left41\.\d of 80 Whover at \d\d:\d\d:\d\d · in \d:\d\d ± \d+ safter 13\.\d ± \d\.\d laps/,
      /^What may still be spent at the pace of the last 5 lapsPlan…Energy suffices: 20\.\d Wh leftTime does not suffice: (0:59|1:00) short/, /10 laps at this pace6\d\.\d ± \d\.\d of 80 Wh10:\d\d ± \d s of 9:00/,
      /May be spent11\.\d Wh a lap.*at least \d\d\.\d km\/h · at most 0:\d\d\.\d a lap/]) assert.match(text, part);
    const bar = (verdict) => planned.locator(`.tape.${verdict}`).waitFor();
    await bar("yes");
    await accessible(page, "what may still be spent");
    await page.setViewportSize({ width: 360, height: 740 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "wider than a phone");
    await page.setViewportSize({ width: 1280, height: 860 });
    assert.equal((await send("PATCH", "/api/v1/sessions/planned", { book: { plan_energy_wh: 45 } })).status, 200); // which somebody else says
    await planned.getByText("Energy does not suffice").waitFor();
    await bar("no");
  });

  test("tells how old the newest record is, and draws late ones where they belong", async () => {
    const start = Date.now() - 20_000, id = "hushed";
    const send = async (records) => {
      const body = records.map(([seconds, speed, north]) => ({
        session_id: id, session_name: "Hushed car", timestamp: new Date(start + seconds * 1000).toISOString(), speed_ms: speed,
        latitude: 52 + north / 111_000, longitude: 13 + seconds / 10_000,
      }));
      const response = await fetch(`${base}/api/v1/telemetry`, { method: "POST", headers: { Authorization: `Bearer ${env("DEPLOY_KEY")}`, "Content-Type": "application/json" }, body: JSON.stringify(body) });
      assert.equal(response.status, 200, await response.text());
    };
    const part = (from, to, north = 0) => Array.from({ length: (to - from) * 5 }, (_, i) => [from + i / 5, 9, north]);
    const badge = (text) => page.locator(".run-head .badge", { hasText: text }).waitFor();
    const age = page.locator(".age");
    await send([...part(0, 4), ...part(14, 18)]);
    await page.goto(`${base}/runs/${id}?metrics=speed_ms`);
    await badge("Silent");
    assert.equal(await page.locator(".stale").count(), 1, "values of no now are grey");
    await until("the parts", async () => !(await undrawn(page, "speed_ms", [1, 2, 3, 15, 16, 17], 120)).length);
    assert.deepEqual(await undrawn(page, "speed_ms", [8, 9, 10], 120), [8, 9, 10], "an outage is a gap");
    const track = () => page.locator("canvas.track").evaluate((canvas) => canvas.toDataURL());
    const before = await track();

    await send(part(4, 14, 40)); // a detour
    await until("late records in the chart", async () => !(await undrawn(page, "speed_ms", [8, 9, 10], 120)).length);
    await until("late records on the track", async () => (await track()) !== before);
    await badge("Silent");

    const now = (Date.now() - start) / 1000;
    await send([[now, 11, 0]]);
    await badge("Live");
    await badge("Silent"); // 3 s later
    await send([[now + 0.001, 12, 0]]); // measured then, and kept back until now
    await chart(page, "speed_ms").locator("output", { hasText: "43.20" }).waitFor();
    assert.equal(await page.locator(".run-head .badge").textContent(), "Silent");
    assert.doesNotMatch(await age.textContent(), /now/);

    // It is told wherever one looks.
    const box = await plot(page, "speed_ms");
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.keyboard.down("Control");
    await page.mouse.wheel(0, -300);
    await page.keyboard.up("Control");
    await page.getByRole("button", { name: "Go live" }).waitFor();
    await send([[(Date.now() - start) / 1000, 11, 0]]);
    await badge("Live");
    await badge("Silent");
    assert.ok(await age.isVisible(), "the age is on screen while one looks at the past");

    // One that is older than all others moves the run's start.
    await send([[-60, 9, 0]]);
    const began = new Date(start - 60_000).toISOString().slice(11, 19);
    await until("the run's new start", async () => {
      await page.getByRole("button", { name: "Whole run" }).click();
      return (await page.locator(".stack-status").textContent()).startsWith(began);
    });
    await page.goto(base);
    await page.locator("tbody tr", { hasText: "Hushed car" }).locator(".badge", { hasText: "Silent" }).waitFor();
    complaints.splice(0, Infinity, ...complaints.filter((c) => !c.includes("willReadFrequently"))); // of the look at the pixels
  });

  test("draws a sensor that comes while one watches, with its limits and states", async () => {
    const id = "sensors", start = Date.now() - 10_000;
    const send = async (more) => {
      const now = (Date.now() - start) / 1000;
      const body = Array.from({ length: 20 }, (_, i) => ({ session_id: id, session_name: "Sensors", timestamp: new Date(start + (now - 2 + i / 10) * 1000).toISOString(), speed_ms: 9, ...more?.(i) }));
      const response = await fetch(`${base}/api/v1/telemetry`, { method: "POST", headers: { Authorization: `Bearer ${env("DEPLOY_KEY")}`, "Content-Type": "application/json" }, body: JSON.stringify(body) });
      assert.equal(response.status, 200, await response.text());
    };
    const declare = (name, body) => page.evaluate(async ([name, body]) => {
      const headers = { "Content-Type": "application/json", Authorization: `Bearer ${sessionStorage.getItem("telemetryd.token") || localStorage.getItem("telemetryd.token")}` };
      return (await fetch(`/api/v1/channels/${name}`, { method: "PUT", headers, body: JSON.stringify(body) })).status;
    }, [name, body]);
    assert.equal(await declare("battery_temp_c", { unit: "degC", meaning: "Hottest cell of the pack", display: "Pack", aliases: ["accumulator"], section: "Battery", decimals: 1, warn_high: 26, alarm_high: 500, colour: "#1762bd" }), 200);
    await send();
    await page.goto(`${base}/runs/${id}?metrics=speed_ms`);
    await page.locator(".run-head .badge", { hasText: /Live|Silent/ }).waitFor();
    await page.getByRole("button", { name: "Metrics" }).click();
    const find = page.getByLabel("Find a metric"), box = (name) => page.locator(`.option input[value="${name}"]`);
    await find.fill("accumulator cell");
    await page.getByText("No metric matches").waitFor();

    const first = Date.now();
    await send((i) => ({ battery_temp_c: 20 + i / 2, "Tyre FL": 2.5, pump: i < 5 ? "on" : "off", cells: [i] }));
    await page.locator("fieldset", { hasText: "Battery" }).locator('input[value="battery_temp_c"]').check();
    for (const [text, found, missed] of [["degc", "battery_temp_c", "pump"], ["battery", "battery_temp_c", "tyre_fl"], ["state", "pump", "battery_temp_c"], ["hottest", "battery_temp_c", "motor_temp_c"]]) {
      await find.fill(text);
      await box(found).waitFor();
      assert.equal(await box(missed).count(), 0, `${missed} is found by ${text}`);
    }
    await find.fill("temperature");
    await page.locator(".option.absent", { hasText: "(not in this run)" }).first().waitFor();
    await find.fill("pump");
    await box("pump").check();
    await find.fill("tyre");
    await box("tyre_fl").check();
    await page.getByRole("button", { name: "Done" }).click();
    await chart(page, "battery_temp_c").locator(".range", { hasText: "max 29.5" }).waitFor();
    console.log(`# from the first record of a sensor to its chart, with three picked: ${Date.now() - first} ms`);
    assert.match(await chart(page, "battery_temp_c").locator("h3").textContent(), /^Pack.*°C/);
    assert.match(await chart(page, "battery_temp_c").getByText("Limits:").textContent(), /warning above 26\.0 °C, alarm above 500\.0 °C/);
    assert.match(await chart(page, "tyre_fl").locator("h3").textContent(), /^Tyre FL/);
    await chart(page, "tyre_fl").locator(".range", { hasText: "avg 2.5" }).waitFor();
    for (const state of ["on", "off"]) await chart(page, "pump").locator(".state", { hasText: state }).waitFor();
    // The line of its limit goes all the way across.
    const share = await chart(page, "battery_temp_c").evaluate((node) => {
      const probe = document.createElement("i");
      probe.style.color = "var(--c3)";
      node.append(probe);
      const colour = getComputedStyle(probe).color.match(/\d+/g).map(Number), canvas = node.querySelector("canvas");
      probe.remove();
      const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let most = 0;
      for (let y = 0; y < height; y++) {
        let n = 0;
        for (let x = 0; x < width; x++) n += colour.every((v, k) => Math.abs(data[4 * (y * width + x) + k] - v) < 60);
        most = Math.max(most, n);
      }
      return most / width;
    });
    assert.ok(share > 0.7, `the warning's line covers ${share}`);
    await page.getByText("1 member of the records has no channel").click();
    await page.getByRole("row", { name: /cells/ }).getByText("neither a number").waitFor();
    await accessible(page, "a live run with states");

    // The same from what is stored.
    await page.getByRole("button", { name: "Whole run" }).click();
    await settled(page);
    await chart(page, "battery_temp_c").locator(".range", { hasText: "max 29.5" }).waitFor();
    for (const state of ["on", "off"]) await chart(page, "pump").locator(".state", { hasText: state }).waitFor();
    await page.goto(`${base}/compare?runs=${id},${second}&metrics=battery_temp_c,pump,driver_mode`);
    await chart(page, "pump").locator(".state", { hasText: "off" }).waitFor();
    await chart(page, "driver_mode").locator(".state").first().waitFor();
    await page.getByRole("button", { name: "Table of values" }).click();
    await page.getByRole("cell", { name: "off", exact: true }).first().waitFor();
    await page.getByRole("button", { name: "By distance" }).click();
    await settled(page);
    assert.equal(await chart(page, "pump").count(), 0, "states have no place along the way");
    await page.getByRole("button", { name: "Metrics" }).click();
    await find.fill("temp");
    await page.locator('.option:not(.absent) input[value="battery_temp_c"]').waitFor();
    await page.getByRole("button", { name: "Done" }).click();
    complaints.splice(0, Infinity, ...complaints.filter((c) => !c.includes("willReadFrequently"))); // of the look at the pixels
  });

  test("shows values in the units that the account prefers, everywhere", async () => {
    const prefer = async (label) => {
      await page.goto(`${base}/account`);
      await page.getByLabel("Units").selectOption({ label });
      await page.getByText("on all your devices").waitFor();
    };
    const heads = async () => (await page.locator(".chart h3").allTextContents()).map((text) => text.replace(/.*?(km\/h|m\/s|°C|K)$/, "$1"));
    const sensors = `${base}/runs/sensors?metrics=speed_ms,battery_temp_c`;
    for (const [label, speed, energy, temperature, top, hot, warning, column] of [
      ["m/s, J and K (SI)", "m/s", "J", "K", "9.000", /^302\.[67]$/, "warning above 299.[12] K", "speed_ms,battery_temp_c (K)"],
      ["km/h, Wh and °C", "km/h", "Wh", "°C", "32.40", /^29\.5$/, "warning above 26.0 °C", "speed_ms (km/h),battery_temp_c"],
    ]) {
      await prefer(label);
      await page.goto(sensors); // live, as it comes and is stored
      await page.locator(".run-head .badge", { hasText: /Live|Silent/ }).waitFor();
      await chart(page, "battery_temp_c").locator(".range", { hasText: new RegExp(`max ${hot.source.slice(1)}`) }).waitFor();
      await chart(page, "speed_ms").locator(".range", { hasText: `max ${top}` }).waitFor();
      assert.deepEqual(await heads(), [speed, temperature]);
      assert.match(await chart(page, "battery_temp_c").getByText("Limits:").textContent(), new RegExp(warning));
      await page.getByRole("button", { name: "Whole run" }).click(); // and as the server answers
      await settled(page);
      await chart(page, "battery_temp_c").locator(".range", { hasText: new RegExp(`max ${hot.source.slice(1)}`) }).waitFor();
      await chart(page, "speed_ms").locator(".range", { hasText: `max ${top}` }).waitFor();
      await page.getByRole("button", { name: "Table of values" }).click();
      await page.getByRole("columnheader", { name: `Pack, ${temperature}` }).waitFor();
      await page.getByRole("cell", { name: hot }).first().waitFor();
      await page.locator(".tile", { hasText: "Top speed" }).filter({ hasText: speed }).waitFor();
      await page.locator(".tile", { hasText: "Energy" }).first().waitFor();
      await page.getByRole("button", { name: "Metrics" }).click();
      await page.getByLabel("Find a metric").fill(`pack ${temperature}`);
      await page.locator('.option input[value="battery_temp_c"]').waitFor();
      await page.getByRole("button", { name: "Done" }).click();
      await page.getByRole("button", { name: "CSV" }).click();
      await page.getByLabel("Only what is drawn").check();
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
      assert.equal(readFileSync(await download.path(), "utf8").split("\n")[0], `session_id,timestamp,${column}`);
      await page.goto(`${base}/runs/${run.id}`);
      await page.getByRole("columnheader", { name: speed, exact: true }).first().waitFor();
      await page.getByRole("columnheader", { name: energy, exact: true }).first().waitFor();
      await page.goto(`${base}/compare?runs=sensors,${second}&metrics=speed_ms,battery_temp_c`);
      await settled(page);
      await page.getByRole("rowheader", { name: `Top speed, ${speed}` }).waitFor();
      assert.deepEqual(await heads(), [speed, temperature]);
      await page.goto(`${base}/admin/channels`); // where limits are said, they are in the stored unit
      await page.getByText("warning above 26.0 °C").waitFor();
    }
    await page.goto(`${base}/account`);
    await accessible(page, "the account");
  });

  test("compares two runs by time and by distance", async () => {
    await page.goto(base);
    await page.getByLabel(`Compare ${run.name}`).check();
    await page.getByLabel("Compare Second run").check();
    await page.getByRole("link", { name: "Compare", exact: true }).last().click();
    await settled(page);
    await page.waitForFunction(() => document.querySelectorAll('[data-metric="speed_ms"] output').length === 2);
    assert.equal(await page.locator(".legend-item").count(), 2);
    const asked = page.waitForRequest((r) => r.url().includes("align=distance"));
    await page.getByRole("button", { name: "By distance" }).click();
    assert.match((await asked).url(), /compare=/);
    await settled(page);
    await page.waitForFunction(() => /km|m,/.test(document.querySelector(".stack-status").textContent));
    await page.goto(`${base}/compare?runs=odd,${second}&by=distance`);
    await page.getByText(/nothing to draw of [^,]+: no distance counter/).waitFor();
    await accessible(page, "comparison");
  });

  test("lets an administrator decide on people and keys", async () => {
    const { context, page: guest } = await visit({ expect: /status of 401/ });
    await guest.goto(`${base}/signup`);
    await guest.getByLabel("Name").fill("Ana Driver");
    await guest.getByLabel("E-mail").fill("ana@team.example");
    await guest.getByLabel("Password").fill("a long enough password");
    await guest.getByLabel("Access").selectOption("internal");
    await accessible(guest, "sign-up");
    await guest.getByRole("button", { name: "Create account" }).click();
    await guest.getByRole("heading", { name: "Runs", level: 1 }).waitFor();
    await guest.goto(`${base}/account`);
    await guest.getByText("Full access was asked for").waitFor();
    await accessible(guest, "account");

    await page.goto(`${base}/admin/users`);
    await page.getByRole("heading", { name: /^Accounts/ }).waitFor();
    const request = page.locator(".request").filter({ hasText: "ana@team.example" });
    await accessible(page, "users");
    await request.getByRole("button", { name: "Approve" }).click();
    await page.getByText("Nobody is waiting").waitFor();
    assert.equal(await page.getByLabel("Role of ana@team.example").inputValue(), "internal");
    await guest.reload();
    await guest.getByText("Team member: all runs").waitFor();

    // Where else she is signed in she sees and ends; an administrator ends all of it.
    await guest.getByText("You are signed in on this device only").waitFor();
    const { context: pocket, page: phone } = await visit({ expect: /status of 401/ });
    await phone.goto(`${base}/signin`);
    await signIn(phone, "ana@team.example", "a long enough password");
    await phone.getByRole("heading", { name: "Runs", level: 1 }).waitFor();
    await guest.reload();
    await guest.getByRole("heading", { name: "Other devices" }).waitFor();
    await accessible(guest, "account with other devices");
    await guest.getByLabel("Your password").fill("a long enough password");
    await guest.getByRole("button", { name: "Sign out there" }).click();
    await guest.getByText("You are signed in on this device only").waitFor();
    await phone.reload();
    await phone.getByRole("link", { name: "Sign in" }).waitFor();
    await pocket.close();
    page.once("dialog", (d) => d.accept());
    await page.getByRole("row", { name: /ana@team.example/ }).getByRole("button", { name: "End sessions" }).click();
    await page.getByText("ana@team.example is signed out everywhere").waitFor();
    await guest.reload();
    await guest.getByRole("link", { name: "Sign in" }).waitFor();
    await context.close();

    await page.goto(`${base}/admin/keys`);
    await page.getByLabel("Name").fill("bridge of car 1");
    await page.getByRole("button", { name: "Make a key" }).click();
    const secret = await page.locator(".secret").textContent();
    assert.ok(secret.length >= 20);
    await accessible(page, "a new key");
    await page.getByRole("button", { name: "Done" }).click();
    page.once("dialog", (d) => d.accept());
    await page.getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("cell", { name: "revoked" }).waitFor();
    // What a key brings that makes no channels is listed with that reason.
    await page.getByLabel("Name").fill("test rig");
    await page.getByLabel("Unknown members").selectOption("are only stored");
    await page.getByRole("button", { name: "Make a key" }).click();
    const rig = await page.locator(".secret").textContent();
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("row", { name: /test rig/ }).getByText("makes no channels").waitFor();
    const response = await fetch(`${base}/api/v1/telemetry`, {
      method: "POST", headers: { Authorization: `Bearer ${rig}`, "Content-Type": "application/json" },
      body: JSON.stringify([{ session_id: "sensors", timestamp: new Date().toISOString(), rig_load: 7 }]),
    });
    assert.equal(response.status, 200, await response.text());
    await page.goto(`${base}/runs/sensors`);
    await page.getByText("2 members of the records have no channel").click();
    await page.getByRole("row", { name: /rig_load/ }).getByText("by a key that makes no channels").waitFor();
    await page.goto(`${base}/admin/audit`);
    await page.getByText("role changed").first().waitFor();
    await accessible(page, "audit log");
  });

  test("lets an administrator say what channels are", async () => {
    await page.goto(`${base}/admin/channels`);
    await page.getByRole("heading", { name: /^Channels/ }).waitFor();
    await accessible(page, "channels");
    const row = page.locator('tr[data-channel="coolant_c"]');
    await page.getByRole("button", { name: "Declare a channel" }).click();
    const name = page.getByLabel("Name", { exact: true });
    await name.fill("Coolant C");
    await page.getByLabel("Unit").fill("degC");
    await page.getByLabel("Warning above").fill("90");
    await page.getByLabel("Alarm above").fill("80");
    await accessible(page, "a new channel");
    await page.getByRole("button", { name: "Declare", exact: true }).click();
    await page.locator(".field", { has: name }).getByText('"coolant_c" would do').waitFor();
    assert.equal(await name.getAttribute("aria-invalid"), "true");
    await name.fill("coolant_c");
    await page.getByRole("button", { name: "Declare", exact: true }).click();
    await page.locator(".field", { has: page.getByLabel("Alarm above") }).getByText("is below warn_high").waitFor();
    await page.getByLabel("Alarm above").fill("100");
    await page.getByRole("button", { name: "Declare", exact: true }).click();
    await row.getByText("warning above 90 °C, alarm above 100 °C").waitFor();

    // What is not changed stays.
    await page.getByLabel("Search channels").fill("coolant");
    await row.getByRole("button", { name: "Edit" }).click();
    await page.getByLabel("Name on the page").fill("Coolant");
    await page.getByLabel("Decimals").fill("0");
    await page.getByRole("button", { name: "Save" }).click();
    await row.getByText("warning above 90 °C, alarm above 100 °C").waitFor();
    await row.getByRole("button", { name: "Hide" }).click();
    await row.getByText("hidden").waitFor();
    await row.getByRole("button", { name: "Show" }).click();
    await row.getByText("hidden").waitFor({ state: "detached" });
    await row.getByText("warning above 90 °C").waitFor();

    // So does what one is made of.
    await page.getByLabel("Search channels").fill("pack power");
    await page.getByRole("button", { name: "Declare a channel" }).click();
    await name.fill("pack_power_w");
    await page.getByLabel("Made of").fill("voltage_v * nothing");
    await page.getByLabel("Name on the page").fill("Pack power");
    await page.getByRole("button", { name: "Declare", exact: true }).click();
    await page.locator(".field", { has: page.getByLabel("Made of") }).getByText("there is no channel nothing").waitFor();
    await page.getByLabel("Made of").fill("voltage_v * current_a");
    await page.getByRole("button", { name: "Declare", exact: true }).click();
    const pack = page.locator('tr[data-channel="pack_power_w"]');
    await pack.getByRole("button", { name: "Hide" }).click();
    await pack.getByText("hidden").waitFor();
    await pack.getByRole("button", { name: "Show" }).click();
    await pack.getByText("hidden").waitFor({ state: "detached" });
    await pack.getByRole("button", { name: "Edit" }).click();
    assert.equal(await page.getByLabel("Made of").inputValue(), "voltage_v * current_a");
    await page.getByLabel("Unit").fill("W");
    await page.getByRole("button", { name: "Save" }).click();
    await pack.getByRole("cell", { name: "W", exact: true }).waitFor();
    complaints.splice(0, Infinity, ...complaints.filter((c) => !c.includes("400"))); // the browser notes the refusals
  });

  test("takes a second factor, tells of it, and shows administrators who waits", async () => {
    const { context: office, page: boss } = await visit();
    await boss.goto(`${base}/signin`);
    await signIn(boss, env("ADMIN_EMAIL"), env("ADMIN_PASSWORD"));
    await boss.getByRole("heading", { name: "All runs" }).waitFor();
    const badge = boss.locator("#waiting .badge");
    assert.equal(await badge.count(), 0);

    const { context, page: mia } = await visit({ expect: /status of 401/ });
    const password = "a long enough password";
    await mia.goto(`${base}/signup`);
    await mia.getByLabel("E-mail").fill("mia@team.example");
    await mia.getByLabel("Password").fill(password);
    await mia.getByLabel("Access").selectOption("internal");
    await mia.getByRole("button", { name: "Create account" }).click();
    await mia.getByRole("heading", { name: "Runs", level: 1 }).waitFor();
    await badge.waitFor(); // without a reload
    assert.match(await badge.textContent(), /^1 waiting/);

    await mia.goto(`${base}/account`);
    const factor = mia.getByRole("form", { name: "Second factor" });
    await factor.getByLabel("Password, once more").fill(password);
    await factor.getByRole("button", { name: "Set it up" }).click();
    await factor.getByRole("img", { name: "QR code of the secret" }).waitFor();
    await accessible(mia, "a second factor to confirm");
    const secret = await factor.locator(".secret").textContent();
    await factor.getByLabel("Code").fill(totp(secret));
    await factor.getByRole("button", { name: "Confirm" }).click();
    const dialog = mia.getByRole("dialog");
    await dialog.getByText("Recovery codes").waitFor();
    const codes = await dialog.locator(".secret").allTextContents();
    assert.equal(codes.length, 10);
    await dialog.getByRole("button", { name: "Done" }).click();
    await mia.getByText("The second factor was set up").waitFor();
    await accessible(mia, "account with a second factor");

    const apps = mia.getByRole("form", { name: "App passwords" });
    await apps.getByLabel("Name").fill("wall");
    await apps.getByLabel("Password, once more").fill(password);
    await apps.getByLabel("Code").fill(codes[0]);
    await apps.getByRole("button", { name: "Make an app password" }).click();
    assert.match(await dialog.locator(".secret").textContent(), /^tda_/);
    await dialog.getByRole("button", { name: "Done" }).click();
    await mia.getByText("never used").waitFor();

    await mia.getByRole("button", { name: "Sign out" }).first().click();
    await mia.getByRole("link", { name: "Sign in" }).first().waitFor();
    await mia.goto(`${base}/signin`);
    await signIn(mia, "mia@team.example", password);
    await mia.getByLabel("Code of your authenticator").fill("000 000");
    await mia.locator("form").getByRole("button", { name: "Sign in" }).click();
    await mia.getByText("Invalid code").waitFor();
    await mia.getByLabel("Code of your authenticator").fill(codes[1]);
    await mia.locator("form").getByRole("button", { name: "Sign in" }).click();
    await mia.getByRole("heading", { name: "Runs", level: 1 }).waitFor();
    await mia.goto(`${base}/account`);
    await mia.getByText("A recovery code was used").first().waitFor();
    await mia.getByRole("button", { name: "It was me" }).click();
    await mia.getByText("A recovery code was used").first().waitFor({ state: "detached" });

    await boss.goto(`${base}/admin/users`);
    const row = boss.getByRole("row", { name: /mia@team.example/ });
    boss.on("dialog", (d) => d.accept());
    await row.getByRole("button", { name: "Reset 2nd factor" }).click();
    await boss.getByText("has no second factor now").waitFor();
    await row.getByRole("button", { name: "Ban", exact: true }).click();
    await badge.waitFor({ state: "detached" });
    await row.getByRole("button", { name: "Unban" }).click();
    await row.getByRole("button", { name: "Ban", exact: true }).waitFor();
    await boss.goto(`${base}/admin/audit`);
    await boss.getByLabel("Account").selectOption({ label: "mia@team.example" });
    await boss.getByLabel("Event").fill("second factor on");
    await boss.getByRole("button", { name: "Show" }).click();
    await boss.getByText("1 entries").waitFor();
    await context.close();
    await office.close();
  });

  test("takes a logger's file, and asks for what it does not say", async () => {
    const { context, page } = await visit({ expect: /status of 400/ });
    await page.goto(`${base}/signin`);
    await signIn(page, env("ADMIN_EMAIL"), env("ADMIN_PASSWORD"));
    const speed = (t) => (60 + 20 * Math.sin(t * t / 900) + 9 * Math.sin(t / 3)).toFixed(2); // km/h, like itself at no other time
    const rows = Array.from({ length: 240 }, (_, i) => `03.06.2026 10:${String(Math.floor(i / 60)).padStart(2, "0")}:${String(i % 60).padStart(2, "0")},000;${speed(i).replace(".", ",")};48,${i % 10};${i === 3 ? "" : "a"}`);
    rows.splice(100, 30); // lost by the radio
    rows.unshift("06.01.1980 00:00:00,000;0,0;48,0;b");
    const file = { name: "track day.csv", mimeType: "text/csv", buffer: Buffer.from(`Time;Speed (km/h);Battery Voltage;Remark\r\n${rows.join("\r\n")}\r\n`) };
    await page.getByRole("button", { name: "Add a file…" }).waitFor();
    await page.locator("input[type=file]").setInputFiles(file);
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("alert").waitFor();
    assert.equal(await dialog.getByLabel("Dates like 03.06.").getAttribute("aria-invalid"), "true");
    await accessible(page, "the refusal of a file");
    await dialog.getByLabel("Dates like 03.06.").selectOption("true");
    await dialog.getByRole("row", { name: /Speed \(km\/h\).*km\/h to m\/s.*100 %/ }).waitFor();
    const column = dialog.getByRole("row", { name: /Battery Voltage/ });
    await dialog.getByLabel("What Battery Voltage becomes").fill("voltage_v");
    await page.keyboard.press("Tab");
    await page.waitForFunction(() => document.querySelector("dialog tbody tr:nth-child(3) td:nth-child(7)")?.textContent.includes("…") && !document.querySelector("dialog .button[disabled]"));
    assert.match(await column.textContent(), /48.*48\.9/);
    await accessible(page, "the preview of a file");
    await dialog.getByText("Who drove, on what?").click();
    await dialog.getByLabel("Driver").fill("Ann");
    await dialog.getByLabel("Tags").fill("track day, wind");
    await dialog.getByRole("button", { name: "Store 211 records" }).click();
    await dialog.getByText("210 records are stored, 1 set aside").waitFor();
    await dialog.getByRole("link", { name: "Open the run" }).click();
    await page.getByRole("heading", { level: 1, name: "track day" }).waitFor();
    await page.getByRole("region", { name: "Run book" }).getByText("track day, wind").waitFor();
    await settled(page);
    assert.equal(await highest(page, "voltage_v"), 48.9);
    await page.getByRole("heading", { name: "1 record set aside" }).waitFor();
    await page.getByRole("row", { name: /1980.*before 2000-01-02/ }).waitFor();
    await accessible(page, "a run with records set aside");
    await page.getByLabel("What to do with them").selectOption("at");
    await page.getByLabel("By or at").fill("2026-06-03T10:05:00Z");
    await page.getByRole("button", { name: "Do it" }).click();
    await page.getByText("Put back: 1.").waitFor();
    await page.getByText("211 records").first().waitFor();
    assert.equal(await page.getByRole("heading", { name: "1 record set aside" }).count(), 0);

    // The car's own logger, an hour behind, has what the radio lost.
    const logged = Array.from({ length: 480 }, (_, i) => `${new Date(Date.UTC(2026, 5, 3, 9, 0, 0, i * 500)).toISOString()},${(speed(i / 2) / 3.6).toFixed(3)},${40 + i / 100}`);
    await page.locator("input[type=file]").setInputFiles({ name: "logger.csv", mimeType: "text/csv", buffer: Buffer.from(`timestamp,speed_ms,motor_temp_c\n${logged.join("\n")}\n`) });
    await dialog.getByText("The logger's clock is behind by 1 h 00 min").waitFor();
    await dialog.getByText(/the radio delivered \d+\.\d %/).waitFor();
    await accessible(page, "the preview of a merge");
    await dialog.getByRole("button", { name: /^Merge/ }).click();
    await dialog.getByRole("button", { name: "Done" }).click();
    await page.getByRole("heading", { name: "Merged files" }).waitFor();
    await page.getByRole("img", { name: /Where the records came from: .*from the logger/ }).waitFor();
    page.once("dialog", (d) => d.accept());
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByText("211 records").first().waitFor();
    await page.waitForFunction(() => document.getElementById("merges-title")?.parentNode.hidden);

    // The same file again, dropped: nothing is stored twice.
    await page.goto(base);
    await page.getByRole("button", { name: "Add a file…" }).waitFor();
    await page.evaluate(([name, text]) => {
      const data = new DataTransfer();
      data.items.add(new File([text], name, { type: "text/csv" }));
      document.querySelector(".wrap").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }, [file.name, file.buffer.toString()]);
    await dialog.getByLabel("Dates like 03.06.").selectOption("true");
    await dialog.getByLabel("What Battery Voltage becomes").fill("voltage_v");
    await page.keyboard.press("Tab");
    await page.waitForFunction(() => document.querySelector("dialog tbody tr:nth-child(3) td:nth-child(7)")?.textContent.includes("…") && !document.querySelector("dialog .button[disabled]"));
    await dialog.getByRole("button", { name: /^Store/ }).click();
    await dialog.getByText("211 were there already").waitFor();
    await context.close();
  });

  test("keeps what people know of runs, finds them by it and compares them", async () => {
    const send = async (method, path, body) => {
      const response = await fetch(`${base}${path}`, { method, headers: { Authorization: `Bearer ${env("DEPLOY_KEY")}`, "Content-Type": "application/json" }, body: JSON.stringify(body) });
      assert.equal(response.status, 200, await response.clone().text());
      return response.json();
    };
    // Yesterday of whoever looks, whose clock is 13 h ahead of the server's.
    const noon = (days) => { const now = new Date(Date.now() + 13 * 3600e3); return Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() - days, 12) - 13 * 3600e3; };
    for (const [id, days] of [["book-a", 1], ["book-b", 2], ["book-c", 3]]) {
      await send("POST", "/api/v1/telemetry", Array.from({ length: 20 }, (_, i) => ({ session_id: id, session_name: `Book ${id.slice(-1)}`, timestamp: new Date(noon(days) + i * 1000).toISOString(), speed_ms: 10, power_w: 100 * days })));
    }
    const { context, page } = await visit({ timezoneId: "Etc/GMT-13", expect: /409/ });
    await page.goto(`${base}/signin?next=/runs/book-a`);
    await signIn(page, env("ADMIN_EMAIL"), env("ADMIN_PASSWORD"));
    await page.getByText("Nobody has said yet").waitFor();
    const open = async () => { await page.getByRole("button", { name: "Run book…" }).click(); return page.getByRole("dialog"); };
    let form = await open();
    await accessible(page, "the run book's form");
    const html = "<img src=x onerror=alert(1)> \u202eAnn 🏁";
    await form.getByLabel("Name").fill("Heat <b>1</b>");
    await form.getByLabel("Driver").fill(html);
    await form.getByLabel("Tags").fill("rain, Final");
    await form.getByLabel("Further fields").fill("ballast_kg = 4");
    await form.getByLabel("Energy, Wh").fill("60,5");
    await form.getByLabel("Time, min").fill("39");
    // Somebody else is quicker.
    await send("PATCH", "/api/v1/sessions/book-a", { book: { tyres: "soft", driver: "Ben" } });
    await form.getByRole("button", { name: "Save" }).click();
    await form.getByText("Somebody else has written meanwhile: driver: “Ben”").waitFor();
    assert.equal(await form.getByLabel("Tyres").inputValue(), "soft");
    await form.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { name: "Heat <b>1</b>", level: 1 }).waitFor();
    const said = page.getByRole("region", { name: "Run book" });
    assert.equal(await said.locator("dd").first().textContent(), html);
    assert.match(await said.textContent(), /soft.*rain, Final.*ballast_kg4/s);
    const { book: { plan_energy_wh: wh, plan_laps: laps, plan_time_s: time } } = await send("GET", "/api/v1/sessions/book-a");
    assert.deepEqual([wh, laps, time], [60.5, null, 2340]);
    form = await open();
    await form.getByLabel("Further fields").fill("no such form");
    await form.getByRole("button", { name: "Save" }).click();
    await form.getByText("is not of the form").waitFor();
    await page.keyboard.press("Escape");
    await send("PATCH", "/api/v1/sessions/book-b", { book: { driver: "Ben", tyres: "soft", tags: ["rain"] } });
    await send("PATCH", "/api/v1/sessions/book-c", { book: { driver: "Ben", tyres: "hard" } });

    const search = page.getByLabel("Search runs"), links = page.locator("table.runs tbody a");
    // Older runs come slowly: what is typed meanwhile has them listed once all the same.
    let asked = 0;
    await page.route(/sessions\?limit=200$/, (route) => route.continue({ url: route.request().url().replace("200", "1") }));
    await page.route(/sessions\?limit=1000/, async (route) => { asked++; await new Promise((done) => setTimeout(done, 500)); await route.continue(); });
    await page.goto(base);
    await links.first().waitFor();
    await search.pressSequentially("soft");
    await links.nth(1).waitFor();
    assert.deepEqual([asked, await links.allTextContents()], [1, ["Heat <b>1</b>", "Book b"]]);
    await page.unrouteAll({ behavior: "wait" });
    const shows = async (text, ...names) => {
      await search.fill(text);
      await page.waitForFunction((n) => document.querySelectorAll("table.runs tbody a").length === n, names.length);
      assert.deepEqual(await links.allTextContents(), names, text);
    };
    await shows("yesterday book", "Heat <b>1</b>"); // runs of other tests began just now, yesterday if it is midnight there
    await shows("driver:ben tyres:soft", "Book b");
    await shows("rain soft book", "Heat <b>1</b>", "Book b");
    await shows('tag:"final"', "Heat <b>1</b>");
    await search.fill("book");
    await page.getByRole("button", { name: "Ben" }).first().click(); // what is said looks for others
    assert.equal(await search.inputValue(), "driver:Ben");
    assert.deepEqual(await links.allTextContents(), ["Book b", "Book c"]);
    await page.getByLabel("Group by").selectOption("tyres");
    await until("groups", async () => (await page.locator(".group-head").count()) === 2);
    assert.match(await page.locator(".group-head").first().textContent(), /^hard 1 run/);
    await page.getByRole("button", { name: "Efficiency" }).click();
    await page.getByLabel("Group by").selectOption("");
    assert.deepEqual(await links.allTextContents(), ["Book b", "Book c"]);
    assert.equal(await page.getByRole("columnheader", { name: "Efficiency" }).getAttribute("aria-sort"), "descending");
    assert.match(page.url(), /sort=-efficiency_km_kwh/);
    await accessible(page, "runs by the book");

    for (const id of ["book-a", "book-b", "book-c"]) await send("GET", `/api/v1/sessions/${id}/summary`); // which has it worked out now
    await page.goto(`${base}/season?by=tyres`);
    const row = page.locator("tbody tr", { hasText: "hard" });
    await row.waitFor();
    assert.match(await row.textContent(), /hard.*Book c.*1120\.0–120\.0120\.0120\.0$/s); // 10 m/s at 300 W; of one run there is no spread
    assert.equal(await page.locator(".season-plot circle").count(), await page.locator(".season-runs a").count());
    await accessible(page, "a season");
    await context.close();
  });

  test("notes what happened, for everybody who watches", async () => {
    const here = `${base}/runs/odd?metrics=speed_ms`;
    await page.goto(here);
    await settled(page);
    const notes = page.getByRole("region", { name: /^Notes/ });
    await notes.waitFor();
    const state = await page.evaluate(() => ({ ...sessionStorage }));
    const { context, page: other } = await visit();
    await other.addInitScript((s) => { for (const [k, v] of Object.entries(s)) sessionStorage.setItem(k, v); }, state);
    await other.goto(here);
    await settled(other);
    // Where the car was in the middle of a gap, nobody knows.
    for (const [from, to, known] of [[run.gapFrom, run.gapTo, 0], [run.gapFrom - 40, run.gapFrom - 20, 1]]) {
      await page.goto(`${base}/runs/${run.id}?from=${from}&to=${to}`);
      await settled(page);
      await page.locator("#charts").focus();
      await page.keyboard.press("m"); // without a cursor, in the middle
      await page.getByLabel("The whole run").waitFor();
      assert.equal(await page.getByLabel("The place where the car was then").count(), known, `from ${from} to ${to}`);
      await page.keyboard.press("Escape");
    }
    await page.goto(here);
    await settled(page);
    const items = (on) => on.locator(".notes li p");
    const note = async (text, act) => {
      await page.getByLabel("What is there to note?").fill(text);
      await act?.(page.getByRole("dialog"));
      await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
      await other.locator(".notes p", { hasText: text }).waitFor(); // without being asked for
    };
    const html = "<img src=x onerror=alert(1)> \u202e🏁";
    await page.locator("#charts").focus();
    await page.keyboard.press("Comma"); // a cursor, in the middle
    const x = await page.evaluate(() => document.getElementById("stack-status").dataset.at);
    await page.keyboard.press("m");
    await accessible(page, "a note's form");
    await note(html);
    assert.equal(await items(page).filter({ hasText: "onerror" }).textContent(), html);
    assert.equal(await page.locator(".notes img").count(), 0);
    await notes.getByRole("button", { name: "Note…" }).click();
    await note("of all of it", (form) => form.getByLabel("The whole run").check());
    await notes.getByRole("button", { name: "Note…" }).click();
    await note("a stretch", (form) => form.getByLabel("What the charts show").check());
    // From mark to mark, by keyboard.
    await page.locator("#charts").focus();
    const said = [];
    await page.keyboard.press("Escape");
    for (const key of ["p", "p", "n"]) {
      await page.keyboard.press(key);
      await page.waitForTimeout(250);
      said.push(await page.locator("#status").textContent());
    }
    assert.match(said[0], /a stretch$/);
    assert.match(said[1], /No mark before/);
    assert.match(said[2], /onerror/);
    assert.equal(await page.evaluate(() => document.getElementById("stack-status").dataset.at), x);
    // A mark's line is drawn: its colour is at the top of the chart, where the cursor is.
    const inked = await page.evaluate(() => {
      const canvas = document.querySelector('[data-metric="speed_ms"] canvas'), want = getComputedStyle(document.documentElement).getPropertyValue("--c5").trim();
      const rgb = [1, 3, 5].map((i) => parseInt(want.slice(i, i + 2), 16)), { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, 30);
      let n = 0;
      for (let i = 0; i < data.length; i += 4) if (rgb.every((v, k) => Math.abs(data[i + k] - v) < 12) && data[i + 3] > 200) n++;
      return n;
    });
    assert.ok(inked >= 20, `${inked} pixels of marks`);
    await accessible(page, "a run with notes");
    await page.getByLabel("Which notes").selectOption("server");
    await until("the server's marks", async () => !(await notes.textContent()).includes("onerror"));
    await page.getByLabel("Which notes").selectOption("people");
    page.once("dialog", (d) => d.accept());
    await notes.getByRole("button", { name: /^Delete Run/ }).click();
    await until("the other page to know", async () => !(await other.locator(".notes").textContent()).includes("of all of it"));
    await context.close();
  });

  test("works dark, and on a phone", async () => {
    const state = await page.evaluate(() => ({ ...sessionStorage }));
    const { context, page: phone } = await visit({ viewport: { width: 390, height: 844 }, colorScheme: "dark", isMobile: true, hasTouch: true, deviceScaleFactor: 2 });
    await phone.addInitScript((s) => { for (const [k, v] of Object.entries(s)) sessionStorage.setItem(k, v); }, state);
    for (const [path, where] of [["/", "all runs, on a phone"], [`/runs/${run.id}`, "a run, on a phone"], ["/admin/users", "users, on a phone"],
      [`/compare?runs=${run.id},${second}`, "comparison, on a phone"], ["/admin/audit", "audit log, on a phone"], ["/admin/channels", "channels, on a phone"], ["/season", "a season, on a phone"]]) {
      await phone.goto(base + path);
      await phone.getByRole("heading", { level: 1 }).waitFor();
      if (path.startsWith("/runs/")) await settled(phone);
      assert.equal(await phone.evaluate(() => document.documentElement.dataset.theme), "dark");
      // innerWidth grows with what does not fit, and everything gets smaller.
      const wide = await phone.evaluate(() => Math.max(innerWidth, document.documentElement.scrollWidth) - screen.width);
      assert.ok(wide <= 0, `${where}: ${wide} pixels too wide`);
      const cut = await phone.evaluate(() => [...document.querySelectorAll("table.runs td, table.runs th, .tile dd, .figures th, .legend-item label")]
        .filter((node) => node.offsetParent && node.scrollWidth > node.clientWidth + 1 && node.clientWidth > 0).map((node) => node.textContent));
      assert.deepEqual(cut, [], `${where}: cut off`);
      await accessible(phone, where);
    }
    await context.close();
  });

  test("moves with fingers", async () => {
    const state = await page.evaluate(() => ({ ...sessionStorage }));
    const { context, page: phone } = await visit({ viewport: { width: 390, height: 1300 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 });
    await phone.addInitScript((s) => { for (const [k, v] of Object.entries(s)) sessionStorage.setItem(k, v); }, state);
    await phone.goto(`${base}/runs/${run.id}?metrics=speed_ms,voltage_v`);
    await settled(phone);
    const client = await phone.context().newCDPSession(phone);
    const touch = (type, ...points) => client.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });
    const box = await resting(phone, "speed_ms");
    const x = (part) => box.x + box.width * part, y = box.y + box.height / 2;
    const slide = async (from, to, below = 0) => {
      await touch("touchStart", ...from.map((p, i) => [x(p), y + i * below]));
      for (let step = 1; step <= 8; step++) await touch("touchMove", ...from.map((p, i) => [x(p + ((to[i] - p) * step) / 8), y + i * below]));
      await touch("touchEnd");
      await settled(phone);
      return windowOf(phone);
    };
    assert.deepEqual(await windowOf(phone), [0, run.seconds]);
    // Two fingers apart: what was between them fills the width between them.
    let [a, b] = await slide([0.4, 0.6], [0.1, 0.9]);
    const near = (v, want, what) => assert.ok(Math.abs(v - want) < run.seconds * 0.02, `${what}: ${v}, want ${want}`);
    near(b - a, run.seconds / 4, "spread to a quarter");
    near((a + b) / 2, run.seconds / 2, "around the middle");
    // One finger takes the charts along.
    let [c, d] = await slide([0.7], [0.3]);
    near(c, a + (b - a) * 0.4, "one finger");
    near(d - c, b - a, "at the same zoom");
    // Two fingers together pan without a zoom, also on two charts at once.
    const apart = (await plot(phone, "voltage_v")).y - (await plot(phone, "speed_ms")).y;
    [a, b] = await slide([0.2, 0.5], [0.4, 0.7], apart);
    near(a, c - (d - c) * 0.2, "two fingers on two charts");
    near(b - a, d - c, "at the same zoom");
    // Together: out again.
    [c, d] = await slide([0.1, 0.9], [0.4, 0.6]);
    assert.ok(d - c > (b - a) * 2, "a pinch zooms out");
    // A tap reads the values, and does not move anything.
    await touch("touchStart", [x((run.peakAt - c) / (d - c)), y]); // where there are records
    await touch("touchEnd");
    for (const metric of ["speed_ms", "voltage_v"]) await phone.waitForFunction((m) => /\d/.test(document.querySelector(`[data-metric="${m}"] output`).textContent), metric);
    assert.deepEqual(await windowOf(phone), [c, d]);
    // Up and down is the page's.
    assert.equal(await phone.evaluate(() => getComputedStyle(document.querySelector(".u-over")).touchAction), "pan-y");
    await context.close();
  });

  test("follows a car where no websocket gets through", async () => {
    const { context, page: visitor } = await visit({ expect: /WebSocket connection/ });
    const streams = [];
    visitor.on("response", (r) => { if (r.url().includes("/api/v1/live?")) streams.push(r.headers()["content-type"]); });
    await visitor.goto(env("NO_WEBSOCKETS_URL"));
    await visitor.locator(".live-card", { hasText: "Car on track" }).click();
    await visitor.waitForFunction(() => document.querySelector(".stack-status")?.textContent.includes("live"));
    const output = chart(visitor, "speed_ms").locator("output");
    const seen = new Set();
    for (const end = Date.now() + 60_000; seen.size < 5 && Date.now() < end;) { seen.add(await output.textContent()); await visitor.waitForTimeout(150); }
    assert.ok(seen.size >= 5, `the newest speed changed ${seen.size} times`);
    assert.ok(streams.length > 0 && streams.every((type) => type.startsWith("text/event-stream")), `came by ${streams}`);
    // It stays one stream, and not one request after another.
    const count = streams.length;
    await visitor.waitForTimeout(1000);
    assert.equal(streams.length, count);
    await context.close();
  });

  test("asks for a finished run once", async () => {
    const client = await page.context().newCDPSession(page);
    await client.send("Network.enable");
    const from = [], asked = [];
    client.on("Network.responseReceived", ({ response }) => {
      if (!response.url.includes("/series?")) return;
      from.push(response.fromDiskCache || response.fromPrefetchCache || false);
      asked.push(response.url);
    });
    const open = async () => {
      from.length = asked.length = 0;
      await page.goto(`${base}/runs/${run.id}?metrics=speed_ms&from=60&to=120`);
      await settled(page);
      for (const end = Date.now() + 60_000; from.length < 2 && Date.now() < end;) await page.waitForTimeout(50); // the charts' and the overview's
    };
    // A run whose laps are worked out just then is another version, and asked for again.
    for (let tries = 1; ; tries++) {
      await open();
      await page.goto(base);
      await page.getByRole("heading", { name: "All runs" }).waitFor();
      await open();
      if (from.length >= 2 && from.every(Boolean)) break; // the map may ask as well
      assert.ok(tries < 4, `asked for, from the cache or not: ${asked.map((url, i) => `${url} ${from[i]}`).join(" and ")}`);
    }
    await client.detach();
    await page.goto(base);
    await page.getByRole("heading", { name: "All runs" }).waitFor();
  });

  test("lays laps over one another, of one run and of two", async () => {
    const start = Date.parse("2026-06-05T10:00:00Z");
    for (const [id, speed] of [["round", 10], ["round:slow", 8]]) {
      const records = [];
      for (let i = 0, way = 0; way < 4 * 200 * Math.PI + 20; i++) {
        const quick = way < 400 * Math.PI ? 1 : 1.25; // the last two laps
        records.push({ session_id: id, timestamp: new Date(start + i * 200).toISOString(), speed_ms: speed * quick, power_w: 200 * quick,
          latitude: 48.1 + Math.sin(way / 100) / 1111.95, longitude: 11.5 + Math.cos(way / 100) / 742.6 });
        way += speed * quick / 5;
      }
      const response = await fetch(`${base}/api/v1/telemetry`, { method: "POST", headers: { Authorization: `Bearer ${env("DEPLOY_KEY")}`, "Content-Type": "application/json" }, body: JSON.stringify(records) });
      assert.equal(response.status, 200);
    }
    await page.goto(`${base}/compare?runs=round`);
    await page.getByRole("button", { name: "By lap" }).click();
    await settled(page);
    // The quickest lap of the run against its slowest, which falls behind by 12.6 s.
    await page.waitForFunction(() => document.querySelectorAll('[data-metric="dt_s"] output').length === 2);
    assert.equal(await page.locator(".legend-item").count(), 2);
    const times = await page.getByRole("row", { name: /^Time/ }).getByRole("cell").allTextContents();
    const [quick, slow] = times.map((text) => text.split(" ")[0].split(":").reduce((sum, part) => sum * 60 + Number(part), 0));
    assert.ok(Math.abs(slow - quick - 12.57) < 0.3 && / \+(24|25)\.\d %$/.test(times[1]), `laps of ${times}`);
    await page.getByText(/took 12\.\d\d s \(2[45]\.\d %\) longer and .* energy than the first lap\..* Sector \d has \d+ % of the time lost\./).waitFor();
    await page.getByLabel("Add a lap").selectOption({ label: (await page.getByLabel("Add a lap").locator("option").nth(1).textContent()) });
    await page.locator(".legend-item").nth(2).waitFor();
    await settled(page);
    assert.equal(await chart(page, "de_j").locator("output").count(), 3);
    // The map is red where it was slower, all round; a sector is shown alone, and the address says so.
    const red = (what) => page.getByLabel("coloured by the difference").evaluate((canvas, more) => {
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      let red = 0, blue = 0;
      for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) { red += data[i] > data[i + 2] + 90; blue += data[i + 2] > data[i] + 90; }
      return more === "red" ? red > 200 && !blue : blue > 200 && !red;
    }, what);
    await until("a red map", () => red("red"));
    await page.getByText(/lap \d is red where it was slower than the first lap, blue where quicker, by up to \d+\.\d\d s per 100 m/).waitFor();
    await page.getByLabel("What the map is coloured by").selectOption("Speed");
    await page.getByText(/lap \d is red where it was slower than the first lap, blue where quicker, by up to [89]\.\d km\/h/).waitFor();
    await until("a red map", () => red("red"));
    await page.getByText("Channels by sector", { exact: true }).click();
    await page.getByRole("row", { name: /^Sector 2: Highest Power/ }).waitFor();
    await page.getByRole("button", { name: "Sector 2, s: show it alone in the charts" }).click();
    await settled(page);
    await until("the sector in the address", async () => /from=\d+.*to=\d+/.test(page.url()) && /map=speed/.test(page.url()));
    const [a, b] = await span(page);
    await page.reload();
    await settled(page);
    assert.deepEqual(await span(page), [a, b]);
    await page.getByRole("button", { name: "Whole lap" }).click();
    await until("the whole lap", async () => !/from=/.test(page.url()));
    assert.ok(!/marks|note/.test(await page.locator(".stack-hint").first().textContent()), "keys that do nothing here");
    await accessible(page, "laps over one another");
    await page.goto(`${base}/compare?laps=round:2,round%253Aslow:2&metrics=speed_ms`);
    await settled(page);
    assert.equal(await page.locator(".legend-item").count(), 2);
    await page.getByRole("rowheader", { name: "Sector 3, Wh" }).waitFor();
    assert.equal(await chart(page, "de_j").locator("h3 .unit").textContent(), "Wh");
    const [one, other] = (await page.getByRole("row", { name: /^Energy, Wh [\d.]/ }).getByRole("cell").allTextContents()).map(parseFloat);
    const behind = await chart(page, "de_j").locator("output").last().textContent();
    assert.ok(one > 1 && other > 1 && behind === "", `energy of ${one} and ${other} Wh, ${behind}`);
    // The mean at the head of a chart is that by time, as in the figures; without a cursor there is no value at it.
    const means = (await page.getByRole("row", { name: /^Mean speed/ }).getByRole("cell").allTextContents()).map(parseFloat), heads = await chart(page, "speed_ms").locator("output").allTextContents();
    assert.ok(heads.length === 2 && heads.every((text, i) => Math.abs(Number(text.replace("avg ", "")) - means[i]) < 0.06), `means of ${heads}, ${means}`);
    await page.getByRole("button", { name: "Values of all channels" }).click();
    await until("no value at the cursor", async () => (await page.locator('[data-of="speed_ms"]').first().locator("td").allTextContents())[0] === "–");
    assert.equal(await chart(page, "speed_ms").locator("h3 .unit").textContent(), "km/h");
    // A lap may begin within a sector, which has then two parts; a percentage of next to nothing tells nothing.
    await page.route("**/api/v1/compare?**", async (route) => {
      const response = await route.fetch(), answer = await response.json();
      answer.sectors.at(-1).name = answer.sectors[0].name;
      answer.laps[0].sectors[0].energy_j = 100;
      await route.fulfill({ response, json: answer });
    });
    await page.reload();
    await page.getByRole("rowheader", { name: "Sector 1, begin, s" }).waitFor();
    assert.ok((await page.getByRole("row", { name: /^Sector 1, end, Wh/ }).getByRole("cell").allTextContents()).every((text) => /^\d\.\d\d$/.test(text)), "a percentage of 0.03 Wh");
    await page.unroute("**/api/v1/compare?**");
    await page.getByRole("link", { name: "By distance" }).click();
    await page.getByRole("heading", { name: "Compare runs" }).waitFor();
    await settled(page);
    await page.goto(base);
    await page.getByRole("heading", { name: "All runs" }).waitFor();
  });

  test("opens the brief of a run, which prints on one sheet and leads back to the laps", async () => {
    await page.goto(`${base}/runs/round`);
    const [tab] = await Promise.all([page.waitForEvent("popup"), page.getByRole("link", { name: "Brief" }).click()]);
    tab.on("console", (m) => complaints.push(`${m.type()}: ${m.text()} in a brief`));
    await tab.getByRole("heading", { name: "What deserves attention" }).waitFor();
    assert.equal(await tab.locator("h1").evaluate((node) => getComputedStyle(node).fontSize), "21px"); // the page's policy lets it have its style
    assert.deepEqual(await tab.locator("h2").allTextContents(), ["The run", "Laps", "Sectors", "Where the energy went", "What deserves attention"]);
    const sheet = await tab.pdf({ preferCSSPageSize: true });
    const text = sheet.toString("latin1"), [, wide, high] = /MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]/.exec(text);
    assert.equal(text.match(/\/Type ?\/Page\b/g).length, 1, "sheets");
    assert.ok(Math.abs(wide - 595.3) < 1 && Math.abs(high - 841.9) < 1, `${wide} x ${high} pt is not A4`);
    await tab.emulateMedia({ media: "print" });
    assert.ok(await tab.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is cut off at the side");
    const link = tab.locator("tr", { hasText: "quickest" }).getByRole("link");
    const asked = new URL(await link.getAttribute("href"));
    assert.equal(asked.origin, new URL(base).origin);
    await link.click();
    await settled(tab);
    const [a, b] = await span(tab);
    assert.ok(Math.abs(a - asked.searchParams.get("from")) < 0.01 && Math.abs(b - asked.searchParams.get("to")) < 0.01, `${a} to ${b} of ${asked}`);
    await tab.close();
  });

  test("lets a newcomer find where a run was lost, note it, send it and print it", async () => {
    const people = [];
    for (const name of ["nina", "omar"]) {
      const response = await fetch(`${base}/api/v1/users`, { method: "POST", headers: { Authorization: `Bearer ${env("DEPLOY_KEY")}`, "Content-Type": "application/json" },
        body: JSON.stringify({ email: `${name}@team.example`, password: "a long enough password", name, role: "internal" }) });
      assert.equal(response.status, 201, await response.text());
      const visitor = await visit({ expect: /status of 40[13]/ });
      people.push({ ...visitor, enter: (on) => signIn(on, `${name}@team.example`, "a long enough password") });
    }
    const [nina, omar] = people, { page } = nina;
    await page.goto(base);
    await page.getByRole("link", { name: "Sign in" }).first().click();
    await nina.enter(page);
    // The best lap against the worst.
    await page.getByLabel("Search runs").fill("round");
    await page.getByRole("link", { name: "Run round", exact: true }).click();
    await page.getByRole("link", { name: "Compare the quickest and the slowest" }).click();
    await settled(page);
    assert.equal(await page.locator(".legend-item").count(), 2);
    // Where the energy went: on the map, and in which sector.
    await page.getByLabel("What the map is coloured by").selectOption("Energy");
    await page.getByText(/ is red where it used more energy than the first lap, blue where less, by up to /).waitFor();
    const used = await page.getByRole("row", { name: /^Sector \d, Wh/ }).evaluateAll((rows) => rows.map((row) => parseFloat(row.querySelector("td").textContent)));
    const most = used.indexOf(Math.max(...used)) + 1;
    await page.getByRole("button", { name: `Sector ${most}, s: show it alone in the charts` }).click();
    await settled(page);
    await until("the part in the address", async () => /from=/.test(page.url()) && /map=energy/.test(page.url()));
    const sent = page.url();
    // It is noted on the slow lap, in its run.
    const slow = await page.locator(".legend-item a").last().textContent();
    await page.locator(".legend-item a").last().click();
    await settled(page);
    await page.getByRole("button", { name: "Note…" }).click();
    await page.getByLabel("What is there to note?").fill(`${slow} loses most in sector ${most}`);
    await page.getByLabel("What the charts show").check();
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await page.locator(".notes p", { hasText: "loses most" }).waitFor();
    // Who gets the link signs in and sees the same part of the same laps.
    await omar.page.goto(sent);
    await omar.page.getByRole("link", { name: "Sign in" }).last().click();
    await omar.enter(omar.page);
    await omar.page.getByLabel("coloured by the difference").waitFor();
    await settled(omar.page);
    assert.equal(omar.page.url(), sent);
    assert.equal(await omar.page.getByLabel("What the map is coloured by").inputValue(), "energy");
    // The brief has the note, on one sheet, and an address that can be sent as well.
    const [brief] = await Promise.all([page.waitForEvent("popup"), page.getByRole("link", { name: "Brief" }).click()]);
    await brief.getByText("loses most in sector").waitFor();
    assert.equal((await brief.pdf({ preferCSSPageSize: true })).toString("latin1").match(/\/Type ?\/Page\b/g).length, 1, "sheets");
    await omar.page.getByRole("button", { name: "Sign out" }).click();
    await omar.page.getByRole("link", { name: "Sign in" }).last().waitFor();
    await omar.page.goto(brief.url());
    await omar.page.getByRole("heading", { name: "This run is for the crew" }).waitFor();
    await omar.page.getByRole("link", { name: "Sign in" }).last().click();
    await omar.enter(omar.page);
    await omar.page.getByText("loses most in sector").waitFor();
    assert.equal(omar.page.url(), brief.url());
    await omar.page.goBack(); // to where the brief was asked for before
    await omar.page.getByText("loses most in sector").waitFor();
    await omar.page.getByRole("link").first().click();
    await settled(omar.page);
    for (const { context } of people) await context.close();
  });

  test("lists laps with their sectors, draws them in the charts, and says where the cursor is among them", async () => {
    await page.goto(`${base}/runs/round`);
    await settled(page);
    const laps = page.getByRole("region", { name: "Laps; choose one to see it in the charts" });
    await laps.waitFor();
    const order = () => laps.locator("tbody th button").allTextContents();
    assert.deepEqual(await order(), ["1", "2", "3", "4"]);
    await laps.getByRole("button", { name: "Time" }).click();
    assert.deepEqual((await order()).slice(2).sort(), ["1", "2"]); // the slow ones
    await laps.getByRole("button", { name: /^Time/ }).click();
    assert.deepEqual((await order()).slice(0, 2).sort(), ["1", "2"]);
    assert.equal(await laps.getByRole("columnheader", { name: /^Time/ }).getAttribute("aria-sort"), "descending");
    await laps.getByLabel("Compare lap 2").check();
    await laps.getByLabel("Compare lap 4").check();
    const href = await page.getByRole("link", { name: "Compare 2 laps" }).getAttribute("href");
    assert.equal(new URL(href, base).searchParams.get("laps"), "round:2,round:4");
    await page.getByText("3 sectors").click();
    const sectors = page.getByRole("region", { name: "Sectors of the laps" });
    assert.equal(await sectors.locator("tbody tr").count(), 5); // four laps, and how much they vary
    await page.getByText("Where the energy went").click();
    await page.getByRole("region", { name: "Ways of moving" }).getByRole("row").filter({ hasText: /^cruising\d+\.\d\d+ %\d+ min \d+ s\d+ %$/ }).waitFor();
    await page.getByText("What driving took").click();
    await page.getByText(/^No model of what driving took: \d+ intervals of 10 s/).waitFor(); // the run is too short for one
    const cells = (await sectors.locator("tbody tr").first().locator("td").allTextContents()).map(Number);
    assert.ok(Math.abs(cells.reduce((a, b) => a + b) - 62.83) < 0.1, `sectors of ${cells}`);
    await page.getByLabel("Figure of the sectors").selectOption("energy");
    assert.ok(Number(await sectors.locator("tbody tr").first().locator("td").first().textContent()) < 2);
    // 100 s after the start: in the second lap, which began after 63 s at 10 m/s.
    await sectors.locator("tbody tr").nth(1).locator("th button").click();
    await settled(page);
    await page.evaluate(() => scrollTo(0, 0));
    const box = await plot(page, "speed_ms");
    await page.mouse.move(box.x + box.width * ((100 - 62.83) / 62.83), box.y + 40);
    await until("the place at the cursor", async () => /^10:01:\d\d\.\d{3} · Lap 2 · Sector \d · \d+ m$/.test(await page.locator(".here").textContent()));
    const metres = Number(/(\d+) m$/.exec(await page.locator(".here").textContent())[1]);
    assert.ok(Math.abs(metres - 372) < 15, `${metres} m into the lap`);
    await accessible(page, "a run with laps");
    await page.goto(`${base}/runs/second%2Frun`);
    await page.getByText("What driving took").click();
    await page.getByRole("listitem").filter({ hasText: /^rolling and drag\d+ %, \d[\d,.]* ± \d[\d,.]* Wh$/ }).waitFor();
    await page.getByText(/R² 0\.\d+ of \d+ intervals; the data do not tell drag/).waitFor();
    await page.goto(base);
    await page.getByRole("heading", { name: "All runs" }).waitFor();
  });

  test("counts signals of the window and of laps, drawn, by keyboard and as a table", async () => {
    // What is asked for of two signals, page by page.
    const questions = [], asked = (r) => { if (r.isNavigationRequest()) questions.push("a page"); else if (/\/signals\?.*&y=/.test(r.url())) questions.push(r.url()); };
    page.on("request", asked);
    await page.goto(`${base}/runs/round?metrics=speed_ms`);
    await settled(page);
    await page.getByRole("heading", { name: "Signals" }).click();
    const figures = page.locator(".signals figure"), status = page.locator("[aria-labelledby=signals-title] [role=status]");
    const counted = async () => Number(/^(\d[\d,]*) of/.exec(await status.textContent())?.[1].replace(",", ""));
    await until("the figures of the run", async () => (await figures.count()) === 2);
    const all = await counted();
    assert.ok(all > 1000, `${all} records`);
    // The run knows two speeds: two bars, at either end.
    const drawn = (k) => figures.nth(k).locator("canvas").evaluate((node) => {
      const { data } = node.getContext("2d").getImageData(0, 0, node.width, node.height), [r, g, b] = [0, 2, 4].map((i) => parseInt(getComputedStyle(document.documentElement).getPropertyValue("--c1").trim().slice(1 + i, 3 + i), 16));
      const columns = new Set();
      for (let i = 0; i < data.length; i += 4) if (Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 12) columns.add(Math.floor((10 * ((i / 4) % node.width)) / node.width));
      return [...columns].sort((a, b) => a - b);
    });
    const bars = await drawn(0);
    assert.ok(bars.includes(0) || bars.includes(1), `bars at ${bars}`);
    assert.ok(bars.includes(9) && !bars.includes(5), `bars at ${bars}`);
    assert.match(await figures.first().locator("p").textContent(), /^Mean 40\.\d+ ± 4\.\d+ km\/h, up to \d+ records in a bin$/);
    assert.match(await figures.nth(1).locator("p").textContent(), /^Correlation 1\.00, /);
    await figures.first().locator("canvas").focus();
    await page.keyboard.press("ArrowRight");
    assert.match(await figures.first().locator("p").textContent(), /^36\.0+ to .* km\/h · \d+ records$/);
    // Where it was: in the first two laps, of which charts and map tell.
    const shade = (selector) => page.locator(selector).evaluate((node) => {
      const copy = new OffscreenCanvas(node.width, node.height).getContext("2d");
      copy.drawImage(node, 0, 0);
      const [r, g, b] = [0, 2, 4].map((i) => parseInt(getComputedStyle(document.documentElement).getPropertyValue("--c2").trim().slice(1 + i, 3 + i), 16)), { data } = copy.getImageData(0, 0, node.width, node.height);
      let n = 0;
      for (let i = 0; i < data.length; i += 4) n += Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 12;
      return n;
    });
    const before = await shade("canvas.track");
    await page.keyboard.press("Enter");
    await until("what is marked", async () => /marked in charts and map: 2 min 0[56] s in a stretch, to \d/.test(await figures.first().locator("p").textContent()));
    await until("the map to show it", async () => (await shade("canvas.track")) > before + 300);
    await page.keyboard.press("Escape");
    await until("the map without it", async () => (await shade("canvas.track")) === before);
    await page.getByLabel("Mean of").selectOption("power_w");
    await until("the map", async () => (await figures.count()) === 3);
    await page.getByText("Table of signals").click();
    const table = page.getByRole("region", { name: "Table of signals" });
    assert.equal(await table.locator("tbody tr").count(), 40);
    assert.equal(await table.locator("tbody tr").first().locator("td").last().textContent(), "200.0");
    await accessible(page, "signals of a run");
    // Half of the window, then two laps.
    let answer;
    const held = new Promise((resolve) => { answer = resolve; });
    await page.route(/\/signals\?/, async (route) => { await held; await route.continue(); });
    await drag(page, await plot(page, "speed_ms"), 0.25, 0.75);
    await until("how much is read", async () => /^Reading about [\d,]+ records…$/.test(await status.textContent()));
    answer();
    await until("the window's records", async () => Math.abs((await counted()) / all - 0.5) < 0.05);
    await page.unroute(/\/signals\?/);
    await page.getByLabel("Compare lap 1").check();
    await page.getByLabel("in", { exact: true }).selectOption("laps");
    await until("the lap's records", async () => Math.abs((await counted()) - 314) < 3); // 62.8 s at 5 Hz
    const address = new URL(page.url());
    assert.equal(address.searchParams.get("signals"), "speed_ms,power_w,power_w");
    await page.goto(address.href); // open at once
    await until("the figures again", async () => (await figures.count()) === 3 && Math.abs((await counted()) - 314) < 3);

    // How far the server has come, and what went wrong then.
    await page.evaluate(() => {
      const real = window.fetch;
      window.fetch = (path, options) => {
        if (!path.includes("/signals?")) return real(path, options);
        const encoder = new TextEncoder();
        return Promise.resolve(new Response(new ReadableStream({ start(c) { window.feed = (line) => c.enqueue(encoder.encode(`${JSON.stringify(line)}\n`)); } })));
      };
      window.unpatch = () => { window.fetch = real; };
    });
    await page.getByLabel("against").selectOption("");
    await page.waitForFunction(() => window.feed);
    await page.evaluate(() => window.feed({ progress: 0.42 }));
    const bar = page.getByRole("progressbar", { name: "Records read" });
    await until("how far it has come", async () => (await bar.isVisible()) && /^\s*42 %$/.test(await page.locator(".reading").textContent()) && (await bar.evaluate((node) => node.value)) === 0.42);
    await accessible(page, "signals being read");
    await page.evaluate(() => window.feed({ error: { status: 503, title: "Service Unavailable", detail: "the window holds more than can be counted in time" } }));
    await until("what went wrong", async () => /more than can be counted/.test(await status.textContent()) && !(await bar.isVisible()));
    await page.evaluate(() => window.unpatch());
    questions.push("one signal");
    await page.getByLabel("against").selectOption("power_w");
    await until("the figures once more", async () => (await figures.count()) === 3);

    // Of a part of the map: its southern half, which each lap comes into once.
    const map = page.locator("canvas.track"), there = async () => Number(/^In the region on the map: (\d+) of/.exec(await status.textContent())?.[1]);
    const marked = () => page.locator('[data-metric="speed_ms"] canvas').evaluate((node) => {
      const want = getComputedStyle(document.documentElement).getPropertyValue("--c6").trim(), rgb = [1, 3, 5].map((i) => parseInt(want.slice(i, i + 2), 16));
      const copy = new OffscreenCanvas(node.width, node.height).getContext("2d"), columns = new Set();
      copy.drawImage(node, 0, 0);
      const { data } = copy.getImageData(0, 0, node.width, node.height);
      for (let i = 0; i < data.length; i += 4) if (rgb.every((v, k) => Math.abs(data[i + k] - v) < 12) && data[i + 3] > 200) columns.add((i / 4) % node.width);
      return columns.size / node.width;
    });
    await map.hover();
    await page.locator("canvas.track[tabindex]").waitFor(); // what picks it is loaded
    const box = await map.boundingBox();
    await drag(page, { ...box, y: box.y + box.height / 2, height: 0 }, 0.02, 0.02); // a click picks none
    await page.keyboard.down("Shift");
    await page.mouse.move(box.x + 4, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width - 4, box.y + box.height - 4, { steps: 4 });
    await page.mouse.up();
    await page.keyboard.up("Shift");
    await until("the records of the lap's southern half", async () => Math.abs((await there()) - 157) < 4);
    const chip = page.getByRole("button", { name: /^Clear the region: .* m × .* m · [45] times, / });
    await until("the stretches in the charts", async () => Math.abs((await marked()) - 0.42) < 0.1);
    await page.goto(page.url());
    await until("the same by its address", async () => Math.abs((await there()) - 157) < 4 && (await chip.count()) === 1);
    await accessible(page, "a run with a region");
    await chip.click();
    await until("the whole lap again", async () => Math.abs((await counted()) - 314) < 3);
    await page.keyboard.press("Enter"); // the button that picks one has the focus
    await page.getByText("Drag over the map.").waitFor();
    for (const key of ["ArrowDown", "Shift+ArrowRight", "Enter"]) await page.keyboard.press(key);
    await page.getByRole("button", { name: /^Clear the region: .* · never there/ }).waitFor(); // in the middle of the circle
    await until("that nothing was there", async () => /^The car was not in the region/.test(await status.textContent()));
    await page.keyboard.press("Escape");
    await until("the whole lap once more", async () => Math.abs((await counted()) - 314) < 3 && !new URL(page.url()).searchParams.has("region"));
    page.off("request", asked);
    assert.deepEqual(questions.filter((q, i) => q === questions[i - 1]), [], "what is there already is asked for again");
  });

  test("marks where the car came by a place that was noted", async () => {
    const place = { text: "a bump", latitude: 48.1 + Math.sin(1) / 1111.95, longitude: 11.5 + Math.cos(1) / 742.6 }; // 100 m into the lap
    const response = await fetch(`${base}/api/v1/sessions/round/notes`, { method: "POST", headers: { Authorization: `Bearer ${env("DEPLOY_KEY")}`, "Content-Type": "application/json" }, body: JSON.stringify(place) });
    assert.equal(response.status, 201, await response.text());
    await page.goto(`${base}/runs/round?metrics=speed_ms`);
    await settled(page);
    await page.getByRole("region", { name: /^Notes/ }).getByText("passed 4 times").waitFor();
    const bump = page.getByRole("listitem").filter({ hasText: "a bump" }).getByRole("button", { name: "Show Place, note" });
    for (const lap of [1, 2]) {
      await bump.click();
      await page.locator(".here", { hasText: new RegExp(`Lap ${lap} · .* · (99|100|101) m$`) }).waitFor();
    }
    const inked = await page.evaluate(() => {
      const canvas = document.querySelector('[data-metric="speed_ms"] canvas'), over = document.querySelector('[data-metric="speed_ms"] .u-over').getBoundingClientRect(), at = canvas.getBoundingClientRect();
      const want = getComputedStyle(document.documentElement).getPropertyValue("--c5").trim(), rgb = [1, 3, 5].map((i) => parseInt(want.slice(i, i + 2), 16));
      const { data } = canvas.getContext("2d").getImageData(0, over.bottom - at.top - 11, canvas.width, 6);
      let n = 0;
      for (let i = 0; i < data.length; i += 4) if (rgb.every((v, k) => Math.abs(data[i + k] - v) < 12) && data[i + 3] > 200) n++;
      return n;
    });
    assert.ok(inked >= 4 * 30, `${inked} pixels of flags`);
    await page.goto(`${base}/compare?laps=round:1,round:3&metrics=speed_ms`);
    await settled(page);
    await page.getByRole("list", { name: "Noted places" }).getByRole("button", { name: /^(9[5-9]|10[0-5]) m$/ }).waitFor();
    await accessible(page, "laps with a noted place");
  });

  test("names a track and its sectors, and moves its gates", async () => {
    await page.goto(`${base}/runs/round`);
    await settled(page);
    await page.getByRole("button", { name: "Edit track" }).click();
    const editor = page.getByRole("dialog", { name: "Edit track" });
    await editor.getByLabel("Name", { exact: true }).fill("The circle");
    await editor.getByLabel("Name of Sector 1, from the finish").fill("Start");
    assert.equal(await editor.locator(".gates li").count(), 3);
    await editor.getByRole("button", { name: "Add a gate" }).click();
    assert.equal(await editor.locator(".gates li").count(), 4);
    // The gate of the second sector is dragged a tenth of the circle on.
    const canvas = editor.locator("canvas"), at = editor.getByLabel("Begin of Sector 2, m");
    const before = Number(await at.inputValue());
    const map = await canvas.boundingBox(), radius = (Math.min(map.height, map.width) - 32) / 2, middle = [map.x + map.width / 2, map.y + map.height / 2];
    const place = (metres) => [middle[0] + radius * Math.cos(metres / 100), middle[1] - radius * Math.sin(metres / 100)];
    await page.mouse.move(...place(before));
    await page.mouse.down();
    await page.mouse.move(...place(before + 60), { steps: 4 });
    await page.mouse.up();
    const moved = Number(await at.inputValue());
    assert.ok(Math.abs(moved - before - 60) < 12, `dragged from ${before} to ${moved} m`);
    await accessible(page, "the editor of a track");
    await editor.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { name: "on The circle" }).waitFor();
    await page.getByText("4 sectors").click();
    const heads = await page.getByRole("region", { name: "Sectors of the laps" }).locator("thead th").allTextContents();
    assert.deepEqual(heads, ["Lap", "Start", "S2", "S3", "S4"]);
    await page.goto(`${base}/compare?laps=round:1,round:3&metrics=speed_ms`);
    await settled(page);
    await page.getByRole("rowheader", { name: "Start, s" }).waitFor();
    // The same place, found a second time 33 m to the north, is made part of it; and what is forgotten has no name.
    const start = Date.parse("2026-06-06T10:00:00Z"), key = { Authorization: `Bearer ${env("DEPLOY_KEY")}` };
    const records = Array.from({ length: 850 }, (_, i) => ({ session_id: "round north", timestamp: new Date(start + i * 200).toISOString(), speed_ms: 10, latitude: 48.1003 + Math.sin(i / 50) / 1111.95, longitude: 11.5 + Math.cos(i / 50) / 742.6 }));
    assert.equal((await fetch(`${base}/api/v1/telemetry`, { method: "POST", headers: { ...key, "Content-Type": "application/json" }, body: JSON.stringify(records) })).status, 200);
    assert.equal((await fetch(`${base}/api/v1/sessions/round%20north/laps`, { headers: key })).status, 200);
    await page.goto(`${base}/runs/round`);
    await page.getByRole("button", { name: "Edit track" }).click();
    page.once("dialog", (d) => d.accept());
    await editor.getByLabel("Another track that is this place, too").selectOption({ index: 1 });
    await page.getByText("The tracks are one.").waitFor();
    await page.goto(`${base}/runs/round%20north`);
    await page.getByRole("heading", { name: "on The circle" }).waitFor();
    // It ended in its third lap, of which some sectors are over.
    await page.getByText(/4 sectors; lap 3: [12] over/).click();
    const third = await page.getByRole("region", { name: "Sectors of the laps" }).getByRole("row", { name: /^3…/ }).getByRole("cell").allTextContents();
    assert.ok(third.length === 4 && third.some((text) => text === "–") && third.some((text) => /^\d+\.\d\d [−+]0\.\d\d$/.test(text)), `sectors of the third lap: ${third}`);
    await page.getByRole("button", { name: "Edit track" }).click();
    page.once("dialog", (d) => d.accept());
    await editor.getByRole("button", { name: "Forget this track" }).click();
    await page.getByRole("heading", { name: /on Track \d/ }).waitFor();
    await page.goto(base);
    await page.getByRole("heading", { name: "All runs" }).waitFor();
  });

  test("signs out", async () => {
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("link", { name: "Sign in" }).first().waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length + Number("telemetryd.token" in localStorage)), 0);
  });

  test("never complained on the console", () => assert.deepEqual(complaints, []));
});
