// Channels whose values are texts, such as a driver mode: a band for each run, in
// which a state has its colour for as long as it holds.

import { css, h, icon, replace } from "./dom.js";
import { gapAfter, usualStep } from "./gaps.js";
import { NONE, num, title } from "./format.js";

// The plots of charts and bands stand below one another.
export const AXIS = 58; // width of the y axis, px
export const PAD = 26; // right of the plot, where half of the last time stands
export const RIGHT = 42; // width of a further y axis, px

const HEIGHT = 24; // of a band, px
const NAMED = 6; // states that the head names

// spans joins the states that a line tells (x ascending): each holds until the
// next is told, or its gap begins.
function spans({ x = [], states = [] } = {}) {
  const told = x.map((at, i) => ({ at, text: states[i] })).filter((s) => s.text != null);
  const times = told.map((s) => s.at), limit = gapAfter(times), step = usualStep(times), out = [];
  told.forEach(({ at, text }, i) => {
    const next = times[i + 1], last = out[out.length - 1];
    const to = next - at <= limit ? next : at + step;
    if (last?.text === text && last.to >= at) last.to = to;
    else out.push({ from: at, to, text });
  });
  return out;
}

// Band is the part of a ChartStack that shows one such channel.
export class Band {
  constructor(stack, channel) {
    Object.assign(this, { stack, channel, lines: [] });
    this.hues = stack.stateHues[channel.name] ??= new Map(); // by state: as long as the page is open
    this.names = h("span", { class: "range muted states" });
    const readouts = stack.lines.map((line) => h("span", { class: "readout" }, stack.lines.length > 1 && h("span", { class: "muted small" }, line.label), h("output", null, NONE)));
    this.outputs = readouts.map((node) => node.querySelector("output"));
    this.readers = [this];
    this.canvas = h("canvas", { class: "band", role: "img", "aria-labelledby": `chart-${channel.name}-title chart-${channel.name}-range` });
    this.names.id = `chart-${channel.name}-range`;
    this.node = h("section", { class: "chart", "aria-labelledby": `chart-${channel.name}-title`, "data-metric": channel.name },
      h("header", null, h("h3", { id: `chart-${channel.name}-title`, title: channel.meaning }, title(channel)), h("span", { class: "readouts" }, readouts), this.names,
        stack.onRemove && h("button", { class: "plain tiny", type: "button", "aria-label": `Remove ${title(channel)}`, on: { click: () => stack.onRemove(channel.name) } }, icon("close"))),
      this.canvas);
    this.canvas.addEventListener("pointermove", (e) => stack.setCursor(this.time(e.clientX)));
    this.canvas.addEventListener("pointerleave", () => stack.setCursor(null));
  }

  color(text) {
    if (!this.hues.has(text)) this.hues.set(text, (this.hues.size % 8) + 1);
    return css(`--c${this.hues.get(text)}`);
  }

  time(clientX) {
    const [a, b] = this.stack.win, width = this.stack.width - AXIS - this.stack.right;
    const x = a + ((clientX - this.canvas.getBoundingClientRect().left - AXIS) / width) * (b - a);
    return x < a || x > b ? null : x;
  }

  // show draws what was loaded.
  show(data) {
    this.lines = (data.columns[this.channel.name] || []).map(spans);
    this.draw();
    this.tell();
    this.read(this.stack.cursorAt);
  }

  draw() {
    const [a, b] = this.stack.win, width = this.stack.width, plot = width - AXIS - this.stack.right, ratio = devicePixelRatio || 1;
    const height = HEIGHT * this.stack.lines.length;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    this.canvas.style.height = `${height}px`;
    const g = this.canvas.getContext("2d"), px = (x) => AXIS + ((x - a) / (b - a)) * plot;
    g.scale(ratio, ratio);
    g.font = "11px system-ui, sans-serif";
    g.textBaseline = "middle";
    this.lines.forEach((line, k) => {
      for (const s of line) {
        const left = Math.max(AXIS, px(s.from)), right = Math.min(AXIS + plot, Math.max(px(s.to), px(s.from) + 2)), y = k * HEIGHT;
        if (right <= left) continue;
        g.fillStyle = this.color(s.text);
        g.globalAlpha = 0.22;
        g.fillRect(left, y, right - left, HEIGHT - 3);
        g.globalAlpha = 1;
        g.fillRect(left, y + HEIGHT - 5, right - left, 2);
        if (right - left < 24) continue;
        g.fillStyle = css("--ink");
        g.save();
        g.beginPath();
        g.rect(left, y, right - left - 3, HEIGHT);
        g.clip();
        g.fillText(s.text, left + 5, y + (HEIGHT - 5) / 2 + 1);
        g.restore();
      }
    });
  }

  // tell names the states in the window, those that last longest first.
  tell() {
    const [a, b] = this.stack.win, sums = new Map();
    let all = 0;
    for (const s of this.lines.flat()) {
      const seconds = Math.min(b, s.to) - Math.max(a, s.from);
      if (seconds < 0) continue;
      sums.set(s.text, (sums.get(s.text) || 0) + seconds);
      all += seconds;
    }
    const order = [...sums].sort((p, q) => q[1] - p[1]);
    replace(this.names, order.slice(0, NAMED).map(([text, seconds]) => {
      const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = this.color(text);
      return h("span", { class: "state" }, swatch, h("span", { class: "clip" }, text), all > 0 && ` ${num((seconds / all) * 100)} % `);
    }), order.length > NAMED && `and ${order.length - NAMED} more`, !order.length && "no data here");
  }

  at(k, x) { return this.lines[k]?.findLast((s) => s.from <= x && x <= s.to)?.text; }

  // read shows the states at x; those of now, without a cursor on a live run.
  read(x) {
    this.outputs.forEach((out, k) => {
      const line = this.lines[k];
      out.textContent = (x != null ? this.at(k, x) : this.stack.following && line?.[line.length - 1]?.text) || (x != null ? NONE : "");
    });
  }
}
