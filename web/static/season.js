// A figure of the runs of a season by what the run book says: a plot with a dot for
// each run, and a table with how many there are and how far they lie apart.

import { h, replace, svg, toast } from "./dom.js";
import { api, query } from "./api.js";
import { setParams, setTitle } from "./router.js";
import { date, duration, num, NONE } from "./format.js";
import { figure, shownUnit } from "./units.js";
import { FACTORS, label } from "./seek.js";

const FIGURES = [["efficiency_km_kwh", "Efficiency", "km/kWh", 1], ["avg_speed_kmh", "Average speed", "km/h", 1], ["distance_km", "Distance", "km", 2], ["energy_wh", "Energy", "Wh", 1], ["duration_s", "Duration", "s", 0]];
const MOST = 40; // groups that the plot shows
const LISTED = 100; // runs that are listed of a group

export function render(main, { params }) {
  setTitle("Season");
  const abort = new AbortController();
  const chosen = { figure: params.get("figure") || "efficiency_km_kwh", by: params.get("by") || "driver", from: params.get("from") || "", to: params.get("to") || "" };
  const select = (name, text, options) => {
    const node = h("select", { id: `season-${name}` }, options.map(([value, text]) => h("option", { value, selected: value === chosen[name] }, text)));
    node.addEventListener("change", () => { chosen[name] = node.value; load(); });
    return h("div", { class: "field" }, h("label", { for: `season-${name}` }, text), node);
  };
  const day = (name, text) => {
    const node = h("input", { id: `season-${name}`, type: "date", value: chosen[name] });
    node.addEventListener("change", () => { chosen[name] = node.value; load(); });
    return h("div", { class: "field" }, h("label", { for: `season-${name}` }, text), node);
  };
  const factors = [["day", "Day"], ...FACTORS];
  const by = select("by", "By", factors);
  const status = h("p", { class: "muted small", role: "status" }), body = h("div", { class: "stacked" });
  main.append(h("div", { class: "wrap" }, h("h1", null, "Season"),
    h("div", { class: "card inline-form" }, select("figure", "Figure", FIGURES), by, day("from", "From"), day("to", "To")), status, body));

  // Fields of one's own are known from what the runs have.
  api(query("/api/v1/sessions", { limit: 1000 }), { signal: abort.signal }).then(({ sessions }) => {
    const names = [...new Set(sessions.flatMap((run) => Object.keys(run.book.fields)))].sort();
    by.querySelector("select").append(...names.map((name) => h("option", { value: `field:${name}`, selected: chosen.by === `field:${name}` }, name)));
  }).catch(() => { /* what the figures need is asked for by itself */ });

  async function load() {
    setParams({ figure: chosen.figure, by: chosen.by, from: chosen.from, to: chosen.to });
    // Both days are meant whole, where one is.
    const bound = (text, after) => { if (!text) return null; const [y, m, d] = text.split("-").map(Number); return new Date(y, m - 1, d + after).toISOString(); };
    try {
      const answer = await api(query("/api/v1/season", { figure: chosen.figure, by: chosen.by, from: bound(chosen.from, 0), to: bound(chosen.to, 1), timezone: Intl.DateTimeFormat().resolvedOptions().timeZone }), { signal: abort.signal });
      draw(answer);
    } catch (err) {
      if (err.name !== "AbortError") toast(err.message, "error");
    }
  }

  function draw({ groups, without, more }) {
    const [, title, stored, digits] = FIGURES.find(([name]) => name === chosen.figure);
    const write = (v) => (v == null ? NONE : chosen.figure === "duration_s" ? duration(v) : figure(v, stored, digits)), unit = shownUnit(stored);
    const n = new Set(groups.flatMap((g) => g.runs.map((run) => run.session_id))).size;
    status.textContent = [`${n} ${n === 1 ? "run" : "runs"}`, without > 0 && `${without} without this figure`, more && "further, older ones are left out"].filter(Boolean).join(", ");
    if (!groups.length) return void replace(body, h("div", { class: "empty" }, h("p", null, "No run of these days has this figure.")));
    const th = (text, n = true) => h("th", { scope: "col", class: n && "n" }, text);
    replace(body, h("div", { class: "card" }, plot(groups.slice(0, MOST), chosen.by, title, unit, write)),
      h("div", { class: "card table-card scroll", tabindex: "0", role: "region", "aria-label": "Figures" }, h("table", null, h("caption", { class: "sr" }, `${title} by ${chosen.by}`),
        h("thead", null, h("tr", null, th(factors.find(([name]) => name === chosen.by)?.[1] ?? chosen.by.slice(6), false), th("Runs"), th(`Mean, ${unit}`), th("Spread"), th("Lowest"), th("Median"), th("Highest"))),
        h("tbody", null, groups.map((g) => h("tr", null, h("th", { scope: "row" }, h("details", { class: "plain-details" }, h("summary", null, h("bdi", null, label(chosen.by, g.value))),
          h("ul", { class: "season-runs" }, g.runs.slice(0, LISTED).map((run) => h("li", null, h("a", { href: `/runs/${encodeURIComponent(run.session_id)}`, dir: "auto" }, run.session_name || run.session_id), h("span", { class: "muted" }, ` ${date(new Date(run.began_at))}, ${write(run.figure)}`))), g.runs.length > LISTED && h("li", { class: "muted" }, `and ${g.runs.length - LISTED} more`)))),
          h("td", { class: "n" }, num(g.n)), ...[g.mean, g.spread, g.low, g.median, g.high].map((v) => h("td", { class: "n" }, write(v)))))))),
      h("p", { class: "muted small" }, "Each run counts once. The spread is the standard deviation of the runs' figures; in the plot it is the bar around the mean."));
  }

  load();
  return () => abort.abort();
}

// plot draws a line for each group: a dot for each run, the mean, and a bar as long
// as the spread on either side.
function plot(groups, by, title, unit, write) {
  const all = groups.flatMap((g) => [g.low, g.high, g.mean + (g.spread ?? 0), g.mean - (g.spread ?? 0)]);
  const low = Math.min(...all), high = Math.max(...all), span = high - low || Math.abs(high) || 1;
  const LEFT = 190, WIDTH = 900, ROW = 34, at = (v) => LEFT + 12 + ((v - low) / span) * (WIDTH - LEFT - 40);
  const height = groups.length * ROW + 34;
  const ticks = Array.from({ length: 5 }, (_, i) => low + (span * i) / 4);
  const clip = (text) => ([...text].length > 24 ? `${[...text].slice(0, 23).join("")}…` : text);
  return svg("svg", { class: "season-plot", viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": `${title}, ${unit}: ${groups.map((g) => `${label(by, g.value)} mean ${write(g.mean)} of ${g.n}`).join("; ")}` },
    ticks.map((v) => [svg("line", { class: "grid", x1: at(v), x2: at(v), y1: 6, y2: height - 24 }), svg("text", { x: at(v), y: height - 8, "text-anchor": "middle" }, write(v))]),
    groups.map((g, i) => {
      const y = i * ROW + ROW / 2 + 6, spread = g.spread ?? 0;
      return svg("g", null,
        svg("text", { class: "name", x: LEFT - 8, y: y + 4, "text-anchor": "end" }, clip(label(by, g.value)), svg("title", null, label(by, g.value))),
        svg("rect", { class: "spread", x: at(g.mean - spread), width: Math.max(1, at(g.mean + spread) - at(g.mean - spread)), y: y - 7, height: 14, rx: 4 }),
        g.runs.slice(0, 500).map((run, k) => svg("circle", { cx: at(run.figure), cy: y + ((k * 5) % 11) - 5, r: 3.4 }, svg("title", null, `${run.session_name || run.session_id}: ${write(run.figure)}`))),
        svg("line", { class: "mean", x1: at(g.mean), x2: at(g.mean), y1: y - 12, y2: y + 12 }));
    }));
}
