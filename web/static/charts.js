// A stack of charts over one window. All share cursor and zoom; each zoom asks
// for the window anew, with as many points as the charts have pixels, so what
// is drawn is never thinned here: a line for the mean inside a band from lowest
// to highest, in which every spike shows.

import { h, icon, replace, announce, css, toast } from "./dom.js";
import { onTheme } from "./theme.js";
import { AXIS, PAD, Band } from "./bands.js";
import { gestures } from "./gestures.js";
import { isState } from "./channels.js";
import { drawLimits, limitsText, withLimits } from "./limits.js";
import { valuesTable } from "./table.js";
import { clock, clockSpan, duration, measure, num, title, unit, zone, NONE } from "./format.js";
import uPlot from "./vendor/uplot.js";

const MIN_SPAN = 0.05; // of a window, in seconds (or metres)
const HUES = 8;

export const hue = (i) => css(`--c${(i % HUES) + 1}`);
const alpha = (color, a) => color + Math.round(a * 255).toString(16).padStart(2, "0");

// lone lists the values between two gaps, which no line leads to.
function lone(values) {
  const out = [];
  let last = -1, alone = false; // of the value before, if it stands alone so far
  values.forEach((v, i) => {
    if (v === undefined) return;
    if (v === null) { if (alone) out.push(last); alone = false; last = -1; return; }
    alone = last < 0;
    last = i;
  });
  if (alone) out.push(last);
  return out;
}

const TIME_STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
const WAY_STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000];

export class ChartStack {
  // options: extent [a, b] in seconds since start (or metres), start in ms
  // since 1970, kind "time" or "distance", lines [{label, color?}], load(a, b,
  // points, metrics, signal) which gives data, onWindow(a, b, whole), onCursor(x or
  // null), and behind(context, box, first) which draws below the lines of a chart.
  constructor(root, options) {
    Object.assign(this, { kind: "time", clockTime: true, lines: [{}], metrics: [], failed: "", told: "" }, options);
    this.stateHues = Object.create(null); // channels may be called constructor
    this.win = [...this.extent];
    this.past = [];
    this.charts = [];
    this.bands = []; // of states, below the charts
    this.touches = new Map(); // where each finger is, by pointer, for gestures.js
    this.status = h("p", { class: "stack-status", id: "stack-status" });
    this.body = h("div", {
      class: "stack", tabindex: "0", role: "group", id: "charts", "aria-label": "Charts", "aria-describedby": "stack-keys stack-status",
    });
    this.keys = h("p", { class: "sr", id: "stack-keys" }, "Arrow left and right pan, plus and minus zoom, 0 shows everything, Backspace goes back, comma and full stop move the cursor and read the values, n and p go to the next and the previous mark, m makes a note.");
    this.table = h("div", { class: "table-scroll", hidden: true, tabindex: "0", role: "region", "aria-label": "Values of the charts as a table" });
    const hint = h("p", { class: "stack-hint", "aria-hidden": "true" }, "Drag to zoom, wheel to zoom, Shift and drag to pan, double click for everything. With the charts focused: arrows, + and −, 0, and , . for single values, n and p for marks.");
    const touchHint = h("p", { class: "stack-hint touch", "aria-hidden": "true" }, "Two fingers zoom, one moves along, a tap reads the values.");
    root.append(this.keys, this.status, this.body, hint, touchHint, this.table);
    this.body.addEventListener("keydown", (e) => this.key(e));
    this.resized = new ResizeObserver(() => this.resize());
    this.resized.observe(this.body);
    this.untheme = onTheme(() => this.rebuild());
  }

  destroy() {
    this.abort?.abort();
    this.closeNotice?.();
    clearTimeout(this.waiting);
    this.resized.disconnect();
    this.untheme();
    for (const c of this.charts) c.plot?.destroy();
  }

  get width() { return Math.max(160, this.body.clientWidth); }
  get points() { return Math.max(50, Math.min(4000, Math.round(this.width - AXIS - PAD))); }
  get whole() { return this.win[0] <= this.extent[0] && this.win[1] >= this.extent[1]; }

  // drawable are those that the axis allows: states have no place along the way.
  get drawable() { return this.kind === "distance" ? this.metrics.filter((m) => !isState(m)) : this.metrics; }

  // setMetrics chooses the charts: a list of channels, as the server lists them.
  setMetrics(metrics) {
    this.metrics = metrics;
    this.data = null;
    this.rebuild();
    this.reload(0);
  }

  setExtent(a, b) {
    const all = this.whole;
    this.extent = [a, b];
    if (all && !this.following) this.show(a, b, { keep: false });
  }

  // show moves to the window from a to b, which may reach beyond the run by nothing.
  show(a, b, { keep = true, quiet = false, wait = 60 } = {}) {
    const [lo, hi] = this.extent;
    let span = Math.max(MIN_SPAN, Math.min(b - a, hi - lo));
    if (b - a < span) { const mid = (a + b) / 2; a = mid - span / 2; }
    a = Math.min(Math.max(a, lo), hi - span);
    b = a + span;
    if (a === this.win[0] && b === this.win[1]) return;
    if (keep && !this.following) { this.past.push(this.win); if (this.past.length > 50) this.past.shift(); }
    this.win = [a, b];
    this.scale();
    this.onWindow?.(a, b, this.whole);
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

  back() {
    const before = this.past.pop();
    if (before) this.show(...before, { keep: false });
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
    this.charts = this.metrics.filter((m) => !isState(m)).map((metric, i) => this.chart(metric, i));
    this.bands = this.drawable.filter(isState).map((metric) => new Band(this, metric));
    const all = [...this.charts, ...this.bands];
    replace(this.body, all.length ? all.map((c) => c.node) : h("p", { class: "empty" }, this.metrics.length ? "States are drawn by time." : "Choose a metric to draw."));
    this.built = this.width;
    if (this.data) this.draw();
  }

  chart(metric, i) {
    const colors = this.lines.map((line, k) => line.color || (this.lines.length > 1 ? hue(k) : metric.colour || hue(i)));
    const id = `chart-${metric.name}`;
    const values = this.lines.map((line, k) => {
      const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = colors[k];
      return { node: h("span", { class: "readout" }, this.lines.length > 1 && swatch, h("output", null, NONE)), swatch };
    });
    const range = h("span", { class: "range muted" });
    const level = h("span", { class: "level muted" });
    const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = colors[0];
    const bounds = limitsText(metric);
    const holder = h("div", { class: "plot", role: "img", "aria-labelledby": `${id}-title ${id}-range${bounds && ` ${id}-limits`}` });
    range.id = `${id}-range`;
    const node = h("section", { class: "chart", "aria-labelledby": `${id}-title`, "data-metric": metric.name },
      h("header", null,
        h("h3", { id: `${id}-title`, title: metric.meaning }, this.lines.length === 1 && swatch, title(metric), metric.unit && h("span", { class: "unit" }, unit(metric.unit))),
        bounds && h("span", { class: "sr", id: `${id}-limits` }, `Limits: ${bounds}`),
        h("span", { class: "readouts" }, values.map((v) => v.node)), range, level,
        this.onRemove && h("button", { class: "plain tiny", type: "button", "aria-label": `Remove ${title(metric)}`, on: { click: () => this.onRemove(metric.name) } }, icon("close"))),
      holder);
    return { metric, node, holder, range, level, outputs: values.map((v) => v.node.querySelector("output")), colors };
  }

  // arrays gives what a chart draws: x, then lowest, highest and mean of each line.
  arrays(chart) {
    const data = [this.data.x];
    for (const line of this.data.columns[chart.metric.name] || []) data.push(line.min, line.max, line.avg);
    while (data.length < 1 + 3 * this.lines.length) data.push(this.data.x.map(() => null));
    return data;
  }

  plot(chart) {
    const line = css("--line"), muted = css("--muted"), font = "11px system-ui, sans-serif";
    const series = [{}], bands = [];
    this.lines.forEach((l, k) => {
      const color = chart.colors[k], edge = { stroke: alpha(color, 0.55), width: 1, points: { show: false }, spanGaps: false };
      series.push({ ...edge }, { ...edge }, {
        stroke: color, width: 1.6, spanGaps: false, dash: k ? [8, 2 + k] : undefined,
        points: { show: (u, si, i0, i1) => i1 - i0 < this.points / 14, filter: (u, si, show) => (show ? null : lone(u.data[si])), size: 4, fill: color },
      });
      bands.push({ series: [2 + 3 * k, 1 + 3 * k], fill: alpha(color, 0.22) });
    });
    const offset = () => {
      if (this.kind === "distance" || !this.clockTime) return 0;
      const t = this.start / 1000;
      return t - new Date(this.start).getTimezoneOffset() * 60;
    };
    const u = new uPlot({
      width: this.width, height: this.height, series, bands, padding: [8, PAD, 0, 0], legend: { show: false }, ms: 1e-3,
      scales: {
        x: { time: false, range: () => this.win },
        y: { range: (_, lo, hi) => {
          if (lo == null) return [0, 1];
          [lo, hi] = withLimits(chart.metric, lo, hi);
          const pad = (hi - lo) * 0.09 || Math.abs(hi) * 0.1 || 1;
          return [lo >= 0 && lo - pad < 0 ? 0 : lo - pad, hi + pad];
        } },
      },
      axes: [
        {
          stroke: muted, font, size: 24, gap: 3, space: 84, grid: { stroke: line, width: 1 }, ticks: { show: false },
          incrs: this.kind === "distance" ? WAY_STEPS : TIME_STEPS,
          splits: (_, __, lo, hi, step) => {
            const shift = offset(), out = [];
            for (let n = Math.ceil((lo + shift) / step); n * step <= hi + shift; n++) out.push(n * step - shift);
            return out;
          },
          values: (_, splits) => {
            const span = splits.length > 1 ? (splits[1] - splits[0]) * 9 : this.win[1] - this.win[0];
            return splits.map((v) => this.x(v, span));
          },
        },
        { stroke: muted, font, size: AXIS, gap: 6, space: 34, grid: { stroke: line, width: 1 }, ticks: { show: false }, values: (_, splits) => splits.map((v) => (Math.abs(v) >= 10000 ? `${num(v / 1000, splits[1] - splits[0] < 1000 ? 1 : 0)}k` : String(+v.toFixed(6)))) },
      ],
      cursor: {
        drag: { x: false, y: false, setScale: false }, focus: { prox: -1 }, y: false,
        bind: { dblclick: () => null, mousedown: () => null, mouseup: () => null },
        points: { show: (_, si) => {
          if (si % 3) return false;
          const point = h("div", { class: "cursor-point" });
          point.style.background = chart.colors[si / 3 - 1];
          return point;
        } },
      },
      select: { show: true, left: 0, top: 0, width: 0, height: 0 },
      hooks: { drawAxes: [(plot) => { this.behind?.(plot.ctx, plot.bbox, chart === this.charts[0]); drawLimits(plot, chart.metric); }], draw: [(plot) => this.onPlot?.(plot)], setCursor: [(plot) => this.moved(chart, plot)] },
    }, this.arrays(chart), chart.holder);
    gestures(this, u);
    return u;
  }

  get height() { return innerWidth < 640 ? 142 : this.metrics.length > 4 ? 150 : 176; }

  draw() {
    if (!this.data) return;
    for (const chart of this.charts) {
      if (chart.plot) {
        chart.plot.setData(this.arrays(chart), false);
        chart.plot.setScale("x", { min: this.win[0], max: this.win[1] });
      } else {
        chart.plot = this.plot(chart);
      }
      this.figures(chart);
    }
    for (const band of this.bands) band.show(this.data);
    if (this.cursorAt != null) this.values(this.cursorAt);
    this.report();
    this.onDraw?.(this.data);
    if (!this.table.hidden && !this.following) replace(this.table, valuesTable(this));
  }

  // redraw draws the charts again, since what is behind their lines changed.
  redraw() { for (const { plot } of this.charts) plot?.redraw(false); }

  scale() {
    for (const { plot } of this.charts) {
      plot?.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      plot?.setScale("x", { min: this.win[0], max: this.win[1] });
    }
    for (const band of this.bands) band.draw();
    this.report();
  }

  resize() {
    if (Math.abs(this.width - (this.built || 0)) < 2) return;
    this.built = this.width;
    for (const { plot } of this.charts) plot?.setSize({ width: this.width, height: this.height });
    for (const band of this.bands) band.draw();
    this.quiet = true;
    this.reload(250);
  }

  // figures writes what the window holds: lowest, mean and highest.
  figures(chart) {
    const lines = this.data.columns[chart.metric.name] || [], write = (v) => measure(v, chart.metric);
    const text = lines.map((line) => {
      let lo = Infinity, hi = -Infinity, sum = 0, n = 0;
      for (let i = 0; i < this.data.x.length; i++) {
        if (line.avg[i] == null || this.data.x[i] < this.win[0] || this.data.x[i] > this.win[1]) continue;
        if (line.min[i] < lo) lo = line.min[i];
        if (line.max[i] > hi) hi = line.max[i];
        const weight = line.count?.[i] ?? 1;
        sum += line.avg[i] * weight;
        n += weight;
      }
      line.stats = n ? { lo, hi, mean: sum / n } : null;
      return line.stats && `min ${write(lo)} · avg ${write(sum / n)} · max ${write(hi)}`;
    });
    chart.range.textContent = lines.length > 1 ? "" : text[0] || "no data here";
    chart.summary = text[0] && `${title(chart.metric)} ${text[0].replaceAll(" · ", ", ")} ${unit(chart.metric.unit)}`;
    chart.level.textContent = this.data.info?.short || "";
    if (this.cursorAt == null) this.rest(chart);
  }

  // rest shows, without a cursor, the newest value of a live run.
  rest(chart) {
    const lines = this.data?.columns[chart.metric.name] || [];
    chart.outputs.forEach((out, k) => {
      let v = null;
      if (this.following && lines[k]) for (let i = lines[k].avg.length - 1; i >= 0 && v == null; i--) v = lines[k].avg[i];
      out.textContent = v == null ? (this.lines.length > 1 && lines[k]?.stats ? `avg ${measure(lines[k].stats.mean, chart.metric)}` : "") : measure(v, chart.metric);
    });
  }

  moved(chart, plot) {
    if (this.syncing) return;
    const left = plot.cursor.left;
    const x = left >= 0 && plot.cursor.idx != null ? plot.data[0][plot.cursor.idx] : null;
    if (x == null) return this.setCursor(null, chart);
    this.setCursor(plot.posToVal(left, "x"), chart);
  }

  // setCursor puts the cursor of all charts at x; null takes it away.
  setCursor(x, from) {
    this.cursorAt = x;
    this.syncing = true;
    for (const chart of this.charts) {
      if (chart === from || !chart.plot) continue;
      chart.plot.setCursor(x == null ? { left: -10, top: -10 } : { left: chart.plot.valToPos(x, "x"), top: 10 }, false);
    }
    this.syncing = false;
    if (x == null) for (const chart of this.charts) this.rest(chart);
    else this.values(x);
    for (const band of this.bands) band.read(x);
    this.onCursor?.(x);
  }

  index(x) {
    const list = this.data.x;
    let lo = 0, hi = list.length - 1;
    while (lo < hi) { const mid = (lo + hi) >> 1; list[mid] < x ? (lo = mid + 1) : (hi = mid); }
    return lo > 0 && x - list[lo - 1] < list[lo] - x ? lo - 1 : lo;
  }

  // nearest is the place of the value that is drawn at i: that of a sample on
  // either side where the line goes across a column without one.
  nearest(line, i) {
    if (line.avg[i] !== undefined) return i;
    for (let by = 1; by < line.avg.length; by++) {
      if (line.avg[i - by] === null || line.avg[i + by] === null) return i;
      if (line.avg[i - by] !== undefined) return i - by;
      if (line.avg[i + by] !== undefined) return i + by;
    }
    return i;
  }

  values(x) {
    if (!this.data?.x.length) return;
    const i = this.index(x);
    for (const chart of this.charts) {
      const lines = this.data.columns[chart.metric.name] || [], write = (v) => measure(v, chart.metric);
      chart.outputs.forEach((out, k) => {
        const line = lines[k], at = line ? this.nearest(line, i) : i, v = line?.avg[at];
        out.textContent = v == null ? NONE : line.max[at] - line.min[at] > Math.abs(v) * 1e-9 ? `${write(v)} (${write(line.min[at])} to ${write(line.max[at])})` : write(v);
      });
    }
    this.status.dataset.at = this.x(this.data.x[i], 1);
  }

  key(e) {
    if (e.target !== this.body || e.altKey || e.metaKey || e.ctrlKey) return;
    const act = {
      ArrowLeft: () => this.pan(-0.2), ArrowRight: () => this.pan(0.2),
      ArrowUp: () => this.zoom(0.5), ArrowDown: () => this.zoom(2),
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), _: () => this.zoom(2),
      0: () => this.reset(), Home: () => this.reset(), Escape: () => this.reset(), Backspace: () => this.back(),
      ",": () => this.step(-1), ".": () => this.step(1),
      n: this.onMark && (() => this.onMark(1)), p: this.onMark && (() => this.onMark(-1)), m: this.onNote,
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
    announce(`${this.x(x, 1)}: ${[...this.charts, ...this.bands].map((c) => `${title(c.metric)} ${c.outputs[0].textContent} ${unit(c.metric.unit)}`).join(", ")}`);
  }

  // toggleTable shows what is drawn as a table of at most 60 rows.
  toggleTable() {
    this.table.hidden = !this.table.hidden;
    if (!this.table.hidden) replace(this.table, valuesTable(this));
    return !this.table.hidden;
  }
}
