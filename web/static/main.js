// The page's frame: header, menus, and the start of the router.

import { h, svg, icon, replace } from "./dom.js";
import { currentUser, isAdmin, loadUser, onAccount, signOut } from "./account.js";
import { show, start } from "./router.js";
import { themeButton } from "./theme.js";

const theme = themeButton();

const here = (path) => (path === "/" ? location.pathname === "/" || location.pathname.startsWith("/runs/") : location.pathname.startsWith(path));
const link = (path, text) => h("a", { href: path, "aria-current": here(path) && "page" }, text);

function header() {
  const user = currentUser();
  replace(document.getElementById("header"),
    h("a", { class: "brand", href: "/", "aria-label": "telemetryd, all runs" },
      svg("svg", { viewBox: "0 0 32 32", class: "mark", "aria-hidden": "true" }, svg("path", { d: "M2 18h6l3.500-9L17 26l5-13 2.500 5H30" })),
      h("span", null, "telemetryd")),
    h("nav", { "aria-label": "Pages" },
      link("/", "Runs"), link("/compare", "Compare"),
      isAdmin() && h("a", { href: "/admin/users", "aria-current": location.pathname.startsWith("/admin/") && "page" }, "Admin")),
    h("div", { class: "tools" },
      theme,
      user
        ? [h("a", { class: "who", href: "/account", title: `${user.email} (${user.role})` }, icon("user"), h("span", null, user.name || user.email)),
          h("button", { class: "quiet sign-out", type: "button", on: { click: signOut } }, "Sign out")]
        : h("a", { class: "button small", href: "/signin" }, "Sign in")));
}

document.addEventListener("navigate", header);
header();
await loadUser();
onAccount(() => { header(); show({ focus: false }); });
start();
