// Where a run had the values of a cell of its signals: marked in its charts and on the map.

import { announce, css } from "./dom.js";
import { duration } from "./format.js";
import { runSeries } from "./series.js";

const POINTS = 3000;

export class Brush {
  // view is the run's page.
  constructor(view) {
    Object.assign(this, { view, spans: [] });
    view.stack.guests.push({ plot: (plot) => this.draw(plot) });
  }

  // pick marks where all of these channels are between low and high, from a to b and in one of
  // each of some lists of bands, such as laps. It gives what to say of it.
  async pick(ranges, [a, b], bands, signal) {
    const { run, channels } = this.view, metrics = [...new Set(ranges.map((r) => r.channel))].map((name) => channels.get(name));
    const { x, columns, info } = await runSeries(run, a, b, POINTS, metrics, signal, false);
    const steps = x.slice(1).map((t, i) => t - x[i]).sort((p, q) => p - q), usual = Math.max(info?.width || 0, steps[steps.length >> 1] || 0.1);
    // A bucket has a value from its lowest to its highest, of which it may have been.
    const inside = (i) => ranges.every(({ channel, low, high }) => { const c = columns[channel][0]; return c?.min[i] != null && c.min[i] <= high && c.max[i] >= low; });
    const spans = [];
    x.forEach((from, i) => {
      if (!inside(i)) return;
      const to = Math.min(x[i + 1] ?? Infinity, from + 1.5 * usual), last = spans.at(-1);
      if (last && from - last[1] < usual / 1e3) last[1] = to;
      else spans.push([from, to]);
    });
    this.show(bands.reduce((left, list) => left.flatMap(([from, to]) => list.map((l) => [Math.max(from, l.from), Math.min(to, l.to)]).filter(([p, q]) => q > p)), spans));
    const text = this.spans.length ? `marked in charts and map: ${duration(this.spans.reduce((sum, [from, to]) => sum + to - from, 0))} in ${this.spans.length === 1 ? "a stretch" : `${this.spans.length} stretches`}, to ${duration(usual)}` : "nowhere here";
    announce(text);
    return text;
  }

  show(spans) {
    if (!spans.length && !this.spans.length) return;
    this.spans = spans;
    this.view.stack.redraw();
    this.view.track.setBrush(spans);
  }

  draw(plot) {
    const { ctx: g, bbox: { left, top, width, height } } = plot, ratio = devicePixelRatio || 1;
    g.save();
    g.fillStyle = css("--c2");
    g.globalAlpha = 0.22;
    for (const [from, to] of this.spans) {
      const x = Math.max(left, plot.valToPos(from, "x", true)), end = Math.min(left + width, plot.valToPos(to, "x", true));
      if (end >= left && x <= left + width) g.fillRect(x, top, Math.max(ratio, end - x), height);
    }
    g.restore();
  }
}
