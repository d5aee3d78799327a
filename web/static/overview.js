// The strip above the charts: the whole run in little, with the window, its gaps and
// the cursor. Dragging moves the window; outside of it, a click brings it there.

import { css } from "./dom.js";
import { hue } from "./chart.js";
import { isState } from "./channels.js";
import { onTrack } from "./runs.js";
import { runSeries } from "./series.js";
import { onTheme } from "./theme.js";

export class Overview {
  // view is the page of the run: run, start, length(), stack, laps, notes, summary.
  constructor(view, canvas) {
    Object.assign(this, { view, canvas });
    const c = canvas, { stack } = view;
    let from = null;
    const at = (e) => ((e.clientX - c.getBoundingClientRect().left) / c.clientWidth) * view.length();
    c.addEventListener("pointerdown", (e) => {
      view.still();
      c.setPointerCapture(e.pointerId);
      const x = at(e), [a, b] = stack.win, near = view.length() * (8 / c.clientWidth);
      const mode = stack.whole ? "new" : Math.abs(x - a) < near ? "a" : Math.abs(x - b) < near ? "b" : x > a && x < b ? "move" : "center";
      from = { x, win: [a, b], mode };
      if (mode === "center") { stack.show(x - (b - a) / 2, x + (b - a) / 2); from.win = [...stack.win]; from.mode = "move"; }
    });
    c.addEventListener("pointermove", (e) => {
      if (!from) return;
      const x = at(e), by = x - from.x, [a, b] = from.win;
      if (from.mode === "move") stack.show(a + by, b + by, { keep: false });
      if (from.mode === "a") stack.show(Math.min(a + by, b - 0.05), b, { keep: false });
      if (from.mode === "b") stack.show(a, Math.max(b + by, a + 0.05), { keep: false });
      if (from.mode === "new" && Math.abs(by) > view.length() * 0.01) stack.show(Math.min(x, from.x), Math.max(x, from.x), { keep: false });
    });
    for (const type of ["pointerup", "pointercancel"]) c.addEventListener(type, () => { from = null; });
    c.addEventListener("dblclick", () => stack.reset());
    this.untheme = onTheme(() => this.paint());
    this.size = new ResizeObserver(() => this.paint());
    this.size.observe(c);
  }

  destroy() {
    this.untheme();
    this.size.disconnect();
  }

  // draw reads the run anew.
  async draw() {
    const metric = this.view.chosen().find((c) => !isState(c));
    if (!metric) return;
    try {
      this.little = { metric: metric.name, ...(await runSeries(this.view.run, 0, this.view.length(), 400, [metric], this.view.signal, !onTrack(this.view.run))) };
      this.paint();
    } catch { /* the charts tell what is wrong */ }
  }

  paint() {
    const c = this.canvas, w = c.clientWidth, ht = c.clientHeight, ratio = devicePixelRatio || 1;
    const line = this.little?.columns[this.little.metric]?.[0];
    if (!w) return;
    c.width = w * ratio;
    c.height = ht * ratio;
    const g = c.getContext("2d"), px = (x) => (x / this.view.length()) * w;
    g.scale(ratio, ratio);
    const [a, b] = this.view.stack.win;
    if (!this.view.stack.whole) { g.fillStyle = css("--accent-soft"); g.fillRect(px(a), 0, Math.max(2, px(b) - px(a)), ht); }
    this.view.laps?.paint(g, [0, this.view.length()], 0, 0, w, ht, false);
    if (line) {
      let lo = Infinity, hi = -Infinity;
      for (let i = 0; i < line.min.length; i++) { if (line.min[i] != null) { lo = Math.min(lo, line.min[i]); hi = Math.max(hi, line.max[i]); } }
      const py = (v) => ht - 5 - ((v - lo) / (hi - lo || 1)) * (ht - 10);
      const color = this.view.stack.charts[0]?.readers[0].colors[0] || hue(0);
      const x = this.little.x, part = [];
      g.fillStyle = g.strokeStyle = color;
      g.lineWidth = 1.2;
      g.lineJoin = "round";
      const flush = () => {
        if (!part.length) return;
        g.globalAlpha = 0.3;
        g.beginPath();
        for (const i of part) g.lineTo(px(x[i]), py(line.max[i]) - 0.5);
        for (const i of part.reverse()) g.lineTo(px(x[i]), py(line.min[i]) + 0.5);
        g.fill();
        g.globalAlpha = 1;
        g.beginPath();
        for (const i of part) g.lineTo(px(x[i]), py(line.avg[i]));
        if (part.length === 1) g.lineTo(px(x[part[0]]) + 1, py(line.avg[part[0]]));
        g.stroke();
        part.length = 0;
      };
      x.forEach((_, i) => { if (line.avg[i] === null) flush(); else if (line.avg[i] !== undefined) part.push(i); });
      flush();
    }
    g.fillStyle = css("--live");
    for (const gap of this.view.summary?.gaps || []) {
      const from = px((Date.parse(gap.from) - this.view.start) / 1000), to = px((Date.parse(gap.to) - this.view.start) / 1000);
      g.fillRect(from, ht - 3, Math.max(2, to - from), 3);
    }
    this.view.notes?.strip(g, px);
    if (!this.view.stack.whole) {
      g.strokeStyle = css("--accent");
      g.lineWidth = 1.5;
      g.strokeRect(px(a), 0.75, Math.max(2, px(b) - px(a)), ht - 1.5);
    }
    g.fillStyle = css("--focus");
    for (const x of this.view.bench.pins) g.fillRect(px(x) - 0.75, 0, 1.5, ht);
    if (this.view.cursorAt != null) { g.fillStyle = css("--muted"); g.fillRect(px(this.view.cursorAt), 0, 1, ht); }
  }
}
