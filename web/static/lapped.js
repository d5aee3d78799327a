// Laps over one another, by their place on the track: how far each was behind the
// first, and how much more energy it had used.

import { h, icon, replace, toast } from "./dom.js";
import { api, query, sessionPath } from "./api.js";
import { setParams, setTitle } from "./router.js";
import { ChartStack, hue } from "./charts.js";
import { channelsOf, isState } from "./channels.js";
import { pick } from "./picker.js";
import { runName } from "./runs.js";
import { clockSpan, date, num, NONE } from "./format.js";
import { conversion, figure, preferred, shownUnit } from "./units.js";

const MOST = 6;
const PLACES = 1000;
// more are the channels that the comparison itself has, differences to the first lap.
const more = () => [
  { name: "dt_s", display: "Behind the first lap", unit: "s", type: "number", decimals: 2, own: 1 },
  { name: "de_j", display: "Energy more than the first lap", unit: conversion("J").shown, type: "number", own: conversion("J").factor },
];

const write = (laps) => laps.map(({ run, lap }) => `${encodeURIComponent(run)}:${lap}`).join(",");
const read = (text) => text.split(",").filter(Boolean).map((item) => {
  const colon = item.lastIndexOf(":");
  return { run: decodeURIComponent(item.slice(0, colon)), lap: Number(item.slice(colon + 1)) };
});

const lapsOf = async (run, signal) => (await api(sessionPath(run, "/laps"), { signal })).laps;

// addressOf leads to the quickest lap of each run; of one run to its slowest, too.
export async function addressOf(runs, signal) {
  const found = await Promise.all(runs.map(async (run) => {
    const ranked = (await lapsOf(run, signal)).filter((l) => l.time_rank).sort((a, b) => a.time_rank - b.time_rank);
    return (runs.length > 1 ? ranked.slice(0, 1) : [ranked[0], ranked.at(-1)]).filter(Boolean).map(({ lap }) => ({ run, lap }));
  }));
  const laps = found.flat().filter((one, i, all) => !i || one.run !== all[i - 1].run || one.lap !== all[i - 1].lap);
  return laps.length ? query("/compare", { laps: write(laps) }) : null;
}

export function render(main, params) {
  setTitle("Compare laps");
  const abort = new AbortController(), { signal } = abort;
  let laps = read(params.get("laps"));
  let metrics = params.get("metrics")?.split(",") || ["speed_ms", "power_w"];
  let channels = null, stack = null, stopped = false, asked = 0;
  const runs = new Map(), known = new Map(); // of each run what it is, and its laps
  const legend = h("ul", { class: "legend", "aria-label": "Compared laps" });
  legend.style.listStyle = "none";
  const body = h("div", { class: "run-body" });
  const add = h("select", { "aria-label": "Add a lap" });
  const ids = () => [...new Set(laps.map((l) => l.run))];
  const chosen = () => metrics.map((name) => channels?.get(name)).filter((c) => c?.charted && !isState(c));
  const other = (by, text) => h("a", { class: "button secondary", href: query("/compare", { runs: ids().join(","), by }) }, text);
  const head = h("div", { class: "actions" });
  main.append(h("div", { class: "run" }, h("div", { class: "run-head" }, h("h1", null, "Compare laps"), head), legend, body));

  const changed = () => { setParams({ laps: write(laps) }); draw(); };
  add.addEventListener("change", () => { if (add.value) { laps.push(read(add.value)[0]); changed(); } });
  const name = ({ run, lap }) => `${runName(runs.get(run))}, lap ${lap}`;

  function drawHead() {
    replace(head,
      h("div", { class: "group", role: "group", "aria-label": "Align by" }, other("elapsed", "By time"), other("distance", "By distance"), h("button", { type: "button", class: "button secondary", "aria-pressed": "true" }, "By lap")),
      h("button", { type: "button", class: "button secondary", on: { click: () => pick(() => (channels?.list || []).filter((c) => !isState(c)), metrics, channels?.present || new Set(), (m) => { metrics = m; setParams({ metrics: m.join(",") }); draw(); }) } }, icon("sliders"), "Metrics"));
    replace(add, h("option", { value: "" }, "Add a lap…"), [...known].map(([run, list]) => h("optgroup", { label: runName(runs.get(run)) },
      list.filter((l) => !laps.some((one) => one.run === run && one.lap === l.lap)).map((l) => h("option", { value: write([{ run, lap: l.lap }]) }, `Lap ${l.lap}, ${clockSpan(l.seconds, 1)}`)))));
    replace(legend, laps.map((one, i) => {
      const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = hue(i);
      return h("li", { class: "card legend-item" }, swatch,
        h("span", null, h("a", { href: `/runs/${encodeURIComponent(one.run)}` }, name(one)), " ", h("span", { class: "muted small" }, date(new Date(runs.get(one.run).start_time)))),
        laps.length > 1 && h("button", { type: "button", class: "plain tiny", "aria-label": `Remove ${name(one)}`, on: { click: () => { laps = laps.filter((l) => l !== one); changed(); } } }, icon("close")));
    }), laps.length < MOST && h("li", null, add));
  }

  async function draw() {
    const turn = ++asked;
    await Promise.all(ids().map(async (run) => {
      if (!runs.has(run)) runs.set(run, await api(sessionPath(run), { signal }));
      if (!known.has(run)) known.set(run, await lapsOf(run, signal));
    }));
    channels ??= await channelsOf(ids(), signal);
    const answer = await api(query("/api/v1/compare", { laps: write(laps), metrics: chosen().map((c) => c.name).join(","), points: PLACES, units: preferred() }), { signal });
    if (stopped || turn !== asked) return;
    stack?.destroy();
    drawHead();
    const apart = answer.laps.filter((l) => l.aligned !== answer.by);
    const charts = h("div", { class: "card" }, apart.length > 0 && h("p", { class: "pad muted small" },
      `Not on the line of the first lap, and so laid over it by their distance: ${apart.map((l) => name({ run: l.session, lap: l.lap })).join("; ")}.`));
    replace(body, h("section", { "aria-labelledby": "charts-title" }, h("h2", { class: "sr", id: "charts-title" }, "Charts of all laps"), charts), h("aside", { class: "side", "aria-label": "Figures" }, figures(answer)));
    const x = answer.distance_m, one = x.map(() => 1);
    const line = (v) => ({ min: v, max: v, avg: v, count: one });
    stack = new ChartStack(charts, {
      kind: "distance", clockTime: false, start: 0, extent: [0, x.at(-1)], lines: laps.map((l) => ({ label: name(l) })),
      load: async (a, b, points, wanted) => ({
        x, columns: Object.fromEntries(wanted.map((m) => [m.name, answer.laps.map((l) => line((m.own ? l[m.name]?.map((v) => (v == null ? v : v * m.own)) : l.metrics[m.name]) ?? x.map(() => null)))])),
        info: { short: `${x.length} places`, text: `at ${x.length} places of the lap`, width: 0, level: "raw" },
      }),
    });
    stack.setMetrics([...more(), ...chosen()]);
  }

  function figures({ laps: list, sectors }) {
    const energy = (v) => figure(v, "J", -1), inEnergy = shownUnit("J"), squared = conversion("m/s").factor ** 2;
    const rows = [
      ["Time", (l) => clockSpan(l.time_s, 2)], [`Energy, ${inEnergy}`, (l) => energy(l.energy_j)], [`Energy, ${inEnergy}/km`, (l) => energy(l.energy_j_per_km)],
      [`Variance of speed, (${shownUnit("m/s")})²`, (l) => (l.cruise_variance == null ? NONE : num(l.cruise_variance * squared, 2))], ["Data, %", (l) => (l.match == null ? NONE : num(l.match * 100, 1))],
      ...sectors.flatMap(({ name }, i) => [[`${name}, s`, (l) => num(l.sectors[i]?.time_s, 2)], [`${name}, ${inEnergy}`, (l) => energy(l.sectors[i]?.energy_j)]]),
    ];
    return h("section", { class: "card panel", "aria-labelledby": "figures-title" }, h("h2", { id: "figures-title" }, "Figures"),
      h("div", { class: "laps figures", tabindex: "0", role: "region", "aria-label": "Figures as a table" }, h("table", null,
        h("caption", { class: "sr" }, "Figures of the compared laps"),
        h("thead", null, h("tr", null, h("th", { scope: "col" }, h("span", { class: "sr" }, "Figure")), list.map((l, i) => {
          const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
          swatch.style.background = hue(i);
          return h("th", { scope: "col", class: "n" }, swatch, ` ${name({ run: l.session, lap: l.lap })}`);
        }))),
        h("tbody", null, rows.map(([title, of]) => h("tr", null, h("th", { scope: "row" }, title), list.map((l) => h("td", { class: "n" }, of(l)))))))));
  }

  draw().catch((err) => { if (err.name !== "AbortError") { replace(body, h("p", { class: "problem" }, err.message)); toast(err.message, "error"); } });
  return () => { stopped = true; abort.abort(); stack?.destroy(); };
}
