// Several runs over one another, by the time since each began or by distance; their
// laps, see lapped.js.

import { h, icon, replace, toast } from "./dom.js";
import { api, query, sessionPath } from "./api.js";
import { currentUser } from "./account.js";
import { go, setParams, setTitle } from "./router.js";
import { Bench } from "./bench.js";
import { hue } from "./chart.js";
import { ChartStack } from "./charts.js";
import { Track, trackLines } from "./track.js";
import { channelsOf } from "./channels.js";
import { pick } from "./picker.js";
import { compareSeries } from "./series.js";
import { runName } from "./runs.js";
import { addressOf, render as renderLaps } from "./lapped.js";
import { date, duration } from "./format.js";
import { figure, shownUnit } from "./units.js";

const FIRST = ["speed_ms", "power_w", "voltage_v"];
const MOST = 6;

export function render(main, { params }) {
  setTitle("Compare");
  if (!currentUser()) {
    main.append(h("div", { class: "empty" }, h("h1", null, "Compare runs"), h("p", { class: "muted" }, "Past runs are for the crew."), h("a", { class: "button", href: "/signin" }, "Sign in")));
    return;
  }
  if (params.get("laps")) return renderLaps(main, params);
  const abort = new AbortController();
  const page = h("div", { class: "run" });
  main.append(page);
  let stack = null, bench = null, track = null, stopped = false;
  let ids = (params.get("runs") || "").split(",").filter(Boolean);
  let align = params.get("by") === "distance" ? "distance" : "elapsed";
  let metrics = params.get("metrics")?.split(",") || FIRST;
  const shift = new Map(ids.map((id, i) => [id, Number(params.get("shift")?.split(",")[i]) || 0]));
  const summaries = new Map();
  let all = [], channels = null;

  const legend = h("ul", { class: "legend", "aria-label": "Compared runs" });
  legend.style.listStyle = "none";
  const body = h("div", { class: "run-body" });
  const add = h("select", { id: "add-run", "aria-label": "Add a run" });
  const by = (value, text) => {
    const button = h("button", { type: "button", class: "button secondary", "aria-pressed": String(align === value) }, text);
    button.addEventListener("click", () => {
      align = value;
      shift.clear();
      setParams({ by: value, shift: null, from: null, to: null, cursor: null });
      for (const b of button.parentNode.children) b.setAttribute("aria-pressed", String(b === button));
      draw();
    });
    return button;
  };
  const byLap = h("button", { type: "button", class: "button secondary", "aria-pressed": "false" }, "By lap");
  byLap.addEventListener("click", async () => {
    const url = ids.length ? await addressOf(ids, abort.signal).catch((err) => { if (err.name !== "AbortError") toast(err.message, "error"); }) : null;
    if (url) go(url);
    else if (url === null && !stopped) toast("None of these runs has a lap to compare.", "error");
  });
  replace(page,
    h("div", { class: "run-head" }, h("h1", null, "Compare runs"),
      h("div", { class: "actions" },
        h("div", { class: "group", role: "group", "aria-label": "Align by" }, by("elapsed", "By time"), by("distance", "By distance"), byLap),
        h("button", { type: "button", class: "button secondary", on: { click: () => pick(() => channels?.list || [], metrics, channels?.present || new Set(), (m) => { metrics = m; setParams({ metrics: m.join(",") }); stack?.setMetrics(chosen()); }) } }, icon("sliders"), "Metrics"))),
    legend, body);

  add.addEventListener("change", () => { if (add.value) { ids.push(add.value); changed(); } });
  const chosen = () => metrics.map((name) => channels?.get(name)).filter((c) => c?.charted);
  const runOf = (id) => all.find((run) => run.session_id === id);
  const shifts = () => (ids.some((id) => shift.get(id)) ? ids.map((id) => shift.get(id) || 0).join() : null);
  const changed = () => { setParams({ runs: ids.join(","), shift: shifts() }); draw(); };
  const destroy = () => { stack?.destroy(); bench?.destroy(); track?.destroy(); stack = bench = track = null; };
  const failed = (err) => { if (err.name !== "AbortError") toast(err.message, "error"); };

  async function load() {
    all = (await api(query("/api/v1/sessions", { limit: 500 }), { signal: abort.signal })).sessions;
    for (const id of ids) if (!runOf(id)) all.push(await api(sessionPath(id), { signal: abort.signal }));
    draw();
  }

  function drawLegend() {
    const others = all.filter((run) => run.start_time && !ids.includes(run.session_id));
    replace(add, h("option", { value: "" }, ids.length ? "Add a run…" : "Choose a run…"), others.slice(0, 300).map((run) => h("option", { value: run.session_id }, `${runName(run)}, ${date(new Date(run.start_time))}, ${duration(run.duration_s)}`)));
    replace(legend, ids.map((id, i) => {
      const run = runOf(id), swatch = h("span", { class: "swatch", "aria-hidden": "true" }), name = runName(run);
      swatch.style.background = hue(i);
      const offset = h("input", { type: "number", step: align === "distance" ? 10 : 1, value: shift.get(id) || 0 });
      offset.addEventListener("change", () => { shift.set(id, Number(offset.value) || 0); setParams({ shift: shifts() }); stack?.reload(0); });
      return h("li", { class: "card legend-item" }, swatch,
        h("span", null, h("a", { href: `/runs/${encodeURIComponent(id)}` }, name), " ", h("span", { class: "muted small" }, date(new Date(run.start_time)))),
        h("label", null, align === "distance" ? "shift m" : "shift s", offset),
        h("button", { type: "button", class: "plain tiny", "aria-label": `Remove ${name}`, on: { click: () => { ids = ids.filter((other) => other !== id); shift.delete(id); changed(); } } }, icon("close")));
    }), ids.length < MOST && h("li", null, add));
  }

  async function draw() {
    destroy();
    drawLegend();
    if (!ids.length) return void replace(body, h("div", { class: "card empty" }, h("p", null, "Choose two or more runs to lay them over one another.")));
    const known = channelsOf(ids, abort.signal).then((c) => { channels = c; }, (err) => { if (!stopped) toast(err.message, "error"); });
    const parts = await Promise.all(ids.map(async (id) => {
      if (!summaries.has(id)) summaries.set(id, await api(sessionPath(id, "/summary"), { signal: abort.signal }).then((a) => a.summary || a).catch(() => ({})));
      return summaries.get(id);
    }));
    await known;
    if (stopped) return;
    const far = align === "distance"
      ? Math.max(1, ...parts.map((s) => (s.distance_km || 0) * 1000))
      : Math.max(1, ...ids.map((id) => runOf(id).duration_s));
    const uncounted = ids.filter((_, i) => align === "distance" && !parts[i].channels?.some((c) => ["distance_m", "route_distance_km"].includes(c.name)));
    const charts = h("div", { class: "card" }, uncounted.length > 0 && h("p", { class: "pad muted small" },
      `By distance there is nothing to draw of ${uncounted.map((id) => runName(runOf(id))).join(", ")}: no distance counter.`));
    const tools = h("div", { class: "toolbar", role: "toolbar", "aria-label": "Charts", "aria-controls": "charts" });
    const map = h("section", { class: "card panel", "aria-labelledby": "map-title" }, h("h2", { id: "map-title" }, "Track"));
    const valued = h("section", { class: "card panel", "aria-labelledby": "values-title" });
    charts.append(tools);
    replace(body, h("section", { "aria-labelledby": "charts-title" }, h("h2", { class: "sr", id: "charts-title" }, "Charts of all runs"), charts), h("aside", { class: "side", "aria-label": "Values, track and figures" }, valued, map, figures(parts)));
    stack = new ChartStack(charts, {
      kind: align === "distance" ? "distance" : "time", clockTime: false, start: 0, extent: [0, far],
      lines: ids.map((id) => ({ label: runName(runOf(id)) })),
      load: (a, b, points, names, signal) => compareSeries(ids, align, a, b, points, names, signal, ids.map((id) => shift.get(id) || 0)),
      onCursor: (x) => mark(x),
    });
    bench = new Bench(stack, valued, { address: () => ({ metrics: metrics.join(), shift: shifts() }), failed });
    const button = (label, shape, click) => h("button", { type: "button", class: "button secondary", "aria-label": label, title: label, on: { click } }, icon(shape));
    const table = button("Table of values", "table", () => table.setAttribute("aria-pressed", String(stack.toggleTable())));
    table.setAttribute("aria-pressed", "false");
    replace(tools, h("div", { class: "group", role: "group", "aria-label": "Window" },
      button("Earlier", "left", () => stack.pan(-0.5)), button("Zoom in", "plus", () => stack.zoom(0.5)), button("Zoom out", "minus", () => stack.zoom(2)), button("Later", "right", () => stack.pan(0.5)), button("Everything", "reset", () => stack.reset())),
    h("span", { class: "push" }), bench.button, table);
    bench.open(new URLSearchParams(location.search));
    stack.setMetrics(chosen());
    track = new Track(map);
    map.hidden = true;
    drawTrack(map);
  }

  async function drawTrack(map) {
    const mine = track;
    const lines = await Promise.all(ids.map(async (id, i) => {
      const answer = await api(query(sessionPath(id, "/track"), { tolerance: 2, points: 800 }), { signal: abort.signal }).catch(() => null);
      return { parts: answer ? trackLines(answer, Date.parse(runOf(id).start_time)) : [], color: hue(i) };
    }));
    if (mine !== track) return;
    map.hidden = !lines.some((line) => line.parts.length);
    mine.all = lines;
    mine.setLines(lines);
  }

  // mark shows where each car was at the same time since its start.
  function mark(x) {
    if (!track?.all || align === "distance") return;
    track.setMarks(x == null ? [] : track.all.map((line, i) => {
      const at = track.at(x - (shift.get(ids[i]) || 0), line);
      return at && { at, color: hue(i) };
    }));
  }

  function figures(parts) {
    const rows = [
      ["Distance", "km", "distance_km", 2], ["Duration", "min", "duration_min", 1], ["Energy", "Wh", "energy_wh", 1], ["Efficiency", "km/kWh", "efficiency_km_kwh", 1],
      ["Average speed", "km/h", "avg_speed_kmh", 1], ["Top speed", "km/h", "max_speed_kmh", 1], ["Average power", "W", "avg_power_w", 0], ["Peak power", "W", "max_power_w", 0],
    ];
    return h("section", { class: "card panel", "aria-labelledby": "figures-title" }, h("h2", { id: "figures-title" }, "Figures"),
      h("div", { class: "laps figures", tabindex: "0", role: "region", "aria-label": "Figures as a table" }, h("table", null,
        h("caption", { class: "sr" }, "Figures of the compared runs"),
        h("thead", null, h("tr", null, h("th", { scope: "col" }, h("span", { class: "sr" }, "Figure")), ids.map((id, i) => {
          const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
          swatch.style.background = hue(i);
          return h("th", { scope: "col", class: "n" }, swatch, " ", runName(runOf(id)));
        }))),
        h("tbody", null, rows.map(([name, stored, key, digits]) => h("tr", null, h("th", { scope: "row" }, `${name}, ${shownUnit(stored)}`), parts.map((s) => h("td", { class: "n" }, figure(s[key], stored, digits)))))))));
  }

  load().catch((err) => { if (err.name !== "AbortError") { replace(body, h("p", { class: "problem" }, err.message)); toast(err.message, "error"); } });
  return Object.assign(() => { stopped = true; abort.abort(); destroy(); }, { turn: (params) => bench?.turn(params) });
}
