// A part of the map that somebody picked: a box on it, the times at which the car was within
// it in the charts, and what the signals are counted of.

import { announce, css, h, icon, replace } from "./dom.js";
import { api, query, sessionPath } from "./api.js";
import { METRES_PER_DEGREE } from "./fixes.js";
import { count, duration } from "./format.js";
import { setParams } from "./router.js";
import { withUnit } from "./units.js";

const COLOR = "--c6";
const LEAST = 5; // px that a box is wide and high at least
const STEP = 0.05; // of the map, by which keys move it

const corners = (text) => { const v = (text || "").split(",").map(Number); return v.length === 4 && v.every(Number.isFinite) ? v : null; };
const round = (lon) => lon - 360 * Math.round(lon / 360);

export class Region {
  // view is the page of the run: id, start, track, stack, where (the region as addresses have
  // it), signal, failed; tools is where the chip goes, button what has one pick a region.
  constructor(view, tools, button) {
    Object.assign(this, { view, button, spans: [], from: null, draft: null });
    this.chip = h("span", null);
    this.hint = h("p", { class: "muted small", role: "status" });
    tools.append(this.chip, this.hint);
    const { track: { canvas }, stack } = view;
    canvas.tabIndex = 0;
    view.track.over = (g, to) => this.paint(g, to);
    stack.guests.push({ plot: (plot) => this.draw(plot) });
    canvas.addEventListener("pointermove", (e) => { if (this.from) this.stretch(this.from, this.at(e)); });
    canvas.addEventListener("pointerup", (e) => this.end(e));
    canvas.addEventListener("pointercancel", () => this.leave());
    canvas.addEventListener("keydown", (e) => this.key(e));
    this.show();
  }

  get box() { return corners(this.view.where); }

  // at is where on the map a pointer is, px.
  at(e) { const { left, top } = this.view.track.canvas.getBoundingClientRect(); return [e.clientX - left, e.clientY - top]; }

  // pick has the next drag over the map, or keys, choose; asked for again, no more.
  pick(byKey) {
    const { track } = this.view, { canvas } = track;
    if (track.picking) return this.leave();
    track.picking = true;
    this.button.setAttribute("aria-pressed", "true");
    canvas.style.touchAction = "none";
    canvas.focus({ preventScroll: !byKey });
    this.hint.textContent = "Drag over the map. By keyboard, arrows move a box, with Shift they size it, Enter takes it and Escape leaves.";
    if (byKey) this.move(0, 0);
  }

  leave() {
    const { track } = this.view;
    this.from = this.draft = null;
    track.picking = false;
    track.canvas.style.touchAction = "";
    this.button.setAttribute("aria-pressed", "false");
    this.hint.textContent = "";
    track.later();
  }

  begin(e) {
    this.view.track.canvas.setPointerCapture(e.pointerId);
    this.from = this.at(e);
  }

  // stretch draws a box between two places of the map, px.
  stretch([x, y], [z, w]) {
    this.draft = [Math.min(x, z), Math.min(y, w), Math.max(x, z), Math.max(y, w)];
    this.view.track.later();
  }

  end(e) {
    if (!this.from) return;
    this.stretch(this.from, this.at(e));
    this.take();
  }

  take() {
    const [left, top, right, bottom] = this.draft, { from } = this.view.track.scale();
    if (right - left < LEAST || bottom - top < LEAST) return this.leave();
    const [west, north] = from([left, top]), [east, south] = from([right, bottom]);
    this.leave();
    this.set([south, round(west), north, round(east)].map((v) => v.toFixed(6)).join());
    this.view.track.canvas.focus({ preventScroll: true }); // so that Escape takes it away
  }

  // move shifts the box by parts of the map, and makes it larger by others.
  move(dx, dy, dw = 0, dh = 0) {
    const { w, ht, to } = this.view.track.scale(), { box } = this;
    if (!this.draft && box) this.stretch(to([box[1], box[2]]), to([box[3], box[0]]));
    const [left, top, right, bottom] = this.draft || [w / 3, ht / 3, (2 * w) / 3, (2 * ht) / 3];
    const wide = Math.max(STEP, (right - left) / w + dw) * w, high = Math.max(STEP, (bottom - top) / ht + dh) * ht;
    this.stretch([left + dx * w, top + dy * ht], [left + dx * w + wide, top + dy * ht + high]);
  }

  key(e) {
    const { picking } = this.view.track, [dx, dy] = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[e.key] || [];
    if (picking && dx != null) e.shiftKey ? this.move(0, 0, dx, -dy) : this.move(dx, dy);
    else if (picking && e.key === "Enter" && this.draft) this.take();
    else if (e.key === "Escape" && (picking || this.from)) { this.leave(); this.button.focus(); }
    else if (e.key === "Escape" && this.view.where) this.clear();
    else return;
    e.preventDefault();
  }

  clear() {
    this.set(null);
    this.button.focus();
    announce("The region is taken away");
  }

  set(where) {
    this.view.where = where;
    setParams({ region: where });
    this.spans = [];
    this.show(true);
    this.view.signals?.moved(0);
  }

  // show draws the region of the page, and asks when the car was in it.
  async show(tell) {
    const { view } = this, { where } = view;
    this.abort?.abort();
    this.drawn();
    if (!where) return;
    const { signal } = (this.abort = new AbortController());
    view.signal.addEventListener("abort", () => this.abort.abort(), { signal });
    try {
      const { stays, seconds } = await api(query(sessionPath(view.id, "/stays"), { region: where }), { signal });
      this.spans = stays.map((s) => [(Date.parse(s.from) - view.start) / 1000, (Date.parse(s.to) - view.start) / 1000]);
      this.drawn(`${stays.length ? `${count(stays.length)} ${stays.length > 1 ? "times" : "time"}, ${duration(seconds)}` : "never there"}`);
      if (tell) announce(`Region picked: ${this.chip.textContent}`);
    } catch (err) {
      if (err.name === "AbortError") return;
      this.drawn(err.message);
      view.failed(err);
    }
  }

  // drawn has map and charts drawn again, and says what is known of the region.
  drawn(text) {
    const { view, box } = this;
    view.track.later();
    view.stack.redraw();
    if (!view.where) return void replace(this.chip);
    const size = box && `${withUnit(round(box[3] - box[1]) * Math.cos((box[0] * Math.PI) / 180) * METRES_PER_DEGREE, "m", 0)} × ${withUnit((box[2] - box[0]) * METRES_PER_DEGREE, "m", 0)}`;
    replace(this.chip, h("button", { type: "button", class: "chip", title: "Clear the region", on: { click: () => this.clear() } }, h("span", { class: "sr" }, "Clear the region: "), [size, text].filter(Boolean).join(" · "), " ", icon("close")));
  }

  paint(g, to) {
    const { box, draft } = this, place = draft || (box && [...to([box[1], box[2]]), ...to([box[3], box[0]])]);
    if (!place) return;
    g.save();
    g.fillStyle = g.strokeStyle = css(COLOR);
    g.lineWidth = 1.5;
    if (draft) g.setLineDash([5, 4]);
    g.strokeRect(place[0], place[1], place[2] - place[0], place[3] - place[1]);
    g.globalAlpha = 0.12;
    g.fillRect(place[0], place[1], place[2] - place[0], place[3] - place[1]);
    g.restore();
  }

  // draw marks in a chart when the car was there.
  draw(plot) {
    const { ctx: g, bbox: { left, top, width, height } } = plot, ratio = devicePixelRatio || 1;
    g.save();
    g.fillStyle = css(COLOR);
    for (const [from, to] of this.spans) {
      const x = Math.max(left, plot.valToPos(from, "x", true)), end = Math.min(left + width, plot.valToPos(to, "x", true));
      if (end < left || x > left + width) continue;
      g.globalAlpha = 0.16;
      g.fillRect(x, top, Math.max(ratio, end - x), height);
      g.globalAlpha = 1;
      g.fillRect(x, top + height - 3 * ratio, Math.max(ratio, end - x), 3 * ratio);
    }
    g.restore();
  }
}
