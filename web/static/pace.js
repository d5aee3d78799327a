// What a run may still spend: its lap, its allowance and its plan, at the pace of its last laps.

import { announce, h, replace } from "./dom.js";
import { api, sessionPath } from "./api.js";
import { clock, clockSpan, duration, km, num, NONE } from "./format.js";
import { figure, shownUnit, withUnit } from "./units.js";

const off = (v, digits = 0) => (v == null ? "" : ` ± ${num(v, digits)}`);
const span = (s, error) => `${clockSpan(s)}${error ? ` ± ${error < 99.5 ? `${num(error)} s` : clockSpan(error)}` : ""}`;
const takes = (s, error) => (error == null ? roughly(s) : span(s, error));
const ofEnergy = (text, plan) => (plan.plan_energy_wh == null ? `${text} ${shownUnit("Wh")}` : `${text} of ${withUnit(plan.plan_energy_wh, "Wh", Number.isInteger(plan.plan_energy_wh) ? 0 : 1)}`);
const ofTime = (text, plan) => (plan.plan_time_s == null ? text : `${text} of ${clockSpan(plan.plan_time_s)}`);
const wattHours = (v, error) => (v == null ? NONE : `${figure(v, "Wh", 1)}${error == null ? "" : ` ± ${figure(error, "Wh", 1)}`} ${shownUnit("Wh")}`);
const roughly = (s) => `about ${s < 120 ? clockSpan(s) : `${num(s / 60)} min`}`; // of which nobody knows the error
const at = (t) => (t ? clock(Date.parse(t), 60) : NONE);
const listed = (...parts) => parts.filter((part) => part && part !== NONE).join(" · ");

const VERDICTS = { yes: "suffices", no: "does not suffice", unsure: "may or may not suffice" }, OUTCOMES = { yes: "sufficed", no: "did not suffice" };

// Pace fills a node with it, and asks again when it is told to. edit opens the plan's form, for who may write it.
export class Pace {
  constructor(node, signal, edit) {
    Object.assign(this, { node, signal, shown: "", said: "" });
    this.button = edit && h("button", { type: "button", class: "button secondary small", on: { click: edit } }, "Plan…");
  }

  async load(run) {
    const answer = await api(sessionPath(run.session_id, "/pace"), { signal: this.signal }), text = JSON.stringify(answer);
    if (text === this.shown) return;
    this.shown = text;
    this.show(answer);
  }

  show(o) {
    const planned = Object.values(o.plan).some((v) => v != null), ended = o.state === "ended";
    this.node.hidden = !o.so_far || (ended && !planned);
    if (this.node.hidden) return;
    const said = ended ? "" : this.verdicts(o).map(([, , text]) => text).join("; ");
    if (said && this.said && said !== this.said) announce(said);
    this.said = said;
    const of = o.pace && !ended && `of the last ${o.pace.n === 1 ? o.pace.of.replace(/s$/, "") : `${o.pace.n} ${o.pace.of}`}`, tiles = this.tiles(o, ended).filter(Boolean);
    const focused = document.activeElement === this.button;
    replace(this.node, h("div", { class: "pace-head" }, h("h2", { id: "pace-title" }, !planned ? "Pace" : ended ? "The plan, and how it came out" : "What may still be spent", h("span", { class: "muted small" }, ` ${listed(of && (planned ? `at the pace ${of}` : of), o.state === "paused" && "the car stands")}`)), this.button),
      this.judged(o),
      this.tape(o),
      tiles.length > 0 && h("dl", { class: "tiles" }, tiles),
      this.reasons(o, planned, ended));
    if (focused) this.button.focus({ preventScroll: true });
  }

  // verdicts are whether energy and time suffice: what, yes or no, in words, and whether its error is known.
  verdicts({ goal: g, state }) {
    const words = g?.reached || state === "ended" ? OUTCOMES : VERDICTS;
    return [["Energy", g?.energy_suffices, g?.energy_error_wh], ["Time", g?.time_suffices, g?.seconds_error]].filter(([, said]) => said)
      .map(([what, said, error]) => (said === "unsure" && error == null ? [what, said, `${what}: too early to say`] : [what, said, `${what} ${words[said]}`, true]));
  }

  // judged are the verdicts, by how much where that is known.
  judged(o) {
    const g = o.goal, short = (margin, text) => margin != null && `: ${text(Math.abs(margin))} ${margin < 0 ? "short" : "left"}`;
    const list = this.verdicts(o).map(([what, said, text, known]) => h("span", { class: `verdict ${said}` }, text, known && (what === "Energy" ? short(g.energy_margin_wh, wattHours) : short(g.time_margin_s, clockSpan))));
    return list.length > 0 && h("p", { class: "verdicts" }, list);
  }

  tiles(o, ended) {
    const tile = (name, value, ...more) => h("div", { class: "tile" }, h("dt", null, name), [value].flat().filter(Boolean).map((text) => h("dd", null, text)), more.filter(Boolean).map((text) => h("dd", { class: "more" }, text)));
    const { pace: p, lap, left, allowance_over: over, goal: g, needed: n, plan } = o;
    const measured = g?.reached || ended, after = over && takes(over.seconds, over.error_s);
    return [
      !ended && lap?.remaining_s != null && (lap.ends_at ? tile(`Lap ${lap.lap} ends`, at(lap.ends_at), `in ${takes(lap.remaining_s, lap.error_s)}`) : tile(`Rest of lap ${lap.lap}`, takes(lap.remaining_s, lap.error_s), "once the car drives on")),
      left?.energy_wh != null && (over || !g?.energy_suffices || !measured) && tile(left.energy_wh < 0 ? "Energy over the plan" : "Energy left", left.energy_wh < 0 ? wattHours(-left.energy_wh) : ofEnergy(figure(left.energy_wh, "Wh", 1), plan), over && (over.spent ? `was over${over.at ? ` at ${at(over.at)}` : ""}` : !over.at ? (o.state === "paused" ? `over after ${after} of driving` : "over in more than 400 days") : over.error_s == null ? `over in ${after}` : `over at ${at(over.at)} · in ${after}`),
        over && (over.spent || over.error_s != null) && listed(over.laps != null && `after ${num(over.laps, 1)}${off(over.laps_error, 1)} laps`, km(over.distance_m))),
      this.needed(n, tile),
      !ended && p && tile("Lately", p.lap_wh ? `${wattHours(p.lap_wh.mean, p.lap_wh.spread)} a lap` : p.wh_per_km ? `${wattHours(p.wh_per_km.mean, p.wh_per_km.spread)} a km` : NONE, listed(p.lap_wh && p.wh_per_km && `${wattHours(p.wh_per_km.mean)} a km`, p.efficiency_km_kwh != null && `${num(p.efficiency_km_kwh, 1)} km/kWh`),
        listed(p.speed_kmh && `at ${withUnit(p.speed_kmh.mean, "km/h", 1)}`, p.lap_s && `${clockSpan(p.lap_s.mean, 1)}${p.lap_s.spread == null ? "" : `${off(p.lap_s.spread, 1)} s`} a lap`)),
      g && tile(`${{ laps: `${num(plan.plan_laps)} laps`, distance: `${km(plan.plan_distance_km * 1000)}`, time: clockSpan(plan.plan_time_s) }[g.of]}${g.reached ? `, reached at ${at(g.at)}` : ended ? ": not reached" : " at this pace"}`,
        [g.energy_wh != null && ofEnergy(measured ? figure(g.energy_wh, "Wh", 1) : g.energy_error_wh != null ? `${figure(g.energy_wh, "Wh", 1)} ± ${figure(g.energy_error_wh, "Wh", 1)}` : `about ${figure(g.energy_wh, "Wh", 0)}`, plan),
        g.of === "time" ? km(g.distance_m) : ofTime(measured ? clockSpan(g.seconds) : takes(g.seconds, g.seconds_error), plan)]),
    ];
  }

  needed(n, tile) {
    const quick = n?.speed_kmh != null && [`at least ${withUnit(n.speed_kmh, "km/h", 1)}`, n.lap_s != null && `at most ${clockSpan(n.lap_s, 1)} a lap`];
    if ((n?.wh_per_km ?? n?.wh_per_lap) == null) return quick && tile("Speed needed", ...quick);
    return tile("May be spent", n.wh_per_lap != null ? `${wattHours(n.wh_per_lap)} a lap` : `${wattHours(n.wh_per_km)} a km`, listed(n.wh_per_lap != null && n.wh_per_km != null && `${wattHours(n.wh_per_km)} a km`, n.efficiency_km_kwh != null && `${num(n.efficiency_km_kwh, 1)} km/kWh`), quick && listed(...quick));
  }

  // tape is how much of the energy is used, beside how much of the plan is driven. Its colour is the verdict.
  tape(o) {
    const { plan, so_far: s, left, goal, allowance_over: over } = o;
    if (!left) return null;
    const verdict = this.verdicts(o).find(([what, , , known]) => what === "Energy" && known)?.[1] ?? (over?.spent ? "no" : "");
    const used = plan.plan_energy_wh != null && s.energy_wh != null ? s.energy_wh / plan.plan_energy_wh : null;
    const driven = goal?.reached ? 1 : { laps: () => 1 - left.laps / plan.plan_laps, distance: () => 1 - left.distance_m / 1000 / plan.plan_distance_km, time: () => s.seconds / plan.plan_time_s }[goal?.of]?.();
    const share = (v) => Math.min(1, Math.max(0, v)) * 100, fill = h("span", { class: "tape-used" }), mark = h("span", { class: "tape-mark" });
    if (used != null) fill.style.width = `${share(used)}%`;
    if (driven != null) mark.style.left = `${share(driven)}%`;
    const bar = used != null, gone = driven != null && `${num(share(driven))} % of the ${goal.of} ${goal.of === "time" ? "gone" : "driven"}`;
    const text = listed(bar && `${num(used * 100)} % of the energy used`, gone && (bar ? `the mark in the bar: ${gone}` : gone),
      left.laps > 0 && `${num(left.laps, 1)} of ${num(plan.plan_laps)} laps left`, left.distance_m > 0 && `${num(left.distance_m / 1000, 2)} of ${km(plan.plan_distance_km * 1000)} left`, left.seconds != null && (left.seconds > 0 ? `${ofTime(clockSpan(left.seconds), plan)} left` : "the time is over"));
    return h("div", { class: "pad" }, bar && h("div", { class: `tape ${verdict}`, "aria-hidden": "true" }, fill, gone && mark), h("p", { class: "muted small" }, text));
  }

  // reasons say what is missing of what was asked for.
  reasons(o, planned, ended) {
    const { why, plan, so_far: s } = o;
    const asked = { pace: true, "lap.ends_at": !why.pace && o.state !== "paused", allowance_over: plan.plan_energy_wh != null && !ended, goal: planned && plan.plan_energy_wh == null, needed: planned && !ended && !why.goal };
    const texts = [...new Set(Object.entries(asked).filter(([name, wanted]) => wanted && why[name]).map(([name]) => why[name]))];
    if (s.silent_s >= 1) texts.push(`of ${duration(s.silent_s)} there are no records; what was used and driven then is not counted`);
    return texts.length > 0 && h("p", { class: "pad muted small" }, `${texts.join("; ").replace(/^./, (first) => first.toUpperCase())}.`);
  }
}
