// The file of the car's own logger into a run that came by radio.

import { css, h, replace, toast } from "./dom.js";
import { api, query, sessionPath } from "./api.js";
import { hue } from "./chart.js";
import { count, date, duration, hourMinute, label, num } from "./format.js";

// odd names the records of a file that are not merged, since their time cannot be right.
const odd = (m) => m.no_time + m.odd > 0 && h("details", { class: "small" },
  h("summary", null, `${count(m.no_time + m.odd)} of its records have a time that cannot be right`, m.set_aside > 0 && `: ${count(m.set_aside)} set aside`),
  h("ul", null, m.problems.map((p) => h("li", null, `Record ${p.index + 1}: ${p.reason}`))));
const names = (list) => list.map(label).join(", ");

function report({ already_merged: already, merge: m }) {
  return [
    already && h("p", null, "This file is merged into the run already."),
    h("p", null, `The logger's clock is ${m.offset_s < 0 ? "ahead" : "behind"} by ${duration(Math.abs(m.offset_s))}`, m.correlation != null && ` (correlation ${num(m.correlation, 3)} of ${names(m.compared)})`, "."),
    h("p", null, `Of its ${count(m.records)} records ${count(m.both)} are in the run already, and ${count(m.added)} fill what the radio lost`, m.delivered_pct != null && `: the radio delivered ${num(m.delivered_pct, 1)} %`, "."),
    odd(m),
    h("p", null, m.channels.length ? `Channels that the radio lacks: ${names(m.channels)}.` : "The radio lacks no channel of it."),
  ];
}

export const mergeFile = (file, run, changed) => import("./upload.js").then(({ upload }) => upload(file, {
  path: sessionPath(run.session_id, "/merges"), title: "Merge a logger's file", verb: "Merge", report, done: changed,
  extra: [{ name: "offset", text: "Offset of its clock", placeholder: "found by what both measured", hint: "What to add to its times, such as -1h or 2.5s" }],
}));

// origins draws which way the records came, over the run's time.
function origins({ records }, width = 240) {
  const sources = Object.keys(records);
  const names = { merge: "from the logger", filled: "radio, filled by the logger" };
  const canvas = h("canvas", { class: "origins", width, height: 40, role: "img", "aria-label": `Where the records came from: ${sources.map((s) => names[s] || s).join(", ")}` });
  const g = canvas.getContext("2d");
  const columns = Math.max(...sources.map((s) => records[s].length));
  const total = Array.from({ length: columns }, (_, i) => sources.reduce((sum, s) => sum + (s === "filled" ? 0 : records[s][i] || 0), 0));
  const top = Math.max(1, ...total), step = width / columns;
  const bar = (i, from, n, color) => { g.fillStyle = color; g.fillRect(i * step, 40 - ((from + n) / top) * 40, Math.max(1, step), (n / top) * 40); };
  for (let i = 0; i < columns; i++) {
    let from = 0;
    sources.filter((s) => s !== "filled").forEach((s) => { const n = records[s][i] || 0; bar(i, from, n, colorOf(sources, s)); from += n; });
  }
  return h("div", { class: "pad" }, canvas, h("ul", { class: "origin-names small" }, sources.map((s) => {
    const dot = h("span", { class: "origin-dot", "aria-hidden": "true" });
    dot.style.background = s === "filled" ? css("--muted") : colorOf(sources, s);
    return h("li", null, dot, `${names[s] || s}: ${count(records[s].reduce((a, b) => a + b, 0))}`);
  })));
}
const colorOf = (sources, s) => hue(sources.indexOf(s));

// listMerges fills a node with what was merged into a run.
export async function listMerges(node, run, mayUndo, changed) {
  const { merges } = await api(sessionPath(run.session_id, "/merges"));
  const now = merges.filter((m) => m.undone_by == null);
  node.hidden = !now.length;
  const came = now.length > 0 && await api(query(sessionPath(run.session_id, "/origins"), { points: 240 }));
  const undo = async (m) => {
    if (!confirm(`Take “${m.file || "the file"}” out of the run again?`)) return;
    try {
      await api(sessionPath(run.session_id, `/merges/${m.batch}`), { method: "DELETE" });
      toast("The run is what it was.");
      changed();
    } catch (err) { toast(err.message, "error"); }
  };
  replace(node, h("h2", { id: "merges-title" }, "Merged files"), now.map((m) => h("div", { class: "request" },
    h("div", null, h("strong", null, m.file || "a file"), h("div", { class: "muted small" }, `${date(new Date(m.merged_at))}, ${hourMinute(new Date(m.merged_at))} · ${count(m.added)} records added, ${count(m.both)} in both`,
      m.delivered_pct != null && ` · the radio delivered ${num(m.delivered_pct, 1)} %`), odd(m)),
    mayUndo && h("button", { type: "button", class: "button small secondary", on: { click: () => undo(m) } }, "Undo"))), came && origins(came));
}
