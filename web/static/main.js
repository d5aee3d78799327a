// The page's frame: header, menus, and the start of the router.

import { h, svg, icon, replace } from "./dom.js";
import { currentUser, isAdmin, loadUser, onAccount, signOut } from "./account.js";
import { show, start } from "./router.js";
import { themeButton } from "./theme.js";
import { loadUnits } from "./units.js";

const theme = themeButton();

const here = (path) => (path === "/" ? location.pathname === "/" || location.pathname.startsWith("/runs/") : location.pathname.startsWith(path));
const link = (path, text) => h("a", { href: path, "aria-current": here(path) && "page" }, text);

// waiting is how many wait for access, which administrators see.
let waiting = 0;
let watched = "";
function watch() {
  const who = isAdmin() ? currentUser().user_id : "";
  if (who === watched) return;
  watched = who;
  waiting = 0;
  import("./waiting.js").then((m) => m.watchWaiting((n) => { waiting = n; badge(); }));
}
function badge() {
  const node = document.getElementById("waiting");
  if (node) replace(node, waiting > 0 && h("span", { class: "badge live" }, waiting, h("span", { class: "sr" }, " waiting for access")));
}

function header() {
  const user = currentUser();
  replace(document.getElementById("header"),
    h("a", { class: "brand", href: "/", "aria-label": "telemetryd, all runs" },
      svg("svg", { viewBox: "0 0 32 32", class: "mark", "aria-hidden": "true" }, svg("path", { d: "M2 18h6l3.500-9L17 26l5-13 2.500 5H30" })),
      h("span", null, "telemetryd")),
    h("nav", { "aria-label": "Pages" },
      link("/", "Runs"), link("/compare", "Compare"), user && user.role !== "guest" && link("/season", "Season"),
      isAdmin() && h("a", { href: "/admin/users", "aria-current": location.pathname.startsWith("/admin/") && "page" }, "Admin ", h("span", { id: "waiting" })),
      user?.factorRequired && h("a", { href: "/account" }, "Set up your second factor")),
    h("div", { class: "tools" },
      theme,
      user
        ? [h("a", { class: "who", href: "/account", title: `${user.email} (${user.role})` }, icon("user"), h("span", null, user.name || user.email),
          user.notices > 0 && h("b", { class: "badge live", title: "Changes of your account" }, user.notices)),
          h("button", { class: "quiet sign-out", type: "button", on: { click: signOut } }, "Sign out")]
        : h("a", { class: "button small", href: "/signin" }, "Sign in")));
  badge();
}

document.addEventListener("navigate", header);
header();
loadUnits(); // which pages wait for, beside their module
await loadUser();
watch();
onAccount(() => { watch(); loadUnits(); show({ focus: false }); });
start();
