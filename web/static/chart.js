// One chart of a stack: its head with what is read, and what uPlot draws.

import { css, h, icon, replace, toast } from "./dom.js";
import { SIZES, unitsOf } from "./arrange.js";
import { AXIS, RIGHT } from "./bands.js";
import { gestures } from "./gestures.js";
import { drawLimits, limitsText, withLimits } from "./limits.js";
import { measure, num, title, unit, NONE } from "./format.js";
import uPlot from "./vendor/uplot.js";

const HUES = 8;

export const hue = (i) => css(`--c${(i % HUES) + 1}`);
const scaleOf = (n) => (n ? `y${n + 1}` : "y"); // of the nth unit of a chart
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
  // place is what the arrangement says of the chart. One of several channels draws one run.
  constructor(stack, channels, place) {
    Object.assign(this, { stack, place });
    const several = stack.lines.length > 1, together = channels.length > 1, used = [];
    this.units = unitsOf(channels);
    this.readers = channels.map((channel) => {
      const i = stack.hues.get(channel.name);
      let color = channel.colour || hue(i);
      for (let n = 1; together && n <= HUES && used.includes(color); n++) color = hue(i + n);
      used.push(color);
      return this.reader(channel, stack.lines.map((line, k) => line.color || (several ? hue(k) : color)), several);
    });
    this.traces = this.readers.flatMap((reader) => reader.colors.map((color, k) => ({ reader, k, color, scale: scaleOf(this.units.indexOf(unit(reader.channel.unit))) })));
    this.level = h("span", { class: "level muted" });
    const ids = this.readers.map(({ id }) => id);
    this.holder = h("div", { class: "plot", role: "img", "aria-labelledby": this.readers.map(({ id, bounds }) => `${id}-title ${id}-range${bounds && ` ${id}-limits`}`).join(" ") });
    this.node = h("section", { class: `chart${together ? " together" : ""}`, "aria-labelledby": ids.map((id) => `${id}-title`).join(" "), "data-metric": channels[0].name },
      this.readers.map((reader, c) => h("header", { "data-trace": reader.channel.name }, reader.head, !c && this.level, !c && this.menu(),
        stack.onRemove && h("button", { class: "plain tiny", type: "button", "aria-label": `Remove ${title(reader.channel)}`, on: { click: () => stack.onRemove(reader.channel.name) } }, icon("close")))),
      this.holder);
  }

  get channel() { return this.readers[0].channel; }
  get height() { return Math.round(this.stack.height * SIZES[this.place.size][1]); }

  // menu is what opens the arrangement of the chart.
  menu() {
    const { stack } = this, name = title(this.channel);
    return h("button", { class: "plain tiny", type: "button", "aria-haspopup": "dialog", "aria-label": `Arrange ${name}`, title: "Height, order, channels, picture", on: { click: () => import("./chartmenu.js").then(({ openMenu }) => openMenu(stack, this.channel.name)).catch((err) => toast(err.message, "error")) } }, icon("more"));
  }

  // reader is what the head of the chart says of one channel.
  reader(channel, colors, several) {
    const { stack } = this, id = `chart-${channel.name}`, bounds = limitsText(channel), outputs = colors.map(() => h("output", null, NONE));
    const swatchOf = (color) => {
      const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = color;
      return swatch;
    };
    const peak = (what, name) => h("button", { type: "button", title: `Put the cursor at the ${name} value`, on: { click: () => import("./peaks.js").then(({ toPeak }) => toPeak(stack, channel, 0, what)).catch((err) => toast(err.message, "error")) } });
    const range = h("span", { class: "range muted", id: `${id}-range` });
    return {
      channel, colors, id, bounds, outputs, range, figures: [peak("min", "lowest"), h("span"), peak("max", "highest")],
      head: [
        h("h3", { id: `${id}-title`, title: channel.meaning }, !several && swatchOf(colors[0]), title(channel), channel.unit && h("span", { class: "unit" }, unit(channel.unit))),
        bounds && h("span", { class: "sr", id: `${id}-limits` }, `Limits: ${bounds}`),
        h("span", { class: "readouts" }, outputs.map((output, k) => h("span", { class: "readout" }, several && swatchOf(colors[k]), output))), range,
      ],
    };
  }

  // drawn is what was loaded of each line of a channel; of some there may be nothing.
  drawn({ channel }) { return this.stack.lines.map((_, k) => this.stack.data?.columns[channel.name]?.[k]); }

  // arrays gives what uPlot draws: x, then lowest, highest and mean of each line.
  arrays() {
    const { x } = this.stack.data, none = () => x.map(() => null);
    return [x, ...this.readers.flatMap((reader) => this.drawn(reader)).flatMap((line) => (line?.avg ? [line.min, line.max, line.avg] : [none(), none(), none()]))];
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

  resize() { this.plot?.setSize({ width: this.stack.width, height: this.height }); }

  make() {
    const { stack } = this, line = css("--line"), muted = css("--muted"), font = "11px system-ui, sans-serif";
    const series = [{}], bands = [];
    this.traces.forEach(({ color, scale }, k) => {
      const edge = { scale, stroke: alpha(color, 0.55), width: 1, points: { show: false }, spanGaps: false };
      series.push({ ...edge }, { ...edge }, {
        scale, stroke: color, width: 1.6, spanGaps: false, dash: k ? [8, 2 + k] : undefined,
        points: { show: (u, si, i0, i1) => i1 - i0 < stack.points / 14, filter: (u, si, show) => (show ? null : lone(u.data[si])), size: 4, fill: color },
      });
      bands.push({ series: [2 + 3 * k, 1 + 3 * k], fill: alpha(color, 0.22) });
    });
    const values = (_, splits) => splits.map((v) => (Math.abs(v) >= 10000 ? `${num(v / 1000, splits[1] - splits[0] < 1000 ? 1 : 0)}k` : String(+v.toFixed(6))));
    const grid = { stroke: line, width: 1 }, ticks = { show: false };
    const scales = { x: { time: false, range: () => stack.win } }, axes = [];
    this.units.forEach((_, n) => {
      const scale = scaleOf(n), on = this.traces.filter((trace) => trace.scale === scale), channels = new Set(on.map(({ reader }) => reader.channel));
      scales[scale] = { range: (_, lo, hi) => {
        if (lo == null) return [0, 1];
        for (const channel of channels) [lo, hi] = withLimits(channel, lo, hi);
        const pad = (hi - lo) * 0.09 || Math.abs(hi) * 0.1 || 1;
        return [lo >= 0 && lo - pad < 0 ? 0 : lo - pad, hi + pad];
      } };
      axes.push({ scale, side: n ? 1 : 3, stroke: this.units.length > 1 && on.length === 1 ? on[0].color : muted, font, size: n ? RIGHT : AXIS, gap: 6, space: 34, grid: n ? { show: false } : grid, ticks, values });
    });
    const u = new uPlot({
      width: stack.width, height: this.height, series, bands, padding: [this.units.length > 1 ? 18 : 8, stack.right - RIGHT * (this.units.length - 1), 0, 0], legend: { show: false }, ms: 1e-3,
      scales,
      axes: [
        {
          stroke: muted, font, size: 24, gap: 3, space: 84, grid, ticks,
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
        ...axes,
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
        drawAxes: [(plot) => { stack.behind?.(plot.ctx, plot.bbox, this === stack.charts[0]); for (const { reader: { channel }, k, scale } of this.traces) if (!k) drawLimits(plot, channel, scale, this.readers.length > 1); }],
        draw: [(plot) => { if (this.units.length > 1) this.nameAxes(plot, muted); stack.tell("plot", plot); }], setCursor: [(plot) => this.moved(plot)],
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

  // nameAxes writes above each axis which unit it has.
  nameAxes({ ctx: g, bbox: { left, top, width } }, color) {
    const ratio = devicePixelRatio || 1;
    g.save();
    g.font = `${11 * ratio}px system-ui, sans-serif`;
    g.fillStyle = color;
    g.textBaseline = "bottom";
    this.units.forEach((text, n) => {
      g.textAlign = n ? "left" : "right";
      g.fillText(text || "–", n ? left + width + ((n - 1) * RIGHT + 6) * ratio : left - 6 * ratio, top - 4 * ratio);
    });
    g.restore();
  }

  // figure writes what the window holds: lowest, mean and highest.
  figure() {
    const { stack } = this;
    this.level.textContent = stack.data.info?.short || "";
    this.summary = this.readers.map((reader) => this.figureOf(reader)).filter(Boolean).join(". ");
    if (stack.cursorAt == null) this.rest();
  }

  figureOf(reader) {
    const { stack } = this, { channel, figures, range } = reader, { x } = stack.data, [from, to] = stack.win, lines = this.drawn(reader).filter(Boolean);
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
    const stats = lines[0]?.stats, texts = stats && [`min ${measure(stats.lo, channel)}`, `avg ${measure(stack.mean(lines[0]), channel)}`, `max ${measure(stats.hi, channel)}`];
    figures.forEach((node, i) => { node.textContent = texts?.[i] || ""; });
    // What has the focus stays where it is.
    if (!texts || stack.lines.length > 1) replace(range, stack.lines.length > 1 ? "" : "no data here");
    else if (!range.firstElementChild) replace(range, ...figures.flatMap((node, i) => (i ? [" · ", node] : [node])));
    return texts && `${title(channel)} ${texts.join(", ")} ${unit(channel.unit)}`;
  }

  // rest shows, without a cursor, the newest value of a live run.
  rest() {
    const { following, lines } = this.stack;
    for (const reader of this.readers) this.drawn(reader).forEach((line, k) => {
      const v = following ? line?.avg.findLast((v) => v != null) : null, mean = lines.length > 1 ? this.stack.mean(line) : null;
      reader.outputs[k].textContent = v != null ? measure(v, reader.channel) : mean != null ? `avg ${measure(mean, reader.channel)}` : "";
    });
  }

  // read shows the values that are drawn at place i, but none of a line that has a gap behind
  // the place before.
  read(i, before) {
    for (const reader of this.readers) this.drawn(reader).forEach((line, k) => {
      const at = line ? nearest(line, i) : i, v = line?.avg[before] === null ? null : line?.avg[at], write = (v) => measure(v, reader.channel);
      reader.outputs[k].textContent = v == null ? NONE : line.max[at] - line.min[at] > Math.abs(v) * 1e-9 ? `${write(v)} (${write(line.min[at])} to ${write(line.max[at])})` : write(v);
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
