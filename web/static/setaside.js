// Records of a run that were set aside, since their time cannot be right.

import { h, replace, toast } from "./dom.js";
import { api, query, sessionPath } from "./api.js";
import { clock, count, date } from "./format.js";

const reasons = { "no time": "no time", "too early": "before 2000-01-02", "too late": "more than a day ahead", stray: "far from the other records" };

// repairs is the form of what an administrator may do with them.
function repairs(run, changed) {
  const what = h("select", { "aria-label": "What to do with them" }, [["shift", "Put back, shifted by"], ["at", "Put back, the first at"], ["drop", "Drop"]].map(([value, text]) => h("option", { value }, text)));
  const by = h("input", { type: "text", "aria-label": "By or at", placeholder: "9650d12h" });
  what.addEventListener("change", () => { by.hidden = what.value === "drop"; by.placeholder = what.value === "at" ? "2026-06-03T10:00:00Z" : "9650d12h"; });
  const form = h("form", { class: "inline-form" }, what, by, h("button", { class: "button secondary" }, "Do it"));
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    if (what.value === "drop" && !confirm(`Drop ${count(run.set_aside)} records for good?`)) return;
    try {
      const done = await api(sessionPath(run.session_id, "/repair"), { method: "POST", body: { [what.value]: what.value === "drop" || by.value.trim() } });
      toast(done.dropped ? `Dropped: ${count(done.dropped)}.` : `Put back: ${count(done.put_back)}.`);
      changed();
    } catch (err) { toast(err.message, "error"); }
  });
  return form;
}

// listAside fills a node with the records, a part at a time.
export function listAside(node, run, mayRepair, changed) {
  const body = h("tbody");
  const more = h("button", { type: "button", class: "button secondary small", hidden: true }, "Show more");
  let after = null;
  const load = async () => {
    more.disabled = true;
    try {
      const answer = await api(query(sessionPath(run.session_id, "/set-aside"), { after, limit: 50 }));
      body.append(...answer.records.map((r) => h("tr", null,
        h("th", { scope: "row" }, r.timestamp || "(empty)"), h("td", null, reasons[r.reason]), h("td", null, `${date(new Date(r.received_at))}, ${clock(Date.parse(r.received_at), 60)}`),
        h("td", null, r.source), h("td", { class: "muted small clip" }, JSON.stringify(r.record)))));
      after = answer.next_after;
    } catch (err) { more.replaceWith(h("p", { class: "problem", role: "alert" }, err.message)); }
    more.hidden = after == null;
    more.disabled = false;
  };
  more.addEventListener("click", load);
  replace(node, h("h2", { id: "aside-title" }, `${count(run.set_aside)} ${run.set_aside === 1 ? "record" : "records"} set aside`),
    h("p", { class: "pad muted small" }, "Their time cannot be right. They are kept whole, and are in no chart and no figure until somebody puts them back."),
    h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Records set aside" }, h("table", { class: "values" },
      h("thead", null, h("tr", null, ["Timestamp", "Why", "Received", "Source", "Members"].map((text) => h("th", { scope: "col" }, text)))), body)),
    h("div", { class: "pad" }, more), mayRepair && repairs(run, changed));
  load();
}
