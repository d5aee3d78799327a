// Saved layouts of charts, kept with the account: how channels stand in charts, for any run.

import { announce, dialog, h, icon, replace, toast } from "./dom.js";
import { api } from "./api.js";
import { count } from "./format.js";

const BASE = "/api/v1/auth/layouts";
const SIZES = { s: "low", "": "usual", l: "tall" };
const sizeOf = (name) => Object.keys(SIZES).find((key) => SIZES[key] === name) ?? "";
const addressOf = (name) => `${BASE}/${encodeURIComponent(name)}`;

// openLayouts lists them; view has charts, as they are now, and use(charts), which gives
// how many channels there are of a layout's.
export async function openLayouts(view) {
  const { layouts } = await api(BASE);
  const list = h("ul", { class: "apps" });
  const name = h("input", { id: "layout-name", type: "text", maxlength: 60, required: true, autocomplete: "off" });
  const problem = h("p", { class: "problem", role: "alert" });
  const attempt = (work) => async (...args) => {
    problem.textContent = "";
    try { await work(...args); } catch (err) { problem.textContent = err.message; }
  };

  const use = (layout) => {
    const names = layout.charts.flatMap((chart) => chart.channels), found = view.use(layout.charts.map(({ channels, size }) => ({ names: channels, size: sizeOf(size) })));
    if (!found) return void (problem.textContent = `This run has no channel of “${layout.name}”.`);
    node.close();
    toast(found < names.length ? `“${layout.name}”: this run lacks ${count(names.length - found)} of its ${count(names.length)} channels.` : `“${layout.name}” is drawn.`);
  };

  const save = attempt(async () => {
    const saved = await api(addressOf(name.value.trim()), { method: "PUT", body: { charts: view.charts.map(({ names, size }) => ({ channels: names, size: SIZES[size] })) } });
    const at = layouts.findIndex((l) => l.name === saved.name);
    at < 0 ? layouts.push(saved) : (layouts[at] = saved);
    name.value = "";
    draw();
    announce(`“${saved.name}” is saved`);
  });

  const remove = attempt(async (layout) => {
    await api(addressOf(layout.name), { method: "DELETE" });
    layouts.splice(layouts.indexOf(layout), 1);
    draw();
    name.focus();
    announce(`“${layout.name}” is deleted`);
  });

  function draw() {
    replace(list, layouts.map((layout) => h("li", { class: "row-actions" },
      h("span", null, h("button", { class: "link", type: "button", on: { click: () => use(layout) } }, h("bdi", null, layout.name)),
        h("span", { class: "muted small" }, ` ${count(layout.charts.length)} ${layout.charts.length === 1 ? "chart" : "charts"}, ${count(layout.charts.flatMap((c) => c.channels).length)} channels`)),
      h("button", { class: "plain tiny", type: "button", "aria-label": `Delete ${layout.name}`, on: { click: () => remove(layout) } }, icon("close")))),
    !layouts.length && h("li", { class: "muted" }, "None is saved yet."));
  }

  draw();
  const form = h("form", { class: "inline-form flat" }, h("div", { class: "field" }, h("label", { for: "layout-name" }, "Keep the charts as they are now, under a name"), name), h("button", { class: "button secondary", type: "submit" }, "Save"));
  form.addEventListener("submit", (e) => { e.preventDefault(); save(); });
  const node = dialog("Layouts", list, form, problem);
}
