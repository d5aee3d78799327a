// One chart of a stack: its head with what is read, and what uPlot draws.

import { css, h, icon, replace, toast } from "./dom.js";
import { AXIS, PAD } from "./bands.js";
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

export class Chart {
  // i is the place of the channel among all that the stack draws.
  constructor(stack, channel, i) {
    Object.assign(this, { stack, channel });
    this.colors = stack.lines.map((line, k) => line.color || (stack.lines.length > 1 ? hue(k) : channel.colour || hue(i)));
    this.outputs = stack.lines.map(() => h("output", null, NONE));
    const id = `chart-${channel.name}`, bounds = limitsText(channel), several = stack.lines.length > 1;
    const swatchOf = (color) => {
      const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = color;
      return swatch;
    };
    const peak = (what, name) => h("button", { type: "button", title: `Put the cursor at the ${name} value`, on: { click: () => import("./peaks.js").then(({ toPeak }) => toPeak(stack, channel, 0, what)).catch((err) => toast(err.message, "error")) } });
    this.figures = [peak("min", "lowest"), h("span"), peak("max", "highest")];
    this.range = h("span", { class: "range muted", id: `${id}-range` });
    this.level = h("span", { class: "level muted" });
    this.holder = h("div", { class: "plot", role: "img", "aria-labelledby": `${id}-title ${id}-range${bounds && ` ${id}-limits`}` });
    this.node = h("section", { class: "chart", "aria-labelledby": `${id}-title`, "data-metric": channel.name },
      h("header", null,
        h("h3", { id: `${id}-title`, title: channel.meaning }, !several && swatchOf(this.colors[0]), title(channel), channel.unit && h("span", { class: "unit" }, unit(channel.unit))),
        bounds && h("span", { class: "sr", id: `${id}-limits` }, `Limits: ${bounds}`),
        h("span", { class: "readouts" }, this.outputs.map((output, k) => h("span", { class: "readout" }, several && swatchOf(this.colors[k]), output))), this.range, this.level,
        stack.onRemove && h("button", { class: "plain tiny", type: "button", "aria-label": `Remove ${title(channel)}`, on: { click: () => stack.onRemove(channel.name) } }, icon("close"))),
      this.holder);
  }

  // drawn is what was loaded of each line; of some there may be nothing.
  get drawn() { return this.stack.lines.map((_, k) => this.stack.data?.columns[this.channel.name]?.[k]); }

  // arrays gives what uPlot draws: x, then lowest, highest and mean of each line.
  arrays() {
    const { x } = this.stack.data, none = () => x.map(() => null);
    return [x, ...this.drawn.flatMap((line) => (line?.avg ? [line.min, line.max, line.avg] : [none(), none(), none()]))];
  }

  draw() {
    const { win } = this.stack;
    if (this.plot) {
      this.plot.setData(this.arrays(), false);
      this.plot.setScale("x", { min: win[0], max: win[1] });
    } else {
      this.plot = this.make();
    }
    this.figure();
  }

  // scale moves to the stack's window before it is loaded.
  scale() {
    const [min, max] = this.stack.win;
    this.plot?.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.plot?.setScale("x", { min, max });
  }

  resize() { this.plot?.setSize({ width: this.stack.width, height: this.stack.height }); }

  make() {
    const { stack } = this, line = css("--line"), muted = css("--muted"), font = "11px system-ui, sans-serif";
    const series = [{}], bands = [];
    this.colors.forEach((color, k) => {
      const edge = { stroke: alpha(color, 0.55), width: 1, points: { show: false }, spanGaps: false };
      series.push({ ...edge }, { ...edge }, {
        stroke: color, width: 1.6, spanGaps: false, dash: k ? [8, 2 + k] : undefined,
        points: { show: (u, si, i0, i1) => i1 - i0 < stack.points / 14, filter: (u, si, show) => (show ? null : lone(u.data[si])), size: 4, fill: color },
      });
      bands.push({ series: [2 + 3 * k, 1 + 3 * k], fill: alpha(color, 0.22) });
    });
    const values = (_, splits) => splits.map((v) => (Math.abs(v) >= 10000 ? `${num(v / 1000, splits[1] - splits[0] < 1000 ? 1 : 0)}k` : String(+v.toFixed(6))));
    const range = (_, lo, hi) => {
      if (lo == null) return [0, 1];
      [lo, hi] = withLimits(this.channel, lo, hi);
      const pad = (hi - lo) * 0.09 || Math.abs(hi) * 0.1 || 1;
      return [lo >= 0 && lo - pad < 0 ? 0 : lo - pad, hi + pad];
    };
    const u = new uPlot({
      width: stack.width, height: stack.height, series, bands, padding: [8, PAD, 0, 0], legend: { show: false }, ms: 1e-3,
      scales: { x: { time: false, range: () => stack.win }, y: { range } },
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
        { stroke: muted, font, size: AXIS, gap: 6, space: 34, grid: { stroke: line, width: 1 }, ticks: { show: false }, values },
      ],
      cursor: {
        drag: { x: false, y: false, setScale: false }, focus: { prox: -1 }, y: false,
        bind: { dblclick: () => null, mousedown: () => null, mouseup: () => null },
        points: { show: (_, si) => {
          if (si % 3) return false;
          const point = h("div", { class: "cursor-point" });
          point.style.background = this.colors[si / 3 - 1];
          return point;
        } },
      },
      select: { show: true, left: 0, top: 0, width: 0, height: 0 },
      hooks: {
        drawAxes: [(plot) => { stack.behind?.(plot.ctx, plot.bbox, this === stack.charts[0]); drawLimits(plot, this.channel); }],
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

  write(v) { return measure(v, this.channel); }

  // figure writes what the window holds: lowest, mean and highest.
  figure() {
    const { stack, channel } = this, { x, info } = stack.data, [from, to] = stack.win, lines = this.drawn.filter(Boolean);
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
    const stats = lines[0]?.stats, texts = stats && [`min ${this.write(stats.lo)}`, `avg ${this.write(stats.mean)}`, `max ${this.write(stats.hi)}`];
    this.figures.forEach((node, i) => { node.textContent = texts?.[i] || ""; });
    // What has the focus stays where it is.
    if (!texts || stack.lines.length > 1) replace(this.range, stack.lines.length > 1 ? "" : "no data here");
    else if (!this.range.firstElementChild) replace(this.range, ...this.figures.flatMap((node, i) => (i ? [" · ", node] : [node])));
    this.summary = texts && `${title(channel)} ${texts.join(", ")} ${unit(channel.unit)}`;
    this.level.textContent = info?.short || "";
    if (stack.cursorAt == null) this.rest();
  }

  // rest shows, without a cursor, the newest value of a live run.
  rest() {
    const { following, lines } = this.stack;
    this.drawn.forEach((line, k) => {
      const v = following ? line?.avg.findLast((v) => v != null) : null;
      this.outputs[k].textContent = v != null ? this.write(v) : lines.length > 1 && line?.stats ? `avg ${this.write(line.stats.mean)}` : "";
    });
  }

  // read shows the values that are drawn at place i.
  read(i) {
    this.drawn.forEach((line, k) => {
      const at = line ? nearest(line, i) : i, v = line?.avg[at];
      this.outputs[k].textContent = v == null ? NONE : line.max[at] - line.min[at] > Math.abs(v) * 1e-9 ? `${this.write(v)} (${this.write(line.min[at])} to ${this.write(line.max[at])})` : this.write(v);
    });
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
