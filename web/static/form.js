// Forms of the account: fields, what went wrong, and the focus where it helps.

import { h } from "./dom.js";

// field is a labelled input.
export const field = (label, props, hint) => {
  const id = `f-${props.name}`;
  return h("div", { class: "field" }, h("label", { for: id }, label),
    h("input", { id, required: true, "aria-describedby": hint && `${id}-hint`, ...props }),
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint));
};

// form sends its values with work, shows what went wrong, and keeps the focus
// where it helps.
export function form(title, submit, work, ...content) {
  const problem = h("p", { class: "problem", role: "alert" });
  const button = h("button", { class: "button wide", type: "submit" }, submit);
  const node = h("form", { class: "card form", novalidate: true, "aria-labelledby": "form-title" }, h("h1", { id: "form-title" }, title), ...content, problem, button);
  node.addEventListener("submit", async (e) => {
    e.preventDefault();
    const missing = [...node.elements].find((el) => !el.checkValidity());
    if (missing) {
      problem.textContent = `${missing.labels[0].textContent}: ${missing.validationMessage}`;
      missing.setAttribute("aria-invalid", "true");
      missing.focus();
      return;
    }
    problem.textContent = "";
    button.disabled = true;
    try {
      await work(Object.fromEntries(new FormData(node)), node);
    } catch (err) {
      problem.textContent = err.message;
      (node.querySelector(".field:not([hidden]) [name=code]") || node.querySelector("[type=password]"))?.focus();
    }
    button.disabled = false;
  });
  return node;
}

// section is a form below the page's own heading.
export function section(id, title, submit, work, ...content) {
  const node = form(title, submit, work, ...content);
  node.setAttribute("aria-labelledby", id);
  node.querySelector("h1").replaceWith(h("h2", { id }, title));
  return node;
}
