// What can be done with a chart, beside it: its height, its place, which channels it
// draws, and a picture of it.

import { announce, h, icon, replace, toast } from "./dom.js";
import { alone, SIZES, unfit } from "./arrange.js";
import { isState, matching } from "./channels.js";
import { title, unit } from "./format.js";

const FEW = 10; // channels that are listed without a search
const MOST = 60; // that are listed at once

// openMenu shows it for the chart that has a channel.
export function openMenu(stack, name) {
  const find = h("input", { type: "search", placeholder: "Find a channel", "aria-label": "Find a channel" });
  const list = h("div", { class: "menu-list" }), head = h("div", { class: "menu-head" });
  const node = h("div", { class: "menu card", popover: "auto", role: "dialog", "aria-label": `Arrange ${title(stack.metrics.find((m) => m.name === name))}` },
    head, stack.choices && h("fieldset", null, h("legend", null, "Channels in this chart"), find, list));
  const index = () => stack.arrangement.findIndex((chart) => chart.names.includes(name));
  const channels = () => [...new Map([...stack.metrics, ...stack.choices()].map((c) => [c.name, c])).values()];
  const button = (label, attributes, ...content) => h("button", { type: "button", class: "button secondary small", "data-is": label, ...attributes }, ...content);

  // put draws another arrangement; what has the focus keeps it.
  function put(charts, said) {
    const is = document.activeElement?.dataset.is;
    stack.onArrange(charts);
    draw();
    const again = [...node.querySelectorAll("[data-is]")].find((one) => one.dataset.is === is);
    (again && !again.disabled ? again : node.querySelector("button:not(:disabled)")).focus();
    announce(said);
    place();
  }

  function move(by) {
    const charts = [...stack.arrangement], at = index(), [chart] = charts.splice(at, 1);
    charts.splice(at + by, 0, chart);
    put(charts, `Chart ${at + by + 1} of ${charts.length}`);
    stack.charts.find((c) => c.place === chart)?.node.scrollIntoView({ block: "nearest" });
    place();
  }

  function size(to) {
    const at = index();
    put(stack.arrangement.map((chart, i) => (i === at ? { ...chart, size: to } : chart)), SIZES[to][0]);
  }

  // take has the chart draw a channel, which leaves the chart that it was in; leave
  // gives it one of its own, below.
  function take(other) {
    const at = index(), mine = stack.arrangement[at];
    const charts = stack.arrangement.map((chart) => (chart === mine ? { ...chart, names: [...chart.names, other] } : { ...chart, names: chart.names.filter((n) => n !== other) }));
    put(charts.filter((chart) => chart.names.length), "Drawn in this chart");
  }

  function leave(other) {
    const left = stack.arrangement.flatMap((chart, i) => (i === index() ? [{ ...chart, names: chart.names.filter((n) => n !== other) }, ...alone([other])] : [chart]));
    if (other === name) name = stack.arrangement[index()].names.find((n) => n !== other);
    put(left, "Drawn in a chart of its own");
  }

  function draw() {
    const at = index(), mine = stack.arrangement[at];
    if (!mine) return node.hidePopover();
    const drawn = stack.arrangement.filter((chart) => !chart.names.some((n) => isState(stack.metrics.find((m) => m.name === n)))), last = drawn.length - 1, place = drawn.indexOf(mine);
    const step = (by) => stack.arrangement.indexOf(drawn[place + by]) - at;
    replace(head,
      h("div", { class: "group", role: "group", "aria-label": "Height" }, Object.entries(SIZES).map(([key, [text]]) => button(text, { "aria-pressed": String(mine.size === key), on: { click: () => size(key) } }, text))),
      h("div", { class: "group", role: "group", "aria-label": "Place" },
        button("Move up", { disabled: place <= 0, "aria-label": "Move up", title: "Move up", on: { click: () => move(step(-1)) } }, icon("up")),
        button("Move down", { disabled: place >= last, "aria-label": "Move down", title: "Move down", on: { click: () => move(step(1)) } }, icon("below"))),
      button("Save as PNG", { title: "Save a picture of the chart", "aria-label": "Save as PNG", on: { click: () => import("./png.js").then(({ savePicture }) => savePicture(stack, stack.charts.find((c) => c.place === mine))).catch((err) => toast(err.message, "error")) } }, icon("down"), "PNG"));
    if (stack.choices) options(mine);
  }

  function options(mine) {
    const matches = matching(find.value, () => []), all = channels().filter((c) => !isState(c)), own = mine.names.map((n) => all.find((c) => c.name === n));
    const drawn = new Set(stack.metrics.map((m) => m.name));
    const order = (c) => (mine.names.includes(c.name) ? 0 : drawn.has(c.name) ? 1 : 2);
    const shown = all.filter((c) => mine.names.includes(c.name) || matches(c)).sort((a, b) => order(a) - order(b)).slice(0, MOST);
    find.hidden = all.length <= FEW;
    replace(list, shown.map((c) => {
      const inside = mine.names.includes(c.name), why = inside ? (own.length < 2 ? "the only one" : "") : unfit(own, c);
      const box = h("input", { type: "checkbox", checked: inside, disabled: !!why, "data-is": c.name });
      box.addEventListener("change", () => (box.checked ? take(c.name) : leave(c.name)));
      return h("label", { class: `option${why && !inside ? " absent" : ""}`, title: why || c.meaning }, box, h("span", { class: "name" }, title(c)), h("span", { class: "unit" }, unit(c.unit)), why && h("span", { class: "hint" }, why));
    }));
  }

  // opener is what opened it: of a chart as it is drawn by now.
  const opener = () => stack.charts.find((c) => c.readers.some(({ channel }) => channel.name === name))?.node.querySelector("[aria-haspopup]");
  function place() {
    const at = opener()?.getBoundingClientRect();
    if (!at) return;
    const { offsetWidth: w, offsetHeight: ht } = node, top = Math.max(60, Math.min(at.bottom + 4, innerHeight - ht - 8));
    node.style.left = `${Math.max(8, Math.min(at.right, innerWidth - 8) - w)}px`;
    node.style.top = `${top}px`;
  }

  find.addEventListener("input", () => options(stack.arrangement[index()]));
  node.addEventListener("toggle", (e) => {
    if (e.newState === "open") return;
    const lost = document.activeElement === document.body || node.contains(document.activeElement);
    node.remove();
    if (lost) opener()?.focus();
  });
  document.body.append(node);
  draw();
  node.showPopover();
  place();
  node.querySelector("button:not(:disabled)").focus();
}
