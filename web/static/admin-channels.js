// Channels, for administrators: what each is, its limits and how it is shown.

import { dialog, h, icon, replace, toast } from "./dom.js";
import { api } from "./api.js";
import { act, small } from "./admin.js";
import { matching } from "./channels.js";
import { limitsText } from "./limits.js";
import { count, title, unit } from "./format.js";

const MOST = 300; // rows; there may be thousands

// About a channel, apart from its name: a PUT replaces all of it.
const texts = ["unit", "meaning", "display", "section", "colour", "expression"];
const numbers = ["decimals", "low", "high", "warn_low", "warn_high", "alarm_low", "alarm_high"];
const path = (name) => `/api/v1/channels/${encodeURIComponent(name)}`;
const about = (c) => Object.fromEntries([...texts, ...numbers, "aliases", "hidden"].map((name) => [name, c[name] ?? undefined]));

export async function channels(body) {
  let list = [];
  const box = h("input", { type: "search", id: "channel-search", placeholder: "Name, meaning or unit", autocomplete: "off" });
  const heading = h("h2", { id: "channel-list" });
  const rows = h("tbody");
  const more = h("p", { class: "muted small", role: "status" });

  // load reads the list anew, and has the focus back at the channel that was changed.
  async function load(name) {
    ({ channels: list } = await api("/api/v1/channels"));
    draw();
    if (name) [...rows.children].find((row) => row.dataset.channel === name)?.querySelector("button").focus();
  }

  function draw() {
    const shown = list.filter(matching(box.value, (c) => [c.section, c.kind, c.hidden && "hidden"]));
    heading.textContent = `Channels (${count(list.length)})`;
    more.textContent = shown.length > MOST ? `The first ${MOST} of ${count(shown.length)}: search for the others.` : shown.length ? "" : "No channel matches.";
    replace(rows, shown.slice(0, MOST).map((c) => h("tr", { "data-channel": c.name },
      h("th", { scope: "row" }, title(c), " ", c.hidden && h("span", { class: "badge" }, "hidden"), h("div", null, h("code", null, c.name))),
      h("td", null, c.kind), h("td", null, c.type === "text" ? "text" : unit(c.unit)), h("td", { class: "small" }, c.meaning), h("td", { class: "small" }, limitsText(c)),
      h("td", null, h("div", { class: "row-actions" }, small("Edit", "secondary", () => edit(c, list, load)),
        c.hidden
          ? small("Show", "secondary", async () => { await act(() => api(path(c.name), { method: "PUT", body: { ...about(c), hidden: false } }), `${title(c)} is in lists and pickers again.`); load(c.name); })
          : small("Hide", "secondary", async () => { await act(() => api(path(c.name), { method: "DELETE" }), `${title(c)} is hidden. What it measured stays.`); load(c.name); }))))));
  }

  box.addEventListener("input", draw);
  replace(body, h("section", { "aria-labelledby": "channel-list" },
    h("div", { class: "list-head" }, heading, h("div", { class: "list-tools" },
      h("div", { class: "search" }, icon("search"), h("label", { class: "sr", for: "channel-search" }, "Search channels"), box),
      small("Declare a channel", "", () => edit(null, list, load)))),
    h("div", { class: "card scroll", tabindex: "0", role: "region", "aria-label": "Channels as a table" }, h("table", null,
      h("caption", { class: "sr" }, "Channels"),
      h("thead", null, h("tr", null, ["Channel", "Kind", "Unit", "Meaning", "Limits"].map((t) => h("th", { scope: "col" }, t)), h("th", { scope: "col" }, h("span", { class: "sr" }, "Actions")))), rows)), more));
  await load();
}

// field is an input with its hint and what is wrong with it.
function field(label, name, value, props = {}, hint) {
  const id = `ch-${name}`;
  return h("div", { class: "field" }, h("label", { for: id }, label),
    h("input", { id, name, type: "text", value: value ?? "", "aria-describedby": `${hint ? `${id}-hint ` : ""}${id}-problem`, autocomplete: "off", ...props }),
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint), h("p", { class: "problem", id: `${id}-problem` }));
}

// edit opens the form of a channel, or of a new one; saved is called with its name.
function edit(channel, list, saved) {
  const c = channel || {}, fixed = c.kind === "contract";
  const number = (label, name, props) => field(label, name, c[name], { type: "number", step: "any", ...props });
  const madeOf = field("Made of", "expression", c.expression, { spellcheck: "false", placeholder: "voltage_v * current_a" }, "Other channels, where records do not bring it");
  const problem = h("p", { class: "problem", role: "alert" });
  const form = h("form", { class: "form channel-form" },
    !channel && h("fieldset", null, h("legend", { class: "sr" }, "New channel"),
      field("Name", "name", "", { required: true, spellcheck: "false", placeholder: "battery_temp_c" }, "As records have it: small letters, digits and _"),
      madeOf,
      h("div", { class: "field" }, h("label", { for: "ch-type" }, "Values"), h("select", { id: "ch-type", name: "type" }, h("option", { value: "number" }, "numbers"), h("option", { value: "text" }, "texts")))),
    h("fieldset", null, h("legend", { class: "sr" }, "What it is"),
      c.kind === "math" && madeOf,
      field("Unit", "unit", c.unit, { disabled: fixed, placeholder: "degC" }, fixed && "Of the function contract: it stays"),
      field("Meaning", "meaning", c.meaning, { disabled: fixed }),
      field("Name on the page", "display", c.display, { placeholder: channel ? title({ ...c, display: "" }) : "" }),
      field("Further names", "aliases", (c.aliases || []).join(", "), {}, "With commas between them"),
      field("Section", "section", c.section, { placeholder: "Battery" }, "Channels of one stand together in lists")),
    h("fieldset", null, h("legend", null, "How it is shown"),
      number("Decimals", "decimals", { step: 1, min: 0, max: 15 }), field("Colour", "colour", c.colour, { placeholder: "#1f77b4", spellcheck: "false" }),
      number("Expected from", "low"), number("Expected to", "high")),
    h("fieldset", null, h("legend", null, "Limits, in its unit"),
      number("Alarm below", "alarm_low"), number("Warning below", "warn_low"), number("Warning above", "warn_high"), number("Alarm above", "alarm_high")),
    h("label", { class: "check" }, h("input", { type: "checkbox", name: "hidden", checked: !!c.hidden }), "Hidden from lists and pickers"),
    problem, h("button", { class: "button", type: "submit" }, channel ? "Save" : "Declare"));
  const node = dialog(channel ? title(c) : "New channel", form);

  // refuse says what is wrong beside each field, or below all where it belongs to none.
  function refuse(message, problems = []) {
    const found = problems.map(({ field, reason }) => ({ input: form.elements[field], reason })).filter((p) => p.input && document.getElementById(`${p.input.id}-problem`));
    for (const { input, reason } of found) {
      input.setAttribute("aria-invalid", "true");
      document.getElementById(`${input.id}-problem`).textContent = reason;
    }
    problem.textContent = found.length ? "" : message;
    found[0]?.input.focus();
  }

  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
    for (const p of form.querySelectorAll(".problem")) p.textContent = "";
    const v = Object.fromEntries(new FormData(form)), name = channel?.name ?? v.name.trim();
    const body = { type: v.type, hidden: !!v.hidden, aliases: v.aliases.split(",").map((alias) => alias.trim()).filter(Boolean) };
    for (const key of texts) body[key] = v[key]?.trim() || undefined;
    for (const key of numbers) body[key] = v[key] === "" ? undefined : Number(v[key]);
    // A PUT would replace what is said of it.
    if (!channel && list.some((other) => other.name === name)) return refuse("", [{ field: "name", reason: "There is a channel of that name: edit it." }]);
    try {
      const done = await api(path(name), { method: "PUT", body });
      node.close();
      toast(`${title(done)} is saved.`);
      saved(name);
    } catch (err) { refuse(err.message, err.problems); }
  });
}
