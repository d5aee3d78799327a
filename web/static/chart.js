// One chart of a stack: its head with what is read, and what uPlot draws. Several
// channels may share it: those of one unit have one axis, of two units one each.

import { css, h, icon, replace, toast } from "./dom.js";
import { AXIS } from "./bands.js";
import { gestures } from "./gestures.js";
import { drawLimits, limitsText, withLimits } from "./limits.js";
import { measure, num, title, unit, NONE } from "./format.js";
import uPlot from "./vendor/uplot.js";

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

export const SCALES = ["y", "y2"]; // of the axes on the left and on the right

export class Chart {
  // channels are drawn in it, of at most two units; first is the place of their first
  // among all that the stack draws.
  constructor(stack, channels, first) {
    Object.assign(this, { stack, channels, metric: channels[0] });
    this.units = [...new Set(channels.map((c) => c.unit || ""))];
    // Each line of each channel, in the order in which it is drawn.
    this.traces = channels.flatMap((channel, j) => stack.lines.map((line, k) => ({
      channel, k, scale: SCALES[this.units.indexOf(channel.unit || "")],
      color: line.color || (stack.lines.length > 1 ? hue(k) : channel.colour || hue(first + j)),
      dash: stack.lines.length > 1 ? j * 2 + k : 0,
    })));
    this.holder = h("div", { class: "plot", role: "img", "aria-labelledby": channels.map((c) => `chart-${c.name}-title chart-${c.name}-range${limitsText(c) && ` chart-${c.name}-limits`}`).join(" ") });
    this.heads = channels.map((channel, j) => this.head(channel, j));
    this.foot = h("div", { class: "chart-foot" });
    this.node = h("section", { class: "chart", "aria-labelledby": channels.map((c) => `chart-${c.name}-title`).join(" "), "data-metric": this.metric.name }, this.heads.map((head) => head.node), this.holder, this.foot);
  }

  head(channel, j) {
    const { stack } = this, id = `chart-${channel.name}`, bounds = limitsText(channel), mine = this.traces.filter((t) => t.channel === channel);
    const swatchOf = (trace) => {
      const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = trace.color;
      return swatch;
    };
    for (const trace of mine) trace.output = h("output", null, NONE);
    const [low, mean, high] = ["min", "", "max"].map((what) => what ? h("button", { type: "button", title: `Put the cursor at the ${what === "min" ? "lowest" : "highest"} value`, on: { click: () => import("./peaks.js").then(({ toPeak }) => toPeak(stack, channel, 0, what)).catch((err) => toast(err.message, "error")) } }) : h("span"));
    const range = h("span", { class: "range muted", id: `${id}-range` }), level = h("span", { class: "level muted" });
    const node = h("header", { "data-metric": j > 0 && channel.name },
      h("h3", { id: `${id}-title`, title: channel.meaning }, mine.length === 1 && swatchOf(mine[0]), title(channel), channel.unit && h("span", { class: "unit" }, unit(channel.unit))),
      bounds && h("span", { class: "sr", id: `${id}-limits` }, `Limits: ${bounds}`),
      h("span", { class: "readouts" }, mine.map((trace) => h("span", { class: "readout" }, mine.length > 1 && swatchOf(trace), trace.output))), range, level,
      stack.onRemove && h("button", { class: "plain tiny", type: "button", "aria-label": `Remove ${title(channel)}`, on: { click: () => stack.onRemove(channel.name) } }, icon("close")));
    return { channel, node, range, figures: [low, mean, high], level, traces: mine, outputs: mine.map((t) => t.output) };
  }

  // lineOf is what was loaded for a trace.
  lineOf({ channel, k }) { return this.stack.data?.columns[channel.name]?.[k]; }

  // arrays gives what uPlot draws: x, then lowest, highest and mean of each line.
  arrays() {
    const { x } = this.stack.data, none = () => x.map(() => null);
    return [x, ...this.traces.flatMap((trace) => { const line = this.lineOf(trace); return line?.avg ? [line.min, line.max, line.avg] : [none(), none(), none()]; })];
  }

  get height() { return this.stack.heightOf(this.metric.name); }

  draw() {
    const { win } = this.stack;
    if (this.plot) {
      this.plot.setData(this.arrays(), false);
      this.plot.setScale("x", { min: win[0], max: win[1] });
    } else {
      this.plot = this.make();
    }
    this.figures();
  }

  // scale moves to the stack's window before it is loaded.
  scale() {
    const [min, max] = this.stack.win;
    this.plot?.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.plot?.setScale("x", { min, max });
  }

  resize() { this.plot?.setSize({ width: this.stack.width, height: this.height }); }

  make() {
    const { stack } = this, line = css("--line"), muted = css("--muted"), font = "11px system-ui, sans-serif";
    const series = [{}], bands = [];
    this.traces.forEach(({ color, scale, dash }, i) => {
      const edge = { scale, stroke: alpha(color, 0.55), width: 1, points: { show: false }, spanGaps: false };
      series.push({ ...edge }, { ...edge }, {
        scale, stroke: color, width: 1.6, spanGaps: false, dash: dash ? [8, 2 + dash] : undefined,
        points: { show: (u, si, i0, i1) => i1 - i0 < stack.points / 14, filter: (u, si, show) => (show ? null : lone(u.data[si])), size: 4, fill: color },
      });
      bands.push({ series: [2 + 3 * i, 1 + 3 * i], fill: alpha(color, 0.22) });
    });
    const values = (_, splits) => splits.map((v) => (Math.abs(v) >= 10000 ? `${num(v / 1000, splits[1] - splits[0] < 1000 ? 1 : 0)}k` : String(+v.toFixed(6))));
    const only = (scale) => this.channels.filter((c) => SCALES[this.units.indexOf(c.unit || "")] === scale);
    const range = (scale) => (_, lo, hi) => {
      if (lo == null) return [0, 1];
      for (const channel of only(scale)) [lo, hi] = withLimits(channel, lo, hi);
      const pad = (hi - lo) * 0.09 || Math.abs(hi) * 0.1 || 1;
      return [lo >= 0 && lo - pad < 0 ? 0 : lo - pad, hi + pad];
    };
    const used = SCALES.slice(0, this.units.length), tall = this.height > 110;
    const u = new uPlot({
      width: stack.width, height: this.height, series, bands, padding: [8, used.length > 1 ? 0 : stack.right, 0, 0], legend: { show: false }, ms: 1e-3,
      scales: { x: { time: false, range: () => stack.win }, ...Object.fromEntries(used.map((scale) => [scale, { range: range(scale) }])) },
      axes: [
        {
          stroke: muted, font, size: 24, gap: 3, space: 84, grid: { stroke: line, width: 1 }, ticks: { show: false },
          incrs: stack.kind === "distance" ? WAY_STEPS : TIME_STEPS,
          splits: (_, __, lo, hi, step) => {
            const shift = stack.zero(), out = [];
            for (let n = Math.ceil((lo + shift) / step); n * step <= hi + shift; n++) out.push(n * step - shift);
            return out;
          },
          values: (_, splits) => {
            const span = splits.length > 1 ? (splits[1] - splits[0]) * 9 : stack.win[1] - stack.win[0];
            return splits.map((v) => stack.x(v, span));
          },
        },
        ...used.map((scale, i) => ({
          scale, side: i ? 1 : 3, font, size: AXIS, gap: 6, space: tall ? 34 : 24, grid: { show: !i, stroke: line, width: 1 }, ticks: { show: false }, values,
          stroke: used.length > 1 ? this.traces.find((t) => t.scale === scale).color : muted,
        })),
      ],
      cursor: {
        drag: { x: false, y: false, setScale: false }, focus: { prox: -1 }, y: false,
        bind: { dblclick: () => null, mousedown: () => null, mouseup: () => null },
        points: { show: (_, si) => {
          if (si % 3) return false;
          const point = h("div", { class: "cursor-point" });
          point.style.background = this.traces[si / 3 - 1].color;
          return point;
        } },
      },
      select: { show: true, left: 0, top: 0, width: 0, height: 0 },
      hooks: {
        drawAxes: [(plot) => { stack.behind?.(plot.ctx, plot.bbox, this === stack.charts[0]); for (const scale of used) for (const channel of only(scale)) drawLimits(plot, channel, scale); }],
        draw: [(plot) => stack.tell("plot", plot)], setCursor: [(plot) => this.moved(plot)],
      },
    }, this.arrays(), this.holder);
    gestures(stack, u);
    return u;
  }

  moved(plot) {
    const { stack } = this, { left, idx } = plot.cursor;
    if (stack.syncing) return;
    stack.setCursor(left >= 0 && idx != null && plot.data[0][idx] != null ? plot.posToVal(left, "x") : null, this);
  }

  // point puts the cursor at x; null takes it away.
  point(x) { this.plot?.setCursor(x == null ? { left: -10, top: -10 } : { left: this.plot.valToPos(x, "x"), top: 10 }, false); }

  // figures writes what the window holds: lowest, mean and highest.
  figures() {
    const { stack } = this, { x, info } = stack.data, [from, to] = stack.win;
    for (const head of this.heads) {
      const lines = head.traces.map((trace) => this.lineOf(trace)).filter(Boolean), write = (v) => measure(v, head.channel);
      for (const line of lines) {
        let lo = Infinity, hi = -Infinity, sum = 0, n = 0;
        for (let i = 0; i < x.length; i++) {
          if (line.avg[i] == null || x[i] < from || x[i] > to) continue;
          if (line.min[i] < lo) lo = line.min[i];
          if (line.max[i] > hi) hi = line.max[i];
          const weight = line.count?.[i] ?? 1;
          sum += line.avg[i] * weight;
          n += weight;
        }
        line.stats = n ? { lo, hi, mean: sum / n } : null;
      }
      const stats = lines[0]?.stats, texts = stats && [`min ${write(stats.lo)}`, `avg ${write(stats.mean)}`, `max ${write(stats.hi)}`];
      head.figures.forEach((node, i) => { node.textContent = texts?.[i] || ""; });
      // What has the focus stays where it is.
      if (!texts || stack.lines.length > 1) replace(head.range, stack.lines.length > 1 ? "" : "no data here");
      else if (!head.range.firstElementChild) replace(head.range, ...head.figures.flatMap((node, i) => (i ? [" · ", node] : [node])));
      head.summary = texts && `${title(head.channel)} ${texts.join(", ")} ${unit(head.channel.unit)}`;
      head.level.textContent = (head === this.heads[0] && info?.short) || "";
    }
    if (stack.cursorAt == null) this.rest();
  }

  // rest shows, without a cursor, the newest value of a live run.
  rest() {
    for (const trace of this.traces) {
      const line = this.lineOf(trace), write = (v) => measure(v, trace.channel);
      const v = this.stack.following ? line?.avg.findLast((v) => v != null) : null;
      trace.output.textContent = v != null ? write(v) : this.stack.lines.length > 1 && line?.stats ? `avg ${write(line.stats.mean)}` : "";
    }
  }

  // read shows the values that are drawn at place i.
  read(i) {
    for (const trace of this.traces) {
      const line = this.lineOf(trace), write = (v) => measure(v, trace.channel);
      const at = line ? nearest(line, i) : i, v = line?.avg[at];
      trace.output.textContent = v == null ? NONE : line.max[at] - line.min[at] > Math.abs(v) * 1e-9 ? `${write(v)} (${write(line.min[at])} to ${write(line.max[at])})` : write(v);
    }
  }
}

// nearest is the place of the value that is drawn at i: that of a sample on
// either side where the line goes across a column without one.
function nearest(line, i) {
  if (line.avg[i] !== undefined) return i;
  for (let by = 1; by < line.avg.length; by++) {
    if (line.avg[i - by] === null || line.avg[i + by] === null) return i;
    if (line.avg[i - by] !== undefined) return i - by;
    if (line.avg[i + by] !== undefined) return i + by;
  }
  return i;
}
