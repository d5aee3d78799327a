// Laps, stints with their stops, and driver modes of a run.

import { h, replace } from "./dom.js";
import { hue } from "./charts.js";
import { clock, clockSpan, duration, num } from "./format.js";
import { figure, shownUnit } from "./units.js";

// listLaps fills a node with them; goTo is called with the part that the person
// wants to see in the charts.
export function listLaps(node, { laps = [], stints = [], stops = [], driver_modes: modes = [] }, goTo) {
  node.hidden = !laps.length && !stints.length;
  if (node.hidden || node.contains(document.activeElement)) return;
  const th = (text, n) => h("th", { scope: "col", class: n && "n" }, text);
  const show = (part, name, text, extra) => h("th", { scope: "row" }, h("button", { type: "button", "aria-label": `Show ${name} in the charts`, on: { click: () => goTo(part) } }, text), extra);
  const mark = (text, sign) => h("abbr", { class: "mark-best", title: text, "aria-label": text }, sign);
  const figures = (p) => [h("td", { class: "n" }, clockSpan(p.seconds, 1)), h("td", { class: "n" }, figure(p.avg_speed_kmh, "km/h", 1)), h("td", { class: "n" }, figure(p.energy_wh, "Wh", 1)), h("td", { class: "n" }, num(p.efficiency_km_kwh))];
  const table = (caption, first, rows) => h("div", { class: "laps", tabindex: "0", role: "region", "aria-label": caption }, h("table", null, h("caption", { class: "sr" }, `${caption}; choose one to see it in the charts`),
    h("thead", null, h("tr", null, th(first), th("Time", 1), th(shownUnit("km/h"), 1), th(shownUnit("Wh"), 1), th("km/kWh", 1))), h("tbody", null, rows)));
  const open = new Set([...node.querySelectorAll("details[open]")].map((d) => d.className));
  const more = (name, title, ...content) => h("details", { class: name, open: open.has(name) }, h("summary", null, title), ...content);
  replace(node, h("h2", { id: "laps-title" }, laps.length ? `Laps (${laps.length})` : "Stints"),
    laps.length > 0 && table("Laps", "Lap", laps.map((lap) => h("tr", { class: lap.time_rank === 1 && "best" },
      show(lap, `lap ${lap.lap}`, String(lap.lap), [lap.time_rank === 1 && mark("quickest lap", "▲"), lap.efficiency_rank === 1 && mark("most efficient lap", "●"), lap.paused_s > 0 && mark(`with a pause of ${duration(lap.paused_s)}, not ranked`, "Ⅱ")]), figures(lap)))),
    stints.length > 0 && more("stints", `${stints.length} ${stints.length === 1 ? "stint" : "stints"}, ${stops.length} ${stops.length === 1 ? "stop" : "stops"}`,
      table("Stints", "Stint", stints.map((stint) => h("tr", null, show(stint, `stint ${stint.stint}`, String(stint.stint)), figures(stint)))),
      stops.length > 0 && h("p", { class: "pad muted small" }, "Stops: ", stops.slice(0, 12).map((stop, i) => [i ? ", " : "", h("button", { type: "button", class: "link", on: { click: () => goTo(stop) } }, `${clock(Date.parse(stop.from), 60)} for ${duration(stop.seconds)}`)]))),
    modes.length > 0 && more("modes", "Driver modes", h("ul", { class: "shares" }, modes.filter((m) => m.share > 0).map((m, i) => {
      const bar = h("span", { class: "share-bar", "aria-hidden": "true" });
      bar.style.width = `${Math.max(1, m.share * 100)}%`;
      bar.style.background = hue(i);
      return h("li", null, h("span", null, m.driver_mode), h("span", { class: "n muted" }, `${num(m.share * 100)} %, ${duration(m.seconds)}`), bar);
    }))));
}
