// What driving took, by a model that the server fits to the run, and what would have
// saved some of it.

import { h, replace } from "./dom.js";
import { hue } from "./chart.js";
import { api, sessionPath } from "./api.js";
import { num, withError } from "./format.js";
import { conversion, figure, shownUnit } from "./units.js";

const words = (term) => term.replaceAll("_", " ");
const laps = (n) => `${n} ${n === 1 ? "lap" : "laps"}`;
const ADVICE = 6; // that are shown

function within(v, off) {
  const { factor } = conversion("Wh");
  return `${off > 0 ? withError(v * factor, off * factor) : figure(v, "Wh", 1)} ${shownUnit("Wh")}`;
}

// show fills a node; goTo shows a part of the run.
export async function show(node, id, goTo) {
  let a;
  try { a = await api(sessionPath(id, "/energy")); } catch (err) { return void replace(node, h("p", { class: "problem", role: "alert" }, err.message)); }
  const { model, run, score, advice } = a;
  if (!model) return void replace(node, h("p", { class: "pad muted small" }, `No model of what driving took: ${a.why}.`));
  const parts = [...run.terms.map((t) => [words(t.term), t.energy_wh, t.error_wh]), ["standing", run.standing_wh, 0], ["brakes, and the rest", run.rest_wh, run.error_wh]];
  const out = model.left_out.map((l) => words(l.term)).join(" and ");
  replace(node,
    h("ul", { class: "shares" }, parts.map(([name, wh, off], i) => {
      const bar = h("span", { class: "share-bar", "aria-hidden": "true" }), share = (wh / run.energy_wh) * 100;
      bar.style.width = `${Math.min(100, Math.max(1, share))}%`;
      bar.style.background = hue(i);
      return h("li", null, h("span", null, name), h("span", { class: "n muted" }, `${num(share)} %, ${within(wh, off)}`), bar);
    })),
    h("p", { class: "pad small" }, score ? `At an even speed in the same time, ${laps(score.laps)} would have taken ${withError(score.percent, score.error)} % of what they did. ` : `No score: ${a.why}. `,
      h("span", { class: "muted" }, `R² ${num(model.r2, 3)} of ${model.intervals} intervals${out && `; the data do not tell ${out}`}.`)),
    advice.length > 0 && h("ul", { class: "shares", "aria-label": "What would have saved energy" }, advice.slice(0, ADVICE).map((one) => h("li", null, h("span", null,
      `${one.name} ${one.kind === "as_in_lap" ? "as in" : "at an even speed, unlike"} `, h("button", { type: "button", class: "link", on: { click: () => goTo({ from: one.from, seconds: (Date.parse(one.to) - Date.parse(one.from)) / 1000 }) } }, `lap ${one.lap}`),
      `: ${within(one.saving_wh, one.error_wh)} less in ${laps(one.laps)}`)))));
}
