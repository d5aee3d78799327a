// The choice of metrics, with their units, in a dialog.

import { dialog, h, replace } from "./dom.js";
import { isState, matching } from "./channels.js";
import { title, unit } from "./format.js";

const OTHER = "Other";
const groups = [
  ["Motion", /^(speed|distance|route|avg_speed|max_speed|vehicle_heading)/],
  ["Power and energy", /^(voltage|current_a|power|avg_power|avg_voltage|avg_current|max_power|max_current|energy|cumulative)/],
  ["Efficiency", /(eff_|efficiency|optimal)/],
  ["Driver", /^(throttle|brake|steering)/],
  ["Motor", /^(motor|vesc)/],
  ["Dynamics", /(accel|gyro|g_force)/],
  ["Position", /^(latitude|longitude|altitude|elevation)/],
  [OTHER, /./],
];
const groupOf = (c) => c.section || groups.find(([, pattern]) => pattern.test(c.name))[0];

// sections are the groups in their order: those that the team named stand before
// what belongs nowhere.
function sections(channels) {
  const usual = groups.map(([name]) => name);
  const own = new Set(channels.map(groupOf).filter((name) => !usual.includes(name)));
  return [...usual.slice(0, -1), ...[...own].sort((a, b) => a.localeCompare(b)), OTHER];
}

// pick lets the person choose; apply gets the names whenever the choice changes.
// channels() lists what there is, present tells which of it the run has values of.
// The dialog's refresh shows what is there by now.
export function pick(channels, chosen, present, apply) {
  const picked = new Set(chosen);
  const box = h("input", { type: "search", id: "metric-search", placeholder: "Name, meaning or unit", autocomplete: "off" });
  const list = h("div", { class: "picker" });

  function draw() {
    const matches = matching(box.value, (c) => [groupOf(c), isState(c) && "state"]);
    const shown = channels().filter((c) => !c.hidden && matches(c));
    const focused = list.contains(document.activeElement) && document.activeElement.value;
    replace(list, sections(shown).map((name) => {
      const members = shown.filter((c) => groupOf(c) === name).sort((a, b) => present.has(b.name) - present.has(a.name));
      return members.length ? h("fieldset", null, h("legend", null, name), members.map(option)) : null;
    }));
    if (!shown.length) list.append(h("p", { class: "muted" }, "No metric matches."));
    if (focused) list.querySelector(`input[value="${focused}"]`)?.focus();
  }

  function option(c) {
    const input = h("input", { type: "checkbox", checked: picked.has(c.name), value: c.name });
    input.addEventListener("change", () => {
      input.checked ? picked.add(c.name) : picked.delete(c.name);
      apply([...picked]);
    });
    const has = !present.size || present.has(c.name);
    return h("label", { class: `option${has ? "" : " absent"}`, title: c.meaning }, input,
      h("span", { class: "name" }, title(c)), h("span", { class: "unit" }, isState(c) ? "state" : unit(c.unit)),
      h("span", { class: "hint" }, [c.meaning || c.name, !has && "(not in this run)"].filter(Boolean).join(" ")));
  }

  box.addEventListener("input", draw);
  draw();
  const node = dialog("Metrics",
    h("div", { class: "field" }, h("label", { for: "metric-search" }, "Find a metric"), box), list,
    h("div", { class: "dialog-foot" }, h("button", { class: "button", type: "button", on: { click: () => node.close() } }, "Done")));
  if (matchMedia("(hover: hover)").matches) box.focus(); // on a phone, keys would hide the list
  node.refresh = draw;
  return node;
}
