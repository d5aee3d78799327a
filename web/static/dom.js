// Small helpers to make elements. Text is always set as text: nothing here, and
// nothing in the page, parses HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value == null || value === false) continue;
    if (name === "class") node.setAttribute("class", value);
    else if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (name === "value" || name === "checked" || name === "disabled" || name === "selected" || name === "indeterminate") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((c) => c != null && c !== false));
  return node;
}

// h makes an element: h("p", {class: "note", on: {click}}, "text", child).
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

// svg makes an SVG element.
export const svg = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

const shapes = {
  sun: "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10M12 2v2M12 20v2M2 12h2M20 12h2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  auto: "M12 3a9 9 0 1 0 0 18V3zM12 3a9 9 0 0 1 0 18",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M15.5 15.5 20 20",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  reset: "M4 12h16M4 12l4-4M4 12l4 4M20 12l-4-4M20 12l-4 4",
  left: "M14.5 5.5 8 12l6.5 6.5",
  right: "M9.5 5.5 16 12l-6.5 6.5",
  close: "M6 6l12 12M18 6 6 18",
  down: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  pin: "M9 4h6l-1 7 3 3H7l3-3zM12 14v6",
  page: "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6",
  table: "M4 5h16v14H4zM4 10h16M4 14.5h16M10 5v14",
  sliders: "M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4",
  compare: "M4 17c4 0 4-10 8-10s4 10 8 10M4 12c3 0 4-5 8-5",
  key: "M14.5 4a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11M10.5 13.5 4 20M6.5 17.5l2 2",
  user: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8M4.5 20c1-4 4-5.5 7.5-5.5s6.500 1.500 7.500 5.500",
  list: "M4 6h16M4 12h16M4 18h10",
  up: "M6 14.5 12 8l6 6.5",
  below: "M6 9.5l6 6.5 6-6.5",
  more: "M4 12a1 1 0 1 0 2 0 1 1 0 1 0-2 0M11 12a1 1 0 1 0 2 0 1 1 0 1 0-2 0M18 12a1 1 0 1 0 2 0 1 1 0 1 0-2 0",
  layout: "M4 5h16v14H4zM4 12h16M12 12v7",
  clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 8v4.500l3 2",
};

// icon draws one of the shapes; it says nothing to screen readers.
export const icon = (name) => svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" }, svg("path", { d: shapes[name] }));

// clear empties a node and fills it anew.
export function replace(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((c) => c != null && c !== false));
  return node;
}

// saveBlob has the browser keep a blob as a file.
export function saveBlob(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// announce tells screen readers something, without moving the focus.
let announcing;
export function announce(text) {
  clearTimeout(announcing);
  announcing = setTimeout(() => { document.getElementById("status").textContent = text; }, 120);
}

// toast shows a notice for a while and returns what takes it away. Errors stay
// until they are dismissed.
export function toast(text, kind = "info") {
  const close = () => node.remove();
  const node = h("div", { class: `toast ${kind}`, role: kind === "error" ? "alert" : "status" },
    h("span", null, text),
    h("button", { class: "plain", type: "button", "aria-label": "Dismiss", on: { click: close } }, icon("close")));
  document.getElementById("toasts").append(node);
  if (kind !== "error") setTimeout(close, 5000);
  return close;
}

// css reads a custom property, for what is drawn on a canvas.
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// dialog shows a modal with a title; done() closes it. The browser keeps the
// focus inside and gives it back.
export function dialog(title, ...content) {
  const node = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" },
    h("div", { class: "dialog-head" }, h("h2", { id: "dialog-title" }, title),
      h("button", { class: "plain", type: "button", "aria-label": "Close", on: { click: () => node.close() } }, icon("close"))),
    ...content);
  node.addEventListener("close", () => node.remove());
  node.addEventListener("click", (e) => { if (e.target === node) node.close(); });
  document.body.append(node);
  node.showModal();
  return node;
}
