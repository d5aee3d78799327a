// CSV files of a run, streamed to disk where the browser can, since a long run
// does not fit into memory.

import { dialog, h, saveBlob, toast } from "./dom.js";
import { query, send, sessionPath } from "./api.js";
import { duration, num, unit } from "./format.js";
import { conversion, preferred } from "./units.js";

export function download(run, { metrics, window: win }) {
  const radio = (name, value, text, checked) => h("label", { class: "check" }, h("input", { type: "radio", name, value, checked }), text);
  const progress = h("p", { class: "muted", role: "status" });
  const start = h("button", { class: "button", type: "submit" }, "Download");
  const abort = new AbortController();
  const form = h("form", { class: "form" },
    h("fieldset", null, h("legend", null, "Records"), radio("span", "all", "The whole run", !win), win && radio("span", "window", `The window of the charts, ${duration((win[1] - win[0]) / 1000)}`, true)),
    h("fieldset", null, h("legend", null, "Columns"), radio("columns", "all", "Every field", true), radio("columns", "metrics", "Only what is drawn", false)),
    h("fieldset", null, h("legend", null, "Units"), radio("units", preferred(), `As shown: ${["m/s", "J", "degC"].map((u) => unit(conversion(u).shown)).join(", ")}`, true), radio("units", "", "As stored", false)),
    progress, h("div", { class: "row-actions" }, start));
  const node = dialog("Download as CSV", form);
  node.addEventListener("close", () => abort.abort());
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    const url = query(sessionPath(run.session_id, "/records"), {
      format: "csv",
      from: values.span === "window" ? new Date(win[0]).toISOString() : null,
      to: values.span === "window" ? new Date(win[1] + 1).toISOString() : null,
      units: values.units,
      fields: values.columns === "metrics" ? metrics.join(",") : null,
    });
    const name = `${(run.session_name || run.session_id).replace(/[^\w.-]+/g, "_")}.csv`;
    start.disabled = true;
    try {
      await save(url, name, abort.signal, (bytes) => { progress.textContent = `${num(bytes / 1e6, 1)} MB received`; });
      node.close();
      toast(`${name} is saved.`);
    } catch (err) {
      if (err.name !== "AbortError") progress.textContent = err.message;
    }
    start.disabled = false;
  });
}

async function save(url, name, signal, tell) {
  let file = null;
  if (globalThis.showSaveFilePicker && !navigator.webdriver) file = await showSaveFilePicker({ suggestedName: name, types: [{ accept: { "text/csv": [".csv"] } }] });
  const response = await send(url, { signal });
  const out = file && (await file.createWritable());
  const parts = [];
  let bytes = 0;
  for (const reader = response.body.getReader(); ;) {
    const { value, done } = await reader.read();
    if (done) break;
    bytes += value.length;
    tell(bytes);
    if (out) await out.write(value);
    else parts.push(value);
  }
  if (out) return out.close();
  saveBlob(new Blob(parts, { type: "text/csv" }), name);
}
