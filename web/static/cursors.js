// Cursors that stay, one or two: the values of all channels at each, how far apart
// they are, and what the window of the charts holds.

import { announce, css, h, icon, replace } from "./dom.js";
import { isState } from "./channels.js";
import { clockSpan, measure, num, title, unit, NONE } from "./format.js";
import { conversion, withUnit } from "./units.js";

const NAMES = ["A", "B"];
const NEAR = 6; // px from a cursor that are a click on it
const AROUND = { time: 1, distance: 10 }; // s or m on either side of a cursor, where its records are looked for
const MOST = 4000; // records in that

export class Cursors {
  // node is where the values are shown. to may have place(x), what is said of a place
  // beside its time; between(a, b), metres from one to the other, if they are known;
  // counter, the channel that counts them otherwise; and changed(), told of what an
  // address has to say.
  constructor(stack, node, to = {}) {
    Object.assign(this, { stack, node, to, pins: [], exact: new Map(), at: null });
    this.asked = new AbortController();
    const button = (label, shape, click) => h("button", { type: "button", class: "plain", "aria-label": label, title: label, on: { click } }, icon(shape));
    this.where = h("ul", { class: "where pad small" });
    this.rows = h("div", { class: "laps figures at", tabindex: "0", role: "region", "aria-label": "Values of the charts' channels" });
    replace(node, h("div", { class: "notes-head" }, h("h2", { id: "values-title" }, "Values"),
      button("Pin the cursor", "pin", () => this.pin()), button("Take the pinned cursors away", "close", () => this.set([]))), this.where, this.rows);
    stack.guests.push(this);
  }

  destroy() { this.asked.abort(); }

  get open() { return !this.node.hidden; }

  show(open) {
    this.node.hidden = !open;
    if (open) this.drawn();
    this.to.changed?.();
  }

  // set puts the cursors at these places, as precisely as an address says them.
  set(places) {
    const pins = (this.pins = places.map((x) => Number(x.toFixed(3))));
    for (const x of this.exact.keys()) if (!pins.includes(x)) this.exact.delete(x);
    if (pins.length) this.node.hidden = false;
    this.drawn();
    this.stack.redraw();
    this.to.changed?.();
    if (pins.length) announce(this.stretches().map(([name, text]) => `${name}: ${text}`).join(". "));
  }

  // pin keeps a cursor at x, which is where the one that moves was last.
  pin(x = this.at) {
    if (x == null || this.stack.following) return announce("There is no cursor to pin");
    this.set(this.pins.length < 2 ? [...this.pins, x] : [this.pins[0], x]);
  }

  // click pins, or takes away what is clicked on.
  click(x, plot) {
    const on = this.pins.findIndex((p) => Math.abs(plot.valToPos(p, "x") - plot.valToPos(x, "x")) <= NEAR);
    on < 0 ? this.pin(x) : this.set(this.pins.filter((_, i) => i !== on));
  }

  key(e) {
    if (e.key !== "Escape" || !this.pins.length) return false;
    this.set([]);
    return true;
  }

  cursor(x) {
    if (x != null) this.at = x;
    if (this.open && !this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.say(); });
  }

  plot(plot) {
    const { ctx: g, bbox: { left, top, width, height } } = plot, ratio = devicePixelRatio || 1;
    g.save();
    g.beginPath();
    g.rect(left, top, width, height);
    g.clip();
    g.fillStyle = css("--focus");
    const px = this.pins.map((x) => plot.valToPos(x, "x", true));
    g.globalAlpha = 0.08;
    if (px.length > 1) g.fillRect(Math.min(...px), top, Math.abs(px[1] - px[0]), height);
    g.globalAlpha = 1;
    g.font = `bold ${11 * ratio}px system-ui, sans-serif`;
    g.textBaseline = "bottom";
    g.textAlign = "left";
    px.forEach((x, i) => { g.fillRect(x - ratio / 2, top, ratio, height); g.fillText(NAMES[i], x + 3 * ratio, top + height - 2 * ratio); });
    g.restore();
  }

  // drawn is told of a new window: its figures, and where the cursors are among what it shows.
  drawn() {
    if (!this.open) return;
    for (const x of this.pins) this.read(x);
    const heads = ["Cursor", ...this.pins.map((_, i) => NAMES[i]), this.pins.length > 1 && "B − A", "Min", "Mean", "Max"].filter(Boolean);
    const lines = this.stack.lines, rows = this.stack.readers.flatMap(({ channel }) => lines.map((line, k) => ({ channel, line, k })));
    this.cells = rows.map((row) => ({ ...row, cell: h("td", { class: "n" }) }));
    replace(this.rows, h("table", null, h("caption", { class: "sr" }, "Values at the cursors, and of the window"),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Channel"), heads.map((text) => h("th", { scope: "col", class: "n" }, text)))),
      h("tbody", null, this.cells.map((row) => h("tr", { "data-of": row.channel.name }, h("th", { scope: "row" }, title(row.channel), row.channel.unit && [" ", h("span", { class: "unit" }, unit(row.channel.unit))], lines.length > 1 && h("span", { class: "muted" }, ` ${row.line.label}`)),
        row.cell, this.pinned(row).map((text) => h("td", { class: "n" }, text)), this.figures(row).map((text) => h("td", { class: "n" }, text)))))));
    this.say();
  }

  pinned(row) {
    const at = this.pins.map((x) => this.exact.get(x)?.value(row)), write = (v) => (v == null ? NONE : typeof v === "string" ? v : measure(v, row.channel));
    const apart = typeof at[0] === "number" && typeof at[1] === "number" ? `${at[1] > at[0] ? "+" : ""}${measure(at[1] - at[0], row.channel)}` : NONE;
    return [...at.map(write), ...(at.length > 1 ? [apart] : [])];
  }

  figures({ channel, k }) {
    const line = this.stack.data?.columns[channel.name]?.[k], { lo, hi } = line?.stats || {};
    return [lo, this.stack.mean(line), hi].map((v) => (isState(channel) ? NONE : measure(v, channel)));
  }

  // say writes what follows the cursor that moves.
  say() {
    const readers = this.stack.readers, now = this.stack.cursorAt;
    for (const { channel, k, cell } of this.cells || []) cell.textContent = ((now != null || this.stack.following) && readers.find((r) => r.channel === channel)?.outputs[k].textContent.split(" (")[0]) || NONE;
    replace(this.where, [now != null && ["Cursor", this.place(now)], ...this.stretches()].filter(Boolean).map(([name, text]) => h("li", null, h("b", null, name), ` ${text}`)), now == null && !this.pins.length && h("li", { class: "muted" }, "Click into a chart, or press Enter at the cursor, to pin it."));
  }

  place(x) { return [this.stack.x(x, 1), this.to.place?.(x)].filter(Boolean).join(" · "); }

  // stretches say where the cursors are, and what is between them.
  stretches() {
    const [a, b] = this.pins, said = this.pins.map((x, i) => [NAMES[i], this.place(x)]);
    if (b == null) return said;
    const by = b - a, time = this.stack.kind === "time";
    const metres = time && (this.to.between?.(a, b) ?? this.counted());
    return [...said, ["B − A", [time ? (Math.abs(by) < 100 ? `${num(by, 3)} s` : clockSpan(by, 3)) : `${num(by, 1)} m`, metres != null && metres !== false && withUnit(metres, "m", 1)].filter(Boolean).join(" · ")]];
  }

  // counted is how much farther the car's own counter was.
  counted() {
    const { counter } = this.to;
    if (!counter) return null;
    const [a, b] = this.pins.map((x) => this.exact.get(x)?.value({ channel: counter, k: 0 })), { factor } = conversion("m");
    return a == null || b == null ? null : (b - a) / factor;
  }

  // read asks for the records around a cursor: what is drawn may sum up many.
  async read(x) {
    const { stack, to: { counter } } = this, channels = stack.drawable, known = this.exact.get(x);
    if (stack.following || (known && channels.every((c) => known.names.has(c.name)))) return;
    const wanted = [...channels, counter && !channels.includes(counter) && counter].filter(Boolean), by = AROUND[stack.kind];
    this.exact.set(x, { names: new Set(wanted.map((c) => c.name)), value: known?.value || (() => null) });
    try {
      const data = await stack.load(x - by, x + by, MOST, wanted, this.asked.signal);
      if (!this.exact.has(x)) return;
      this.exact.get(x).value = ({ channel, k }) => {
        const line = data.columns[channel.name]?.[k];
        if (isState(channel)) return line?.states?.findLast((text, i) => text != null && line.x[i] <= x);
        let best = null, apart = by;
        data.x.forEach((at, i) => { if (line?.avg?.[i] != null && Math.abs(at - x) <= apart) { apart = Math.abs(at - x); best = line.avg[i]; } });
        return best;
      };
      this.drawn();
    } catch (err) {
      this.exact.delete(x);
      if (err.name !== "AbortError") announce(err.message);
    }
  }
}
