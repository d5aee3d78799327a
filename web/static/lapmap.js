// Where on the track a lap lost time, energy or speed against the first one: the way of
// the first lap, coloured by the difference, with the gates of the sectors.

import { css, h, replace } from "./dom.js";
import { Track } from "./track.js";
import { num, unit } from "./format.js";
import { conversion, shownUnit } from "./units.js";

const OVER = 30; // m of the way over which a difference is taken
const STEPS = 4; // colours either way

// What the map can be coloured by: of a lap and the first one, how much worse, which is red,
// it was at each place; rates are per 100 m of the way.
const WHATS = {
  time: { title: "Time", worse: "was slower than the first lap", better: "quicker", unit: () => "s per 100 m", of: (lap) => lap.dt_s, rate: 100, digits: 2 },
  energy: { title: "Energy", worse: "used more energy than the first lap", better: "less", unit: () => `${shownUnit("J")} per 100 m`, of: (lap) => lap.de_j, rate: 100, stored: "J", digits: 3 },
  speed: { title: "Speed", worse: "was slower than the first lap", better: "quicker", unit: (channels) => unit(channels.get("speed_ms").unit), of: (lap, first) => lap.metrics.speed_ms?.map((v, i) => (v == null || first.metrics.speed_ms[i] == null ? null : first.metrics.speed_ms[i] - v)), digits: 1 },
};

export class LapMap {
  // to: name(lap), goTo(from, to) when a person wants to see a sector, and cursor(x).
  constructor(root, to) {
    Object.assign(this, { root, to, what: "time" });
    this.tools = h("div", { class: "map-tools" });
    this.scale = h("p", { class: "muted small pad", "aria-live": "polite" });
    root.append(this.tools);
    this.track = new Track(root, { onPick: (x) => to.cursor(x) });
    this.track.canvas.setAttribute("aria-label", "The first lap's way, coloured by the difference");
    this.track.canvas.addEventListener("click", (e) => {
      const x = this.track.nearest(e), s = x != null && this.answer.sectors.find((one) => one.from_m <= x && x < one.to_m);
      if (s) to.goTo(s.from_m, s.to_m);
    });
    root.append(this.scale);
  }

  destroy() { this.track.destroy(); }

  // show takes what the server says. Without positions there is no map.
  show(answer, channels, what) {
    const [first] = answer.laps, lat = first.metrics.latitude, lon = first.metrics.longitude;
    Object.assign(this, { answer, channels, what: WHATS[what] ? what : this.what });
    this.way = answer.distance_m.map((x, i) => (lat?.[i] == null || lon?.[i] == null ? null : [lon[i], lat[i], x]));
    this.root.hidden = answer.laps.length < 2 || this.way.every((p) => !p);
    if (this.root.hidden) return;
    this.other = Math.min(Math.max(1, this.other || 1), answer.laps.length - 1);
    const select = (label, options, now, change) => {
      const node = h("select", { "aria-label": label }, options.map(([value, text]) => h("option", { value, selected: value === now }, text)));
      node.addEventListener("change", () => { change(node.value); this.draw(); });
      return node;
    };
    replace(this.tools, select("What the map is coloured by", Object.entries(WHATS).map(([key, w]) => [key, w.title]), this.what, (v) => { this.what = v; this.to.chose(v); }),
      answer.laps.length > 2 && select("Lap on the map", answer.laps.slice(1).map((lap, i) => [i + 1, this.to.name(lap)]), this.other, (v) => { this.other = Number(v); }));
    this.draw();
  }

  // differences are by how much worse it was at each place.
  differences() {
    const { answer } = this, w = WHATS[this.what], x = answer.distance_m, d = w.of(answer.laps[this.other], answer.laps[0]);
    if (!d || !w.rate) return d?.map((v) => v ?? null);
    const rate = w.rate * (w.stored ? conversion(w.stored).factor : 1);
    const by = Math.max(1, Math.round(OVER / 2 / (x[1] - x[0])));
    return x.map((_, i) => {
      const a = Math.max(0, i - by), b = Math.min(x.length - 1, i + by);
      return d[a] == null || d[b] == null ? null : ((d[b] - d[a]) / (x[b] - x[a])) * rate;
    });
  }

  draw() {
    const w = WHATS[this.what], d = this.differences() || [], known = d.filter((v) => v != null).map(Math.abs).sort((a, b) => a - b);
    // One place that is far off is not to leave the others without a colour.
    const most = known[Math.floor(known.length * 0.98)] || 0;
    const level = (v) => (v == null ? null : Math.max(-STEPS, Math.min(STEPS, Math.round((v / (most || 1)) * STEPS))));
    const lines = [{ parts: [this.way.filter(Boolean)], color: css("--track") }];
    let part = null, last;
    this.way.forEach((p, i) => {
      const l = p && level(d[i]);
      if (l == null) { part = null; return; }
      if (!part || l !== last) {
        if (part) part.push(p); // no hole between two colours
        lines.push({ parts: [(part = [p])], color: LapMap.color(l), width: 5 });
        last = l;
      } else part.push(p);
    });
    this.track.setLines(lines);
    this.track.setPlaces([...this.answer.sectors.map((s) => ({ at: this.track.at(s.from_m), color: css("--ink") })).filter((s) => s.at), ...(this.noted || [])]);
    const end = num(most, w.digits);
    this.scale.textContent = known.length ? `${this.to.name(this.answer.laps[this.other])} is red where it ${w.worse}, blue where ${w.better}, by up to ${end} ${w.unit(this.channels)}. Click a sector to see it alone.` : "Nothing measures that.";
  }

  // note adds places that people noted.
  note(places) { this.noted = places; if (!this.root.hidden) this.draw(); }

  // color is from blue over grey to red.
  static color(level) {
    return `hsl(${level < 0 ? 215 : 12} ${Math.round((Math.abs(level) / STEPS) * 85)}% ${55 - Math.abs(level) * 2}%)`;
  }

  setWindow(a, b, whole) { this.track.setWindow(whole ? null : a, b); }
  mark(x) { this.track.setMarks([x != null && this.track.at(x)].filter(Boolean).map((at) => ({ at, color: css("--ink") }))); }
}
