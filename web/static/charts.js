// A stack of charts over one window. All share cursor and zoom; each zoom asks
// for the window anew, with as many points as the charts have pixels, so what
// is drawn is never thinned here: a line for the mean inside a band from lowest
// to highest, in which every spike shows.

import { h, icon, replace, announce, css, toast } from "./dom.js";
import { onTheme } from "./theme.js";
import { chosen, unitsOf } from "./arrange.js";
import { AXIS, PAD, RIGHT, Band } from "./bands.js";
import { Chart } from "./chart.js";
import { isState } from "./channels.js";
import { clock, clockSpan, duration, num, title, unit, zone } from "./format.js";

const MIN_SPAN = 0.05; // of a window, in seconds (or metres)
const EDGE = 200; // px at either end of what is on screen, in which a chart is out of sight

export class ChartStack {
  // options: extent [a, b] in seconds since start (or metres), start in ms
  // since 1970, kind "time" or "distance", lines [{label, color?}], load(a, b,
  // points, metrics, signal) which gives data, onWindow(a, b, whole), onCursor(x or
  // null), behind(context, box, first) which draws below the lines of a chart, caption()
  // of pictures, onArrange(charts), told of another arrangement, and choices(), the
  // channels that a chart can take.
  constructor(root, options) {
    Object.assign(this, { kind: "time", clockTime: true, lines: [{}], metrics: [], arrangement: [], right: PAD, failed: "", told: "", onArrange: (charts) => this.setMetrics(this.metrics, charts) }, options);
    this.stateHues = Object.create(null); // channels may be called constructor
    this.hues = new Map();
    this.win = [...this.extent];
    this.charts = [];
    this.bands = []; // of states, below the charts
    this.guests = []; // who draws and reads along: each may have plot(plot), drawn(), cursor(x), window(step), key(event)
    this.touches = new Map(); // where each finger is, by pointer, for gestures.js
    this.status = h("p", { class: "stack-status", id: "stack-status" });
    this.body = h("div", {
      class: "stack", tabindex: "0", role: "group", id: "charts", "aria-label": "Charts", "aria-describedby": "stack-keys stack-status",
    });
    this.keys = h("p", { class: "sr", id: "stack-keys" }, "Arrow left and right pan, plus and minus zoom, 0 shows everything, Backspace goes back, comma and full stop move the cursor and read the values, Enter pins it and Escape takes pinned ones away.");
    this.table = h("div", { class: "table-scroll", hidden: true, tabindex: "0", role: "region", "aria-label": "Values of the charts as a table" });
    this.hint = h("p", { class: "stack-hint", "aria-hidden": "true" }, "Drag to zoom, or turn the wheel with Ctrl, Shift and drag to pan, double click for everything. With the charts focused: arrows, + and −, 0, and , . for single values.");
    const touchHint = h("p", { class: "stack-hint touch", "aria-hidden": "true" }, "Two fingers zoom, one moves along, a tap reads the values.");
    root.append(this.keys, this.status, this.body, this.hint, touchHint, this.table);
    this.body.addEventListener("keydown", (e) => this.key(e));
    this.resized = new ResizeObserver(() => this.resize());
    this.resized.observe(this.body);
    this.untheme = onTheme(() => this.rebuild());
    this.sight = new IntersectionObserver(([{ isIntersecting }]) => this.body.classList.toggle("in-sight", isIntersecting), { rootMargin: `${-EDGE}px 0px` });
    this.sight.observe(this.body);
  }

  destroy() {
    this.abort?.abort();
    this.closeNotice?.();
    clearTimeout(this.waiting);
    this.resized.disconnect();
    this.sight.disconnect();
    this.untheme();
    for (const c of this.charts) c.plot?.destroy();
  }

  get width() { return Math.max(160, this.body.clientWidth); }
  get points() { return Math.max(50, Math.min(4000, Math.round(this.width - AXIS - this.right))); }
  get whole() { return this.win[0] <= this.extent[0] && this.win[1] >= this.extent[1]; }

  // drawable are those that the axis allows: states have no place along the way.
  get drawable() { return this.kind === "distance" ? this.metrics.filter((m) => !isState(m)) : this.metrics; }

  // readers are what shows the values of a channel, in the order of the page.
  get readers() { return [...this.charts, ...this.bands].flatMap((c) => c.readers); }

  // height of a chart of the usual size, px: the lower the more there are.
  get height() { const n = this.arrangement.length; return innerWidth < 640 ? 142 : n > 6 ? 118 : n > 4 ? 150 : 176; }

  // zero is where the steps of the axis of time count from, s: the hours of a day are local ones.
  zero() {
    if (this.kind === "distance" || !this.clockTime) return 0;
    return this.start / 1000 - new Date(this.start).getTimezoneOffset() * 60;
  }

  // mean is that of what the window shows of a line. By distance it is what is known of
  // the whole: a mean of places is none of the time.
  mean(line) { return this.kind === "time" ? line?.stats?.mean : this.whole ? line?.mean : null; }

  tell(what, ...of) { for (const guest of this.guests) guest[what]?.(...of); }

  // setMetrics chooses the channels, as the server lists them, and how they stand in
  // charts. What is loaded is kept if it has them all.
  setMetrics(metrics, arrangement = chosen(this.arrangement, metrics.map((m) => m.name))) {
    Object.assign(this, { metrics, arrangement });
    const known = this.data && !this.waiting && !this.abort && metrics.every((m) => m.name in this.data.columns);
    if (!known) this.data = null;
    this.rebuild();
    if (!known) this.reload(0);
  }

  setExtent(a, b) {
    const all = this.whole;
    this.extent = [a, b];
    if (all && !this.following) this.show(a, b, { keep: false });
  }

  // show moves to the window from a to b, which may reach beyond the run by nothing;
  // where it is to be kept, Back leads to the one before.
  show(a, b, { keep = true, quiet = false, wait = 60 } = {}) {
    const [lo, hi] = this.extent;
    let span = Math.max(MIN_SPAN, Math.min(b - a, hi - lo));
    if (b - a < span) { const mid = (a + b) / 2; a = mid - span / 2; }
    a = Math.min(Math.max(a, lo), hi - span);
    b = a + span;
    if (a === this.win[0] && b === this.win[1]) return;
    this.win = [a, b];
    this.scale();
    this.onWindow?.(a, b, this.whole);
    this.tell("window", keep && !this.following);
    this.quiet = quiet;
    this.reload(wait);
  }

  zoom(factor, at = (this.win[0] + this.win[1]) / 2) {
    const [a, b] = this.win;
    this.show(at - (at - a) * factor, at + (b - at) * factor);
  }

  pan(part) {
    const by = (this.win[1] - this.win[0]) * part;
    this.show(this.win[0] + by, this.win[1] + by, { keep: false });
  }

  reset() { this.show(...this.extent); }

  // reveal scrolls to the charts, where what was chosen elsewhere changes them unseen.
  reveal() {
    const { top, bottom } = this.body.getBoundingClientRect();
    if (bottom < EDGE || top > innerHeight - EDGE) this.body.scrollIntoView();
  }

  // follow draws live data instead of loading any: x and columns as load gives
  // them, window [a, b]. unfollow goes back to loading.
  follow(data, a, b) {
    this.following = true;
    this.abort?.abort();
    clearTimeout(this.waiting);
    this.win = [a, b];
    this.data = data;
    this.draw();
  }

  unfollow() { this.following = false; this.stale(false); }

  // stale greys the values out: they are the newest, but no longer of now.
  stale(on) { this.body.classList.toggle("stale", on); }

  reload(wait) {
    clearTimeout(this.waiting);
    if (this.following || !this.drawable.length) return;
    this.waiting = setTimeout(() => this.load1(), wait);
  }

  async load1() {
    this.waiting = 0;
    this.abort?.abort();
    const abort = (this.abort = new AbortController());
    const [a, b] = this.win;
    this.body.setAttribute("aria-busy", "true");
    this.body.classList.add("loading");
    try {
      const data = await this.load(a, b, this.points, this.drawable, abort.signal);
      if (abort.signal.aborted || this.following) return;
      this.data = data;
      this.failed = "";
      this.draw();
      if (!this.quiet) announce(`${this.describe()}. ${this.charts.map((c) => c.summary).filter(Boolean).slice(0, 2).join(". ")}`);
    } catch (err) {
      if (err.name === "AbortError" || abort.signal.aborted) return;
      this.failed = err.message;
      this.report();
    } finally {
      if (this.abort === abort) {
        this.abort = null;
        this.body.removeAttribute("aria-busy");
        this.body.classList.remove("loading");
      }
    }
  }

  x(v, span = this.win[1] - this.win[0]) {
    if (this.kind === "distance") return span > 5000 ? `${num(v / 1000, 1)} km` : `${num(v, span < 20 ? 1 : 0)} m`;
    if (this.clockTime) return clock(this.start + v * 1000, span);
    return clockSpan(v, span > 30 ? 0 : span > 3 ? 1 : 3);
  }

  describe() {
    const [a, b] = this.win, span = b - a;
    const width = this.kind === "distance" ? this.x(span, span) : duration(span);
    const info = this.data?.info;
    const within = this.kind === "distance" || !this.clockTime ? "" : ` ${zone(new Date(this.start + a * 1000))}`;
    return `${this.x(a)} to ${this.x(b)}${within}, ${width}${info ? `, ${info.text}` : ""}`;
  }

  // report states the window, or what went wrong: also as a notice, since the
  // charts may be scrolled away from their head.
  report() {
    replace(this.status, this.failed ? h("span", { class: "problem" }, this.failed) : this.describe());
    if (this.failed === this.told) return;
    this.told = this.failed;
    this.closeNotice?.();
    this.closeNotice = this.failed && toast(this.failed, "error");
  }

  rebuild() {
    for (const c of this.charts) c.plot?.destroy();
    const by = new Map(this.metrics.map((m) => [m.name, m]));
    const groups = this.arrangement.map((place) => [place, place.names.map((name) => by.get(name)).filter((m) => m && !isState(m))]).filter(([, group]) => group.length);
    this.right = Math.max(PAD, ...groups.map(([, group]) => RIGHT * (unitsOf(group).length - 1)));
    this.keepHues(groups.flatMap(([, group]) => group.map((m) => m.name)));
    this.charts = groups.map(([place, group]) => new Chart(this, group, place));
    this.bands = this.drawable.filter(isState).map((metric) => new Band(this, metric));
    const all = [...this.charts, ...this.bands];
    replace(this.body, all.length ? all.map((c) => c.node) : h("p", { class: "empty" }, this.metrics.length ? "States are drawn by time." : "Choose a metric to draw."));
    this.built = this.width;
    if (this.data) this.draw();
  }

  // keepHues gives each channel a colour that stays with it, wherever it is moved.
  keepHues(names) {
    this.hues = new Map([...this.hues].filter(([name]) => names.includes(name)));
    for (const name of names) {
      const used = new Set(this.hues.values());
      if (!this.hues.has(name)) this.hues.set(name, names.findIndex((_, i) => !used.has(i)));
    }
  }

  draw() {
    if (!this.data) return;
    for (const chart of this.charts) chart.draw();
    for (const band of this.bands) band.show(this.data);
    if (this.cursorAt != null) this.values(this.cursorAt);
    this.report();
    this.tell("drawn");
    if (!this.table.hidden && !this.following) this.fillTable();
  }

  // redraw draws the charts again, since what is behind their lines changed.
  redraw() { for (const { plot } of this.charts) plot?.redraw(false); }

  scale() {
    for (const chart of this.charts) chart.scale();
    for (const band of this.bands) band.draw();
    this.report();
  }

  resize() {
    if (Math.abs(this.width - (this.built || 0)) < 2) return;
    this.built = this.width;
    for (const chart of this.charts) chart.resize();
    for (const band of this.bands) band.draw();
    this.quiet = true;
    this.reload(250);
  }

  // setCursor puts the cursor of all charts at x; null takes it away.
  setCursor(x, from) {
    this.cursorAt = x;
    this.syncing = true;
    for (const chart of this.charts) if (chart !== from) chart.point(x);
    this.syncing = false;
    if (x == null) for (const chart of this.charts) chart.rest();
    else this.values(x);
    for (const band of this.bands) band.read(x);
    this.onCursor?.(x);
    this.tell("cursor", x);
  }

  index(x) {
    const list = this.data.x;
    let lo = 0, hi = list.length - 1;
    while (lo < hi) { const mid = (lo + hi) >> 1; list[mid] < x ? (lo = mid + 1) : (hi = mid); }
    return lo > 0 && x - list[lo - 1] < list[lo] - x ? lo - 1 : lo;
  }

  values(x) {
    if (!this.data?.x.length) return;
    const i = this.index(x), before = this.data.x[i] > x ? i - 1 : i; // a gap reaches up to what comes after it
    for (const chart of this.charts) chart.read(i, before);
    this.status.dataset.at = this.x(this.data.x[i], 1);
  }

  key(e) {
    if (e.target !== this.body || e.altKey || e.metaKey || e.ctrlKey) return;
    if (this.guests.some((guest) => guest.key?.(e))) return void e.preventDefault();
    const act = {
      ArrowLeft: () => this.pan(-0.2), ArrowRight: () => this.pan(0.2),
      ArrowUp: () => this.zoom(0.5), ArrowDown: () => this.zoom(2),
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), _: () => this.zoom(2),
      0: () => this.reset(), Home: () => this.reset(), Escape: () => this.reset(), Backspace: this.onBack,
      ",": () => this.step(-1), ".": () => this.step(1),
      n: this.onMark && (() => this.onMark(1)), p: this.onMark && (() => this.onMark(-1)), m: this.onNote, Enter: this.onPin && (() => this.onPin()),
    }[e.key];
    if (!act) return;
    e.preventDefault();
    this.onTouch?.();
    act();
  }

  // step moves the cursor by one point and reads the values out.
  step(by) {
    if (!this.data?.x.length) return;
    const i = this.cursorAt == null ? this.index((this.win[0] + this.win[1]) / 2) : this.index(this.cursorAt) + by;
    const x = this.data.x[Math.max(0, Math.min(this.data.x.length - 1, i))];
    this.setCursor(x);
    announce(`${this.x(x, 1)}: ${this.readers.map(({ channel, outputs }) => `${title(channel)} ${outputs[0].textContent} ${unit(channel.unit)}`).join(", ")}`);
  }

  // toggleTable shows what is drawn as a table of at most 60 rows.
  toggleTable() {
    this.table.hidden = !this.table.hidden;
    if (!this.table.hidden) this.fillTable();
    return !this.table.hidden;
  }

  fillTable() { import("./table.js").then(({ valuesTable }) => replace(this.table, valuesTable(this))); }
}
