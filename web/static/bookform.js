// The form in which the run book is written.

import { dialog, h, replace, toast } from "./dom.js";
import { api, query, sessionPath } from "./api.js";
import { PLAN, called, planned, planTexts } from "./plan.js";
import { FACTORS, valuesOf } from "./seek.js";

const fieldsText = (fields) => Object.entries(fields).map(([name, value]) => `${name} = ${value}`).join("\n");

// parseFields reads lines such as ballast_kg = 4; what is gone from before is empty.
function parseFields(text, before) {
  const fields = Object.fromEntries(Object.keys(before).map((name) => [name, ""]));
  for (const line of text.split("\n")) {
    if (!line.trim()) continue;
    const at = line.indexOf("=");
    if (at < 1) throw new Error(`“${line.trim()}” is not of the form name = value`);
    fields[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  return fields;
}

// written are a run's texts as the form has them.
const written = (run) => ({ session_name: run.session_name ?? "", ...Object.fromEntries(["driver", "car", "setup", "tyres", "weather"].map((by) => [by, run.book[by] ?? ""])), tags: run.book.tags.join(", "), fields: fieldsText(run.book.fields), ...planTexts(run.book) });

// edit opens the form, at its plan where that is asked for; saved is called with the run as it is after a change.
export function edit(run, saved, plan) {
  let base = written(run);
  const problem = h("p", { class: "problem", role: "alert" });
  const row = (name, text, props = {}, hint) => h("div", { class: "field" }, h("label", { for: `book-${name}` }, text),
    h(props.rows ? "textarea" : "input", { id: `book-${name}`, name, value: base[name], dir: "auto", autocomplete: "off", "aria-describedby": hint && `book-${name}-hint`, ...props }), hint && h("p", { class: "hint", id: `book-${name}-hint` }, hint));
  const known = FACTORS.filter(([by]) => by !== "tag" && by !== "setup").map(([by]) => h("datalist", { id: `known-${by}` }));
  const button = h("button", { class: "button" }, "Save");
  const form = h("form", { class: "book-form", novalidate: true },
    row("session_name", "Name", { maxlength: 300 }, "Later uploads under another name leave it alone."),
    FACTORS.filter(([by]) => by !== "tag" && by !== "setup").map(([by, text]) => row(by, text, { maxlength: 200, list: `known-${by}` })),
    row("tags", "Tags", {}, "Between commas."), row("setup", "Setup", { rows: 3, maxlength: 2000 }), row("fields", "Further fields", { rows: 3 }, "One a line, such as ballast_kg = 4."),
    h("fieldset", { class: "plan-fields" }, h("legend", null, "Plan: what it may use, how far it is to go, and how long it may take"), PLAN.map(([name, text]) => row(name, text, { inputmode: "decimal" }))), ...known, problem, h("div", { class: "dialog-foot" }, button));
  const node = dialog("Run book", form);
  if (plan) form.elements.plan_energy_wh.focus();
  // What others said before is offered.
  api(query("/api/v1/sessions", { limit: 500 })).then(({ sessions }) => {
    for (const list of known) replace(list, [...new Set(sessions.flatMap((other) => valuesOf(other, list.id.slice(6))))].slice(0, 100).map((value) => h("option", { value })));
  }).catch(() => { /* it is a convenience */ });
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const now = Object.fromEntries(new FormData(form)), changed = Object.keys(base).filter((name) => now[name].trim() !== base[name].trim());
    if (!changed.length) return node.close();
    const body = { book: {}, seen: run.book.revision };
    button.disabled = true;
    try {
      for (const name of changed) {
        if (name === "session_name") body.session_name = now.session_name.trim();
        else body.book[name] = name === "tags" ? now.tags.split(",") : name === "fields" ? parseFields(now.fields, run.book.fields) : name.startsWith("plan_") ? planned(name, now[name]) : now[name];
      }
      saved(await api(sessionPath(run.session_id), { method: "PATCH", body }));
      node.close();
      toast("The run book is saved.");
    } catch (err) {
      problem.textContent = err.problems?.length ? err.problems.map((p) => `${called(p.field)}: ${p.reason}`).join("; ") : err.message;
      if (err.code === "BOOK_CONFLICT") await meet();
    }
    button.disabled = false;
  });
  // meet takes over what somebody else has written meanwhile, but for what is changed here.
  async function meet() {
    const mine = Object.fromEntries(new FormData(form)), before = base;
    try { run = await api(sessionPath(run.session_id)); } catch { return; }
    base = written(run);
    const other = [];
    for (const name of Object.keys(base)) {
      if (base[name] === before[name]) continue;
      if (mine[name].trim() === before[name].trim()) form.elements[name].value = base[name];
      else if (mine[name].trim() !== base[name].trim()) other.push(`${name === "session_name" ? "name" : name}: “${base[name] || "(taken out)"}”`);
    }
    problem.textContent = other.length ? `Somebody else has written meanwhile: ${other.join("; ")}. Save again to put yours in its place.` : "Somebody else has written other fields meanwhile. They are kept; save again.";
    saved(run);
  }
}
