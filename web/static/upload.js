// Files from the disk into a run. What each column becomes is shown before
// anything is stored, and what a file does not say of itself is asked for: both
// are the server's words, the same as the command line's.

import { dialog, h, replace } from "./dom.js";
import { api, fields as loadFields, query, send, sessionPath } from "./api.js";
import { count, num, NONE, val } from "./format.js";
import { PLAN, planned } from "./plan.js";
import { FACTORS } from "./seek.js";

const isJSON = (name) => /\.(json|ndjson|jsonl)(\.(gz|zst))?$/i.test(name);
const headers = (name) => {
  const packed = /\.(gz|zst)$/i.exec(name)?.[1].toLowerCase();
  return { "Content-Type": isJSON(name) ? "application/x-ndjson" : "text/csv", ...(packed && { "Content-Encoding": { gz: "gzip", zst: "zstd" }[packed] }) };
};

// upload shows what becomes of a file, and stores it when the person says so.
export async function upload(file, { path = "/api/v1/telemetry", title = "Add a run from a file", verb = "Store", extra = [], report, done } = {}) {
  const table = !isJSON(file.name);
  const [channels, profiles] = await Promise.all([loadFields(), table ? api("/api/v1/import-profiles").then((a) => a.profiles, () => []) : []]);
  const map = new Map(); // what the person said of columns
  const field = (name, text, input, hint) => {
    input.id = `upload-${name}`;
    input.name = name;
    return h("div", { class: "field" }, h("label", { for: input.id }, text), input, hint && h("span", { class: "hint" }, hint));
  };
  const choice = (...options) => h("select", null, options.map(([value, text]) => h("option", { value }, text)));
  const input = (placeholder, list) => h("input", { type: "text", placeholder, list, autocomplete: "off" });
  const options = h("form", { class: "upload-options", hidden: !table && !extra.length },
    extra.map((e) => field(e.name, e.text, input(e.placeholder), e.hint)),
    table && [
      field("start", "Start of the log", input("2026-06-03T10:00:00Z"), "Where times count from the start, or have no day"),
      field("timezone", "Time zone", input("UTC", "upload-zones")),
      field("decimal", "1,234 is", choice(["", "As the file shows"], ["comma", "A fraction"], ["point", "A thousand"])),
      field("day_first", "Dates like 03.06.", choice(["", "As the file shows"], ["true", "Day first"], ["false", "Month first"])),
      field("time_column", "Column of the times", input("found by itself")),
      field("profile", "Kind of file", choice(["", "Found by itself"], ...profiles.map((p) => [p.name, p.name]))),
      field("save_profile", "Keep this mapping as", input("no name: not kept")),
    ],
    h("datalist", { id: "upload-zones" }, Intl.supportedValuesOf("timeZone").map((value) => h("option", { value }))),
    h("datalist", { id: "upload-channels" }, channels.map((f) => h("option", { value: f.name }, f.unit))));
  // What people know of the run goes into its book once it is there.
  const book = h("form", { class: "upload-options" }, FACTORS.map(([by, name]) => field(`book-${by}`, by === "tag" ? "Tags" : name, input(by === "tag" ? "between commas" : ""))), PLAN.map(([name, text]) => field(`book-${name}`, `Plan: ${text}`, input(""))));
  const said = path === "/api/v1/telemetry" && h("details", { class: "plain-details" }, h("summary", null, "Who drove, on what?"), book);
  const shown = h("div", { class: "upload-table" });
  const told = h("div", { class: "upload-told", role: "status" });
  const skip = h("input", { type: "checkbox" });
  const skipRow = h("label", { class: "check", hidden: true }, skip, "Leave out the records that cannot be read");
  const store = h("button", { class: "button", type: "button", disabled: true }, verb);
  const node = dialog(title, h("p", { class: "muted" }, `${file.name}, ${num(file.size / 1e6, file.size < 1e7 ? 2 : 0)} MB`), options, said, told, shown, h("div", { class: "dialog-foot" }, skipRow, store));
  node.classList.add("wide");
  const abort = new AbortController();
  node.addEventListener("close", () => abort.abort());
  for (const form of [options, book]) form.addEventListener("submit", (e) => e.preventDefault());
  let asked = null;

  const ask = (more) => send(query(path, {
    file_name: file.name, ...Object.fromEntries([...new FormData(options)].map(([name, value]) => [name, value.trim()])),
    map: [...map].map(([column, becomes]) => `${column}=${becomes}`), on_error: skip.checked ? "skip" : null, ...more,
  }), { method: "POST", file, headers: headers(file.name), signal: asked.signal }).then((r) => r.json());

  const problems = (list = []) => list.length > 0 && h("ul", { class: "small" }, list.slice(0, 8).map((p) => h("li", null, p.line && `Line ${p.line}: `, p.field && h("code", null, p.field), p.field && " ", p.reason)));

  function refuse(err) {
    if (err.name === "AbortError") return;
    replace(told, h("p", { class: "problem", role: "alert" }, err.message), problems(err.problems));
    for (const el of options.elements) el.removeAttribute("aria-invalid");
    const at = err.problems?.map((p) => options.elements[p.field]).find(Boolean);
    at?.setAttribute("aria-invalid", "true");
    at?.focus();
  }

  async function preview() {
    asked?.abort();
    const mine = asked = new AbortController();
    abort.signal.addEventListener("abort", () => mine.abort());
    store.disabled = true;
    replace(told, h("p", { class: "muted" }, "Reading the file…"));
    try {
      const answer = await ask({ dry_run: "true", on_error: "skip", save_profile: null });
      const { rejected } = answer.merge || answer;
      const bad = rejected > 0;
      skipRow.hidden = !bad;
      const good = answer.table ? answer.table.records - rejected : null;
      replace(told,
        answer.table && h("p", null, answer.table.profile && [h("strong", null, answer.table.profile), ": "], answer.table.format),
        [...(answer.table?.warnings || []), ...(answer.notes || [])].map((text) => h("p", { class: "small warning" }, text)),
        report?.(answer),
        answer.set_aside > 0 && h("p", { class: "small warning" }, `${count(answer.set_aside)} would be set aside, since their time cannot be right:`), problems(answer.odd),
        bad && h("p", { class: "problem" }, `${count(rejected)} records cannot be read:`), problems(answer.problems));
      replace(shown, answer.table && columns(answer.table));
      replace(store, good == null ? verb : `${verb} ${count(good)} records`);
      store.disabled = bad && !skip.checked;
      skip.onchange = () => { store.disabled = !skip.checked; };
    } catch (err) {
      replace(shown);
      refuse(err);
    }
  }

  function columns({ columns: list }) {
    const row = (c) => {
      const becomes = h("input", { type: "text", value: c.becomes, list: "upload-channels", "aria-label": `What ${c.column} becomes`, placeholder: "left out" });
      becomes.addEventListener("change", () => { map.set(c.column, becomes.value.trim()); preview(); });
      return h("tr", { class: !c.becomes && "absent" }, h("th", { scope: "row" }, c.column), h("td", null, becomes), h("td", null, c.conversion || ""),
        h("td", { class: "n" }, `${num(c.filled * 100)} %`), h("td", { class: "n" }, c.first || NONE), h("td", { class: "n" }, c.last || NONE),
        h("td", { class: "n" }, c.min == null ? "" : `${val(c.min)} … ${val(c.max)}`), h("td", { class: "warning small" }, c.warnings?.join("; ")));
    };
    return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Columns of the file" }, h("table", { class: "values" }, h("caption", { class: "sr" }, "Columns of the file, and what they become"),
      h("thead", null, h("tr", null, ["Column", "Becomes", "Conversion", "Filled", "First", "Last", "Range", ""].map((text) => h("th", { scope: "col" }, text)))), h("tbody", null, list.map(row))));
  }

  store.addEventListener("click", async () => {
    store.disabled = true;
    for (const form of [options, book, shown]) form.inert = true; // what is being stored is what is shown
    replace(told, h("p", { class: "muted" }, "Storing…"));
    try {
      const answer = await ask();
      options.hidden = true;
      const failed = said && (await say(answer.sessions));
      replace(shown);
      replace(told, report?.(answer) || stored(answer), (answer.notes || []).map((text) => h("p", { class: "small warning" }, text)), problems(answer.problems), failed && h("p", { class: "problem", role: "alert" }, `What was said of the run is not kept: ${failed}`));
      done?.();
      replace(node.lastChild, h("button", { class: "button", type: "button", on: { click: () => node.close() } }, "Done"));
    } catch (err) {
      store.disabled = false;
      for (const form of [options, book, shown]) form.inert = false;
      refuse(err);
    }
  });

  // say writes the book of the runs that the file is in, and gives what went wrong.
  async function say(sessions) {
    said.hidden = true;
    const change = {};
    for (const [name, value] of new FormData(book)) if (value.trim()) name === "book-tag" ? (change.tags = value.split(",")) : (change[name.slice(5)] = value);
    try {
      for (const [name] of PLAN) if (change[name]) change[name] = planned(name, change[name]);
      if (Object.keys(change).length) for (const s of sessions) await api(sessionPath(s.session_id), { method: "PATCH", body: { book: change } });
    } catch (err) { return err.problems?.[0] ? `${err.problems[0].field} ${err.problems[0].reason}` : err.message; }
    return "";
  }

  function stored(answer) {
    const aside = answer.set_aside > 0 && `, ${count(answer.set_aside)} set aside, since their time cannot be right`;
    return [h("p", null, answer.inserted || !answer.already_stored ? `${count(answer.inserted - answer.set_aside)} records are stored` : "Nothing is stored: ", aside,
      answer.already_stored > 0 && `${answer.inserted ? "; " : ""}${count(answer.already_stored)} were there already`, "."),
    answer.sessions.map((s) => h("p", null, h("a", { href: `/runs/${encodeURIComponent(s.session_id)}`, on: { click: () => node.close() } }, "Open the run")))];
  }

  options.addEventListener("change", (e) => { if (e.target.name !== "save_profile") preview(); });
  await preview();
  return node;
}
