// Laps over one another, by their place on the track: how far each was behind the
// first, and how much more energy it had used.

import { h, icon, replace, toast } from "./dom.js";
import { api, query, sessionPath } from "./api.js";
import { setParams, setTitle } from "./router.js";
import { Bench } from "./bench.js";
import { hue } from "./chart.js";
import { ChartStack } from "./charts.js";
import { LapMap } from "./lapmap.js";
import { channelsOf, isState } from "./channels.js";
import { pick } from "./picker.js";
import { runName } from "./runs.js";
import { clockSpan, date, measure, num, title, unit, NONE } from "./format.js";
import { conversion, figure, preferred, shownUnit } from "./units.js";

const MOST = 6;
const PLACES = 1000;
const MOST_CHANNELS = 16; // that the server compares at once
const PLACE = ["latitude", "longitude"]; // what the map is drawn by
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
  let channels = null, stack = null, bench = null, map = null, stopped = false, asked = 0;
  const runs = new Map(), known = new Map(); // of each run what it is, and its laps
  const legend = h("ul", { class: "legend", "aria-label": "Compared laps" });
  legend.style.listStyle = "none";
  const body = h("div", { class: "run-body" });
  const add = h("select", { "aria-label": "Add a lap" });
  const ids = () => [...new Set(laps.map((l) => l.run))];
  const chosen = () => metrics.map((name) => channels?.get(name)).filter((c) => c?.charted && !isState(c));
  // The map is left out where so much is drawn that its channels would be too many.
  const asks = () => { const drawn = chosen().map((c) => c.name); return [...new Set([...drawn, "speed_ms", ...PLACE])].filter((name) => channels.get(name)).slice(0, Math.max(MOST_CHANNELS, drawn.length)); };
  const other = (by, text) => h("a", { class: "button secondary", href: query("/compare", { runs: ids().join(","), by }) }, text);
  const head = h("div", { class: "actions" });
  main.append(h("div", { class: "run" }, h("div", { class: "run-head" }, h("h1", null, "Compare laps"), head), legend, body));

  const changed = () => { setParams({ laps: write(laps) }); draw(); };
  const destroy = () => { stack?.destroy(); bench?.destroy(); map?.destroy(); stack = bench = map = null; };
  add.addEventListener("change", () => { if (add.value) { laps.push(read(add.value)[0]); changed(); } });
  const name = ({ run, lap }) => `${runName(runs.get(run))}, lap ${lap}`;

  // partOf leads to the lap in its run, where it can be noted.
  function partOf({ run, lap }) {
    const l = known.get(run).find((l) => l.lap === lap), start = Date.parse(runs.get(run).start_time), at = (text) => Math.max(0, (Date.parse(text) - start) / 1000).toFixed(3);
    return query(`/runs/${encodeURIComponent(run)}`, l ? { from: at(l.from), to: at(l.to) } : {});
  }

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
        h("span", null, h("a", { href: partOf(one) }, name(one)), " ", h("span", { class: "muted small" }, [date(new Date(runs.get(one.run).start_time)), runs.get(one.run).book.driver].filter(Boolean).join(", "))),
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
    const answer = await api(query("/api/v1/compare", { laps: write(laps), metrics: asks().join(","), points: PLACES, units: preferred() }), { signal });
    if (stopped || turn !== asked) return;
    const begun = answer.sectors[0], again = answer.sectors.at(-1);
    if (begun !== again && begun?.name === again.name) { begun.name += ", end"; again.name += ", begin"; } // the lap begins in it
    destroy();
    drawHead();
    const apart = answer.laps.filter((l) => l.aligned !== answer.by);
    const valued = h("section", { class: "card panel", "aria-labelledby": "values-title" }), tools = h("div", { class: "toolbar", role: "toolbar", "aria-label": "Charts", "aria-controls": "charts" });
    const charts = h("div", { class: "card" }, tools, apart.length > 0 && h("p", { class: "pad muted small" },
      `Not on the line of the first lap, and so laid over it by their distance: ${apart.map((l) => name({ run: l.session, lap: l.lap })).join("; ")}.`));
    const way = h("section", { class: "card panel", "aria-labelledby": "map-title" }, h("h2", { id: "map-title" }, "Where the difference is"));
    replace(body, h("section", { "aria-labelledby": "charts-title" }, h("h2", { class: "sr", id: "charts-title" }, "Charts of all laps"), charts), h("aside", { class: "side", "aria-label": "Values, map and figures" }, valued, way, figures(answer)));
    const x = answer.distance_m, one = x.map(() => 1);
    const line = (v, mean) => ({ min: v, max: v, avg: v, count: one, mean });
    stack = new ChartStack(charts, {
      kind: "distance", clockTime: false, start: 0, extent: [0, x.at(-1)], lines: laps.map((l) => ({ label: name(l) })),
      load: async (a, b, points, wanted) => ({
        x, columns: Object.fromEntries(wanted.map((m) => [m.name, answer.laps.map((l) => line((m.own ? l[m.name]?.map((v) => (v == null ? v : v * m.own)) : l.metrics[m.name]) ?? x.map(() => null), m.own ? null : l.means[m.name]?.mean))])),
        info: { short: `${x.length} places`, text: `at ${x.length} places of the lap`, width: 0, level: "raw" },
      }),
      onWindow: (a, b, whole) => map?.setWindow(a, b, whole), onCursor: (at) => map?.mark(at),
    });
    map = new LapMap(way, { name: (l) => name({ run: l.session, lap: l.lap }), goTo, cursor: (at) => stack.setCursor(at), chose: (by) => setParams({ map: by }) });
    map.show(answer, channels, params.get("map"));
    import("./places.js").then((places) => places.show(ids(), { stack, map, node: way, signal })).catch((err) => { if (err.name !== "AbortError") toast(err.message, "error"); });
    bench = new Bench(stack, valued, { address: () => ({ laps: write(laps), metrics: metrics.join() }), failed: (err) => toast(err.message, "error") });
    replace(tools, h("button", { type: "button", class: "button secondary", on: { click: () => stack.reset() } }, icon("reset"), "Whole lap"), h("span", { class: "push" }), bench.button);
    bench.open(new URLSearchParams(location.search));
    map.setWindow(...stack.win, stack.whole);
    stack.setMetrics([...more(), ...chosen()]);
  }

  // goTo shows a part of the lap alone; asked for again, all of it.
  function goTo(from, to) {
    const [a, b] = stack.win;
    if (Math.abs(a - from) < 1 && Math.abs(b - to) < 1) stack.reset();
    else stack.show(from, to, { wait: 0 });
    stack.reveal();
  }

  // Figures of each lap, with how much more than the first lap's they are.
  function figures({ laps: list, sectors }) {
    const energy = (v) => figure(v, "J", -1), inEnergy = shownUnit("J"), squared = conversion("m/s").factor ** 2;
    const part = ({ run, lap }) => known.get(run)?.find((l) => l.lap === lap) || {};
    const own = list.map((l) => part({ run: l.session, lap: l.lap }));
    const most = chosen().filter((c) => list[0].means[c.name]);
    // A row: what it is called, its figure of a lap, and how that is written.
    const of = (title, get, write, go, plain) => ({ title, get, write, go, plain });
    const parts = (get, at = "") => most.flatMap((c) => {
      const text = (what) => `${at}${what} ${title(c)}, ${unit(c.unit)}`.replace(/, $/, ""), say = (v) => (v == null ? NONE : measure(v, c));
      return [c.name !== "speed_ms" && of(text("Mean"), (l, i) => get(l, i)?.[c.name]?.mean, say), of(text("Highest"), (l, i) => get(l, i)?.[c.name]?.max, say)].filter(Boolean);
    });
    const rows = [
      of("Time", (l) => l.time_s, (v) => clockSpan(v, 2)), of(`Energy, ${inEnergy}`, (l) => l.energy_j, energy), of(`Energy, ${inEnergy}/km`, (l) => l.energy_j_per_km, energy),
      of(`Distance, ${shownUnit("m")}`, (_, i) => own[i].distance_m, (v) => figure(v, "m", 0)),
      of(`Mean speed, ${shownUnit("km/h")}`, (_, i) => own[i].avg_speed_kmh, (v) => figure(v, "km/h", 1)),
      of(`Variance of speed, (${shownUnit("m/s")})²`, (l) => (l.cruise_variance == null ? null : l.cruise_variance * squared), (v) => (v == null ? NONE : num(v, 2))),
      of("Coasting, %", (_, i) => (own[i].coasting_share == null ? null : own[i].coasting_share * 100), (v) => (v == null ? NONE : num(v, 1))),
      of("Data, %", (l) => l.match * 100, (v) => num(v, 1), null, true), ...parts((l) => l.means),
    ];
    const sectorRows = sectors.flatMap((s, k) => [
      of(`${s.name}, s`, (l) => l.sectors[k]?.time_s, (v) => num(v, 2), () => goTo(s.from_m, s.to_m)), of(`${s.name}, ${inEnergy}`, (l) => l.sectors[k]?.energy_j, energy),
    ]);
    const evidence = sectors.flatMap((s, k) => parts((l) => l.sectors[k]?.means, `${s.name}: `));
    const told = (text) => Number(text.replace(/\D/g, "")) >= 10; // of less a percentage would be that of its last digit
    const more = (row, l, i) => {
      const first = row.get(list[0], 0), v = row.get(l, i), by = i && !row.plain && first > 0 && v != null && told(row.write(first)) ? ((v - first) / first) * 100 : null;
      return by == null ? null : h("span", { class: "muted more" }, ` ${by > 0 ? "+" : ""}${num(by, 1)} %`);
    };
    const table = (caption, rows) => h("div", { class: "laps figures", tabindex: "0", role: "region", "aria-label": `${caption} as a table` }, h("table", null,
      h("caption", { class: "sr" }, `${caption} of the compared laps`),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, h("span", { class: "sr" }, "Figure")), list.map((l, i) => {
        const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
        swatch.style.background = hue(i);
        return h("th", { scope: "col", class: "n" }, swatch, ` ${name({ run: l.session, lap: l.lap })}`);
      }))),
      h("tbody", null, rows.map((row) => h("tr", null, h("th", { scope: "row" }, row.go ? h("button", { type: "button", "aria-label": `${row.title}: show it alone in the charts`, on: { click: row.go } }, row.title) : row.title),
        list.map((l, i) => h("td", { class: "n" }, row.write(row.get(l, i)), more(row, l, i))))))));
    return h("section", { class: "card panel", "aria-labelledby": "figures-title" }, h("h2", { id: "figures-title" }, "Figures"),
      list.map((l) => l.summary && h("p", { class: "pad small" }, h("b", null, name({ run: l.session, lap: l.lap })), " ", l.summary[0].toLowerCase() + l.summary.slice(1))), table("Figures", [...rows, ...sectorRows]),
      evidence.length > 0 && h("details", null, h("summary", null, "Channels by sector"), table("Channels by sector", evidence)));
  }

  draw().catch((err) => { if (err.name !== "AbortError") { replace(body, h("p", { class: "problem" }, err.message)); toast(err.message, "error"); } });
  return Object.assign(() => { stopped = true; abort.abort(); destroy(); }, { turn: (params) => bench?.turn(params) });
}
