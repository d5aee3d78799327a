// The figures of a run at the head of its page.

import { h, replace } from "./dom.js";
import { duration, num, NONE } from "./format.js";
import { figure, shownUnit, withUnit } from "./units.js";

// fillTiles fills a list with what a summary says.
export function fillTiles(node, s) {
  const tile = (name, v, unit, sent, of) => h("div", { class: "tile" }, h("dt", null, name), h("dd", null, v, v !== NONE && unit && h("span", { class: "unit" }, unit)),
    sent != null && h("dd", { class: "sent", title: s.sent.why }, `car: ${sent}`), v !== NONE && of && h("dd", { class: "sent" }, of));
  const gaps = (s.gaps?.length || 0) + (s.gaps_omitted || 0);
  const back = (s.clock_steps?.length || 0) + (s.clock_steps_omitted || 0);
  const strays = (s.strays || []).reduce((n, group) => n + group.records, 0);
  replace(node,
    tile("Distance", num(s.distance_km, 2), "km", s.sent?.distance_km != null ? `${num(s.sent.distance_km, 2)} km` : null),
    tile("Energy", figure(s.energy_wh, "Wh", 1), shownUnit("Wh"), s.sent?.energy_wh != null ? withUnit(s.sent.energy_wh, "Wh", 1) : null), tile("Efficiency", num(s.efficiency_km_kwh, 1), "km/kWh"),
    tile("Average speed", figure(s.avg_speed_kmh, "km/h", 1), shownUnit("km/h"), null, "while moving"), tile("Top speed", figure(s.max_speed_kmh, "km/h", 1), shownUnit("km/h")),
    tile("Average power", num(s.avg_power_w), "W"), tile("Peak power", num(s.max_power_w), "W"),
    tile("Gaps", num(gaps), s.longest_gap_s > 0 && gaps ? `longest ${duration(s.longest_gap_s)}` : ""),
    back > 0 && tile("Clock stepped back", num(back), back === 1 ? "time" : "times"), strays > 0 && tile("Far from the rest", num(strays), "records"));
}
