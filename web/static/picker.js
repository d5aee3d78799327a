// The choice of metrics, with their units, in a dialog.

import { dialog, h, replace } from "./dom.js";
import { label, unit } from "./format.js";

const groups = [
  ["Motion", /^(speed|distance|route|avg_speed|max_speed|vehicle_heading)/],
  ["Power and energy", /^(voltage|current_a|power|avg_power|avg_voltage|avg_current|max_power|max_current|energy|cumulative)/],
  ["Efficiency", /(eff_|efficiency|optimal)/],
  ["Driver", /^(throttle|brake|steering)/],
  ["Motor", /^(motor|vesc)/],
  ["Dynamics", /(accel|gyro|g_force)/],
  ["Position", /^(latitude|longitude|altitude|elevation)/],
  ["Other", /./],
];

// pick lets the person choose; apply gets the names whenever the choice changes.
// present tells which fields the run has values of.
export function pick(fields, chosen, present, apply) {
  const picked = new Set(chosen);
  const box = h("input", { type: "search", id: "metric-search", placeholder: "Name or unit", autocomplete: "off" });
  const list = h("div", { class: "picker" });
  const some = present.size > 0;
  const groupOf = (f) => groups.find(([, pattern]) => pattern.test(f.name))[0];

  function draw() {
    const word = box.value.trim().toLowerCase();
    const shown = fields.filter((f) => f.charted && (!word || `${label(f.name)} ${f.name} ${f.meaning} ${unit(f.unit)}`.toLowerCase().includes(word)));
    replace(list, groups.map(([name]) => {
      const members = shown.filter((f) => groupOf(f) === name).sort((a, b) => present.has(b.name) - present.has(a.name));
      return members.length ? h("fieldset", null, h("legend", null, name), members.map(option)) : null;
    }));
    if (!shown.length) list.append(h("p", { class: "muted" }, "No metric matches."));
  }

  function option(f) {
    const input = h("input", { type: "checkbox", checked: picked.has(f.name), value: f.name });
    input.addEventListener("change", () => {
      input.checked ? picked.add(f.name) : picked.delete(f.name);
      apply([...picked]);
    });
    const has = !some || present.has(f.name);
    return h("label", { class: `option${has ? "" : " absent"}`, title: f.meaning }, input,
      h("span", { class: "name" }, label(f.name)), h("span", { class: "unit" }, unit(f.unit)),
      h("span", { class: "hint" }, has ? f.meaning : `${f.meaning} (not in this run)`));
  }

  box.addEventListener("input", draw);
  draw();
  const node = dialog("Metrics",
    h("div", { class: "field" }, h("label", { for: "metric-search" }, "Find a metric"), box), list,
    h("div", { class: "dialog-foot" }, h("button", { class: "button", type: "button", on: { click: () => node.close() } }, "Done")));
  return node;
}
