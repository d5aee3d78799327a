// Members of a run's records that became no channel, with the reason, and channels
// that take longer to draw.

import { h, replace } from "./dom.js";
import { count } from "./format.js";

export function listOthers(node, others, slow) {
  const open = !!node.querySelector("details[open]");
  const focused = node.contains(document.activeElement);
  replace(node,
    slow.length > 0 && h("p", { class: "pad muted small" }, `Drawn from the records, which takes longer: ${slow.join(", ")}.`),
    others.length > 0 && h("details", { open }, h("summary", null, `${count(others.length)} ${others.length === 1 ? "member of the records has" : "members of the records have"} no channel`),
    h("p", { class: "pad muted small" }, "They are kept with their records and are in exports, but cannot be drawn."),
    h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Members without a channel, as a table" }, h("table", { class: "values" },
      h("thead", null, h("tr", null, ["Member", "Records", "Why"].map((text) => h("th", { scope: "col", class: text === "Records" && "n" }, text)))),
      h("tbody", null, others.map((o) => h("tr", null, h("th", { scope: "row" }, o.member), h("td", { class: "n" }, count(o.records)), h("td", null, o.reason))))))));
  if (focused) node.querySelector("summary")?.focus();
}
