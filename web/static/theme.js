// Light and dark: the system's choice, unless the person made one.

import { h, icon, replace, announce } from "./dom.js";

const KEY = "telemetryd.theme";
const order = ["auto", "light", "dark"];
const icons = { auto: "auto", light: "sun", dark: "moon" };
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

const chosen = () => (order.includes(localStorage.getItem(KEY)) ? localStorage.getItem(KEY) : "auto");

function apply() {
  const choice = chosen();
  document.documentElement.dataset.theme = choice === "auto" ? (system.matches ? "dark" : "light") : choice;
  for (const listener of listeners) listener();
}

// onTheme calls back when colours changed, for what is drawn on a canvas.
export function onTheme(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function themeButton() {
  const button = h("button", { class: "plain", type: "button" });
  const show = () => {
    replace(button, icon(icons[chosen()]));
    const label = `Colours: ${chosen() === "auto" ? "as the system" : chosen()}`;
    button.setAttribute("aria-label", label);
    button.title = label;
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, order[(order.indexOf(chosen()) + 1) % order.length]);
    apply();
    show();
    announce(button.title);
  });
  show();
  return button;
}

system.addEventListener("change", apply);
apply();
