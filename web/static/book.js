// What the run book says of a run.

import { h, replace, toast } from "./dom.js";
import { FACTORS } from "./seek.js";

// showBook fills a node with what is said of a run; saved is called with the run as
// it is after a change.
export function showBook(node, run, mayEdit, saved) {
  const { book } = run;
  const facts = [...FACTORS.filter(([by]) => by !== "tag").map(([by, name]) => [name, book[by]]), ["Tags", book.tags.join(", ")], ...Object.entries(book.fields)].filter(([, value]) => value);
  node.hidden = !facts.length && !mayEdit;
  if (node.contains(document.activeElement) && node.childElementCount) node.querySelector("button")?.blur();
  replace(node, facts.length ? h("dl", null, facts.map(([name, value]) => h("div", null, h("dt", { dir: "auto" }, name), h("dd", { dir: "auto" }, value)))) : h("p", { class: "muted" }, "Nobody has said yet who drove, or on what."),
    mayEdit && h("button", { type: "button", class: "button secondary small", on: { click: () => import("./bookform.js").then(({ edit }) => edit(run, saved)).catch((err) => toast(err.message, "error")) } }, "Run book…"));
}
