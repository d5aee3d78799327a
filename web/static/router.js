// Addresses of the page. Handler in web.go serves the index page at each.

import { announce } from "./dom.js";
import { unitsKnown } from "./units.js";

const routes = [
  [/^\/(?:index\.html)?$/, () => import("./runs.js")],
  [/^\/runs\/([^/]+)$/, () => import("./run.js")],
  [/^\/runs\/([^/]+)\/brief$/, () => import("./brief.js")],
  [/^\/season$/, () => import("./season.js")],
  [/^\/compare$/, () => import("./compare.js")],
  [/^\/(signin|signup|account)$/, () => import("./signin.js")],
  [/^\/admin\/(users|channels|keys|audit)$/, () => import("./admin.js")],
];

let leave = null; // ends the page that is shown
let shown = ""; // its path
let turn = 0;

// show renders the page of the current address into main. A page's module has
// render(main, context), which returns a function that ends it; that may have turn(params),
// which shows what another query of the same path says.
export async function show({ focus = true } = {}) {
  const mine = ++turn;
  const main = document.getElementById("main");
  if (!main) return location.reload(); // a brief has taken the page's place
  leave?.();
  leave = null;
  main.replaceChildren();
  const path = (shown = location.pathname);
  document.dispatchEvent(new CustomEvent("navigate"));
  for (const [pattern, load] of routes) {
    const match = pattern.exec(path);
    if (!match) continue;
    try {
      const [module] = await Promise.all([load(), unitsKnown()]);
      if (mine !== turn) return;
      const end = module.render(main, { args: match.slice(1).map(decodeURIComponent), params: new URLSearchParams(location.search) });
      if (mine !== turn) return void end?.(); // it sent us elsewhere
      leave = end;
    } catch (err) {
      if (mine !== turn) return;
      const note = document.createElement("p");
      note.className = "notice error";
      note.textContent = `This page could not be shown: ${err.message}`;
      main.replaceChildren(note);
    }
    if (focus) {
      main.focus({ preventScroll: true });
      scrollTo(0, 0);
      announce(document.title);
    }
    return;
  }
  history.replaceState(null, "", "/");
  show({ focus });
}

// go leads to another page; from signing in one comes back.
export function go(url) {
  if (url === "/signin" && !/^\/(sign|account)/.test(location.pathname)) url += `?next=${encodeURIComponent(location.pathname + location.search)}`;
  history.pushState(null, "", url);
  show();
}

// setParams changes the query of the current address without leaving the page; after a
// step, Back leads to the address as it was.
export function setParams(params, step) {
  const q = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(params)) {
    if (value == null || value === "") q.delete(name);
    else q.set(name, value);
  }
  const text = q.toString().replaceAll("%2C", ",");
  const url = location.pathname + (text ? `?${text}` : "");
  if (step && url !== location.pathname + location.search) history.pushState({ step: (history.state?.step || 0) + 1 }, "", url);
  else history.replaceState(history.state, "", url);
}

export const setTitle = (title) => { document.title = `${title} · telemetryd`; };

export function start() {
  document.addEventListener("click", (e) => {
    const link = e.target.closest?.("a[href]");
    if (!link || e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || link.target || link.hasAttribute("download")) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || url.hash || /^\/(api|assets|docs)\b/.test(url.pathname)) return;
    e.preventDefault();
    go(url.pathname + url.search);
  });
  addEventListener("popstate", () => (leave?.turn && location.pathname === shown ? leave.turn(new URLSearchParams(location.search)) : show()));
  show({ focus: false });
}
