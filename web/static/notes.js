// What is noted of a run, by people and by the server: a list, lines and bands in the
// charts and the strip, places on the track, and jumps from one to the next.

import { announce, css, dialog, h, icon, replace, saveBlob, toast } from "./dom.js";
import { api, query, send, sessionPath } from "./api.js";
import { mayEdit } from "./account.js";
import { subscribe } from "./live.js";
import { onTrack } from "./runs.js";
import { clock, count, duration } from "./format.js";
import { drawPlace } from "./places.js";

const KINDS = {
  note: ["Note", "--c5"], notification: ["Message to the driver", "--c2"], stop: ["Stop", "--muted"], gap: ["Gap", "--live"],
  clock_step: ["Clock stepped back", "--c4"], set_aside: ["Set aside", "--bad"], outlier: ["Outlier", "--c3"],
};
const palette = () => Object.fromEntries(Object.entries(KINDS).map(([kind, [, color]]) => [kind, css(color)]));
const SAID = ["note", "notification"], MARKED = Object.keys(KINDS).filter((kind) => !SAID.includes(kind));
const LISTED = 100; // at once
const PAUSE = 30_000; // between two looks at what the server marks of a live run, ms

export class Notes {
  // view is the page of the run: run, start, stack, track, goTo.
  constructor(view, node) {
    Object.assign(this, { view, node, said: [], marked: [], all: [], shown: LISTED, filter: "", last: null });
    this.mayWrite = mayEdit();
    const { stack } = view;
    stack.guests.push({ plot: (plot) => this.draw(plot), cursor: (x) => { if (x != null) this.last = x; } });
    stack.onMark = (by) => this.jump(by);
    if (this.mayWrite) stack.onNote = () => this.write();
    stack.keys.append(` n and p go to the next and the previous mark${this.mayWrite ? ", m makes a note" : ""}.`);
    stack.hint.append(` n and p go to marks${this.mayWrite ? ", m makes a note" : ""}.`);
    this.list = h("ul", { class: "notes" });
    this.title = h("h2", { id: "notes-title" }, "Notes");
    const filter = h("select", { "aria-label": "Which notes" }, [["", "All"], ["people", "By people"], ["server", "By the server"]].map(([value, text]) => h("option", { value }, text)));
    filter.addEventListener("change", () => { this.filter = filter.value; this.shown = LISTED; this.fill(); });
    this.more = h("button", { type: "button", class: "link pad small", hidden: true, on: { click: () => { this.shown += LISTED; this.fill(); } } }, "Show more");
    replace(node, h("div", { class: "notes-head" }, this.title, filter, h("button", { type: "button", class: "plain", "aria-label": "Save the notes", title: "Save the notes as a table", on: { click: () => this.save() } }, icon("down")),
      this.mayWrite && h("button", { type: "button", class: "button secondary small", on: { click: () => this.write() } }, "Note…")), this.list, this.more);
    // Of a run on track the live stream is heard anyway.
    if (!onTrack(view.run)) this.end = subscribe(view.id, { fields: ["speed_ms"], records() {}, changed: () => this.changed() });
    this.load(SAID);
    this.load(MARKED);
  }

  destroy() { this.end?.(); }

  // load reads the notes of some kinds anew.
  async load(kinds) {
    if (kinds === MARKED) this.looked = Date.now();
    try {
      const { notes } = await api(query(sessionPath(this.view.id, "/notes"), { kind: kinds.join(",") }), { signal: this.view.signal });
      const at = (text) => (text ? (Date.parse(text) - this.view.start) / 1000 : null);
      this[kinds === SAID ? "said" : "marked"] = notes.map((n) => ({ ...n, a: at(n.from), b: at(n.to), passes: this.said.find((old) => n.id != null && old.id === n.id)?.passes || [] }));
      this.fill();
      if (kinds === SAID) await this.pass();
    } catch (err) { this.view.failed(err); }
  }

  // pass finds when the car came by the places, which waits for the laps.
  async pass() {
    this.looked = Date.now();
    if (!this.said.some((n) => this.isPlace(n))) return;
    const { notes } = await api(query(sessionPath(this.view.id, "/notes"), { kind: "note", passes: "true" }), { signal: this.view.signal });
    for (const { id, passes = [] } of notes) {
      const n = this.said.find((one) => one.id === id);
      if (n) n.passes = passes.map((p) => ({ ...p, x: (Date.parse(p.at) - this.view.start) / 1000 }));
    }
    this.fill();
  }

  isPlace(n) { return n.kind === "note" && n.a == null && n.latitude != null; }

  // changed: something was said of the run, a note or in its book.
  async changed() {
    this.load(SAID);
    try {
      this.view.run = await api(sessionPath(this.view.id), { signal: this.view.signal });
      this.view.header();
    } catch { /* what is shown stays */ }
  }

  // follow looks now and then at what the server marks of a run that goes on.
  follow() {
    if (Date.now() - this.looked <= PAUSE) return;
    this.load(MARKED);
    this.pass().catch(this.view.failed);
  }

  // wanted are the notes that the filter lets through.
  wanted() { return this.all.filter((n) => !this.filter || (this.filter === "people") === (n.kind === "note")); }

  fill() {
    this.all = [...this.said, ...this.marked].sort((p, q) => (p.a ?? -Infinity) - (q.a ?? -Infinity));
    const list = this.wanted();
    this.node.hidden = !list.length && !this.mayWrite && !this.filter;
    this.title.textContent = `Notes (${count(list.length)})`;
    const focused = this.list.contains(document.activeElement) && document.activeElement.dataset.of;
    replace(this.list, list.slice(0, this.shown).map((n) => this.item(n)), !list.length && h("li", { class: "muted" }, this.filter ? "None of these." : "Nothing is noted yet."));
    if (focused) this.list.querySelector(`[data-of="${CSS.escape(focused)}"]`)?.focus();
    this.more.hidden = list.length <= this.shown;
    this.view.track.setPlaces(list.filter((n) => n.latitude != null && n.kind === "note").map((n) => ({ at: [n.longitude, n.latitude], color: css(KINDS[n.kind][1]) })));
    this.view.stack.redraw();
    this.view.strip.paint();
  }

  when(n) { return n.a == null ? (n.latitude == null ? "Run" : "Place") : clock(this.view.start + n.a * 1000, 60); }

  item(n) {
    const swatch = h("span", { class: "swatch", "aria-hidden": "true" }), [kind, color] = KINDS[n.kind];
    swatch.style.background = css(color);
    const name = `${this.when(n)}, ${kind.toLowerCase()}`, of = `${n.kind} ${n.id ?? n.from}`;
    return h("li", null, swatch,
      h("div", null,
        n.a != null || n.latitude != null ? h("button", { type: "button", class: "link", "data-of": of, "aria-label": `Show ${name}`, on: { click: () => this.show(n) } }, this.when(n)) : h("span", { class: "muted" }, this.when(n)),
        n.kind === "note" && n.b != null && h("span", { class: "muted small" }, ` ${duration(n.b - n.a)}`), n.passes?.length > 0 && h("span", { class: "muted small" }, ` passed ${n.passes.length === 1 ? "once" : `${count(n.passes.length)} times`}`), " ", h("span", { class: "muted small" }, kind === "Note" ? n.author && h("bdi", null, n.author) : kind),
        h("p", { dir: "auto" }, n.text)),
      n.editable && h("span", { class: "row-actions" },
        h("button", { type: "button", class: "link small", "aria-label": `Edit ${name}`, on: { click: () => this.edit(n) } }, "Edit"),
        h("button", { type: "button", class: "link small", "aria-label": `Delete ${name}`, on: { click: () => this.remove(n) } }, "Delete")));
  }

  // show brings a note into view, with the cursor on it.
  show(n) {
    const { stack, track } = this.view;
    // Of a place it is the next time that the car comes by.
    const pass = n.a == null ? n.passes.find((p) => p.x > (stack.cursorAt ?? -Infinity) + 0.001) || n.passes[0] : null, from = n.a ?? pass?.x, to = n.b ?? from;
    if (from == null) return track.setMarks([{ at: [n.longitude, n.latitude], color: css(KINDS[n.kind][1]) }]);
    this.view.still();
    const [a, b] = stack.win, long = to - from;
    if (from < a || to > b) {
      const span = Math.max(b - a, long * 1.4), mid = from + long / 2;
      stack.show(mid - span / 2, mid + span / 2, { wait: 0, quiet: true });
    }
    this.at = n;
    stack.setCursor(from);
    stack.reveal();
    announce(pass ? `${clock(this.view.start + from * 1000, 20)}${pass.lap ? `, lap ${pass.lap}` : ""}: ${n.text}` : `${this.when(n)}, ${KINDS[n.kind][0]}: ${n.text}`);
  }

  // jump goes to the next mark behind the cursor, or before it.
  jump(by) {
    const { stack } = this.view, list = this.wanted().filter((n) => n.a != null);
    const here = stack.cursorAt ?? (stack.win[0] + stack.win[1]) / 2, place = this.at && Math.abs(this.at.a - here) < 1e-6 ? list.findIndex((n) => n.kind === this.at.kind && n.id === this.at.id && n.a === this.at.a) : -1;
    const next = place >= 0 ? list[place + by] : by > 0 ? list.find((n) => n.a > here) : list.findLast((n) => n.a < here);
    next ? this.show(next) : announce(by > 0 ? "No further mark" : "No mark before");
  }

  // draw puts lines and bands into a chart; those that fall on one pixel are one.
  draw(plot) {
    const { ctx: g, bbox: { left, top, width, height } } = plot, ratio = devicePixelRatio || 1, drawn = new Set(), colors = palette();
    g.save();
    g.beginPath();
    g.rect(left, top, width, height);
    g.clip();
    for (const n of this.all) {
      if (n.a == null) {
        for (const { x } of n.passes) {
          const key = `pass ${Math.round(plot.valToPos(x, "x", true))}`;
          if (!drawn.has(key)) drawPlace(plot, x, colors[n.kind]);
          drawn.add(key);
        }
        continue;
      }
      const x = plot.valToPos(n.a, "x", true), to = n.b == null ? x : plot.valToPos(n.b, "x", true), key = `${n.kind} ${Math.round(x)} ${Math.round(to)}`;
      if (to < left || x > left + width || drawn.has(key)) continue;
      drawn.add(key);
      g.fillStyle = colors[n.kind];
      if (n.b != null) { g.globalAlpha = 0.1; g.fillRect(x, top, Math.max(ratio, to - x), height); }
      g.globalAlpha = n.kind === "note" ? 0.9 : 0.5;
      g.fillRect(x - ratio / 2, top, ratio, height);
      g.globalAlpha = 1;
      g.fillRect(x - 3 * ratio, top, 6 * ratio, 5 * ratio);
    }
    g.restore();
  }

  // strip puts ticks into the strip of the whole run.
  strip(g, px) {
    const drawn = new Set(), colors = palette();
    for (const n of this.all) {
      if (n.a == null || n.kind === "gap") continue; // gaps have theirs
      const x = Math.round(px(n.a));
      if (drawn.has(x)) continue;
      drawn.add(x);
      g.fillStyle = colors[n.kind];
      g.fillRect(x - 1, 0, 2, n.kind === "note" ? 10 : 5);
    }
  }

  // write asks for a note on where the cursor is, or was.
  write() {
    const { stack, track, start } = this.view, [a, b] = stack.win, time = (x) => new Date(start + x * 1000).toISOString();
    const x = this.view.live ? b : Math.min(b, Math.max(a, stack.cursorAt ?? this.last ?? (a + b) / 2)), near = track.at(x), place = near && Math.abs(near[2] - x) < 2 && near; // in a gap nobody knows where it was
    const ways = [["moment", `The moment ${clock(start + x * 1000, 20)}`, () => ({ from: time(x) })], ["stretch", `What the charts show, ${stack.x(a)} to ${stack.x(b)}`, () => ({ from: time(a), to: time(b) })],
      place && ["place", "The place where the car was then", () => ({ latitude: place[1], longitude: place[0] })], ["run", "The whole run", () => ({})]].filter(Boolean);
    const choice = h("fieldset", { class: "ways" }, h("legend", { class: "sr" }, "What it is about"), ways.map(([way, text], i) => h("label", null, h("input", { type: "radio", name: "way", value: way, checked: i === 0 }), " ", text)));
    this.form("Note", "", choice, async (text, form) => {
      const [, , about] = ways.find(([way]) => way === form.elements.way.value);
      await api(sessionPath(this.view.id, "/notes"), { method: "POST", body: { text, ...about() } });
    });
  }

  edit(n) {
    let seen = n.revision;
    this.form("Edit the note", n.text, null, async (text) => {
      try {
        const body = { text, from: n.from, to: n.to, latitude: n.latitude, longitude: n.longitude, seen };
        await api(sessionPath(this.view.id, `/notes/${n.id}`), { method: "PUT", body });
      } catch (err) {
        if (err.code !== "NOTE_CONFLICT") throw err;
        await this.load(SAID);
        const now = this.said.find((other) => other.id === n.id);
        if (!now) throw err;
        seen = now.revision;
        throw new Error(`Somebody else has changed it meanwhile: “${now.text}”. Save again to put yours in its place.`);
      }
    });
  }

  form(title, text, choice, work) {
    const problem = h("p", { class: "problem", role: "alert" }), box = h("textarea", { id: "note-text", rows: 3, maxlength: 2000, value: text, dir: "auto" }), button = h("button", { class: "button" }, "Save");
    const form = h("form", { class: "note-form" }, h("div", { class: "field" }, h("label", { for: "note-text" }, "What is there to note?"), box), choice, problem, h("div", { class: "dialog-foot" }, button));
    const node = dialog(title, form);
    box.focus();
    form.addEventListener("submit", async (e) => {
      e.preventDefault();
      if (!box.value.trim()) return box.focus();
      button.disabled = true;
      try {
        await work(box.value, form);
        node.close();
        this.load(SAID);
      } catch (err) { problem.textContent = err.problems?.[0]?.reason ? `${err.problems[0].field} ${err.problems[0].reason}` : err.message; }
      button.disabled = false;
    });
  }

  async remove(n) {
    if (!confirm(`Delete the note “${n.text.slice(0, 100)}”?`)) return;
    try {
      await api(sessionPath(this.view.id, `/notes/${n.id}`), { method: "DELETE" });
      this.load(SAID);
    } catch (err) { toast(err.message, "error"); }
  }

  async save() {
    try {
      const file = await (await send(query(sessionPath(this.view.id, "/notes"), { format: "csv" }))).blob();
      saveBlob(file, `notes-${this.view.id.replace(/[^\w.-]/g, "_")}.csv`);
    } catch (err) { toast(err.message, "error"); }
  }
}
