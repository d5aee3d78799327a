// The way on the map as it is in the window of the charts, loaded anew for it, and
// coloured by a channel.

import { css, h, replace } from "./dom.js";
import { called, isState } from "./channels.js";
import { Fixes } from "./fixes.js";
import { measure, unit } from "./format.js";
import { setParams } from "./router.js";
import { onTrack } from "./runs.js";
import { runSeries } from "./series.js";

const COLOURED = 3000, PLAIN = 1200; // points
const COARSE = 3; // s between two points, from which on they are no way
const SETTLED = 250; // ms without a move of the window
const LEVELS = 24; // colours
const SPREAD = 0.02; // of the values, on either side: one that is far off is not to leave the others without a colour

// color is from blue over green and amber to red, on a light page as on a dark one.
const color = (level) => `hsl(${Math.round(225 - (level / (LEVELS - 1)) * 220)} 75% 46%)`;

export class Way {
  // view is the page of the run: run, channels, track, stack, signal, failed; tools is where one chooses.
  constructor(view, tools, name) {
    Object.assign(this, { view, name });
    this.select = h("select", { "aria-label": "What the map is coloured by" });
    this.select.addEventListener("change", () => {
      this.name = this.select.value;
      setParams({ map: this.name });
      this.load();
    });
    this.scale = h("p", { class: "way-scale small", hidden: true, "aria-live": "polite" });
    tools.append(this.select, this.scale);
    this.fill();
    this.select.addEventListener("focus", () => this.fill());
  }

  destroy() { clearTimeout(this.due); this.abort?.abort(); }

  get channel() { return this.view.channels.get(this.name); }

  // fill lists the channels that the run has by now.
  fill() {
    const { list, present } = this.view.channels, there = list.filter((c) => present.has(c.name) && !c.hidden && !isState(c) && !/^(lat|long)itude$/.test(c.name));
    if (!there.some((c) => c.name === this.name)) this.name = "";
    if (there.length + 1 === this.select.length) return;
    replace(this.select, h("option", { value: "" }, "Without colours"),
      there.map((c) => h("option", { value: c.name, selected: c.name === this.name }, `By ${called(c, there)}`)));
  }

  // show takes the whole way, and whether it was simplified more than its positions are off.
  show(parts, coarse) {
    Object.assign(this, { parts, coarse });
    this.draw();
    this.load();
  }

  moved() {
    clearTimeout(this.due);
    this.due = setTimeout(() => this.load(), SETTLED);
  }

  async load() {
    clearTimeout(this.due);
    this.abort?.abort();
    const { view, channel } = this, { stack, run } = view, [a, b] = stack.win;
    this.points = null;
    const most = channel ? COLOURED : PLAIN;
    this.far = (b - a) / most > COARSE;
    if (stack.following || this.far || !(channel || (this.coarse && !stack.whole))) return this.draw();
    const abort = (this.abort = new AbortController()), place = ["latitude", "longitude"].map((name) => view.channels.get(name));
    try {
      const { x, columns } = await runSeries(run, a, b, most, [...place, channel].filter(Boolean), abort.signal, !onTrack(run));
      if (abort.signal.aborted || view.signal.aborted) return;
      const [lat, lon, of] = [...place, channel].map((c) => c && columns[c.name]?.[0]?.avg), fixes = new Fixes();
      let last = null; // value of the channel: it may be measured less often
      this.points = x.flatMap((at, i) => {
        if (of?.[i] !== undefined) last = of?.[i];
        if (lat?.[i] === null) return [null];
        return lat?.[i] === undefined ? [] : fixes.add({ x: at, lat: lat[i], lon: lon[i] }).map((p) => ({ at: [p.lon, p.lat, p.x], value: last }));
      });
      this.draw();
    } catch (err) { view.failed(err); }
  }

  draw() {
    const { view: { track, stack }, channel, points } = this, fine = [[]];
    for (const p of points || []) p ? fine[fine.length - 1].push(p.at) : fine.push([]);
    // Cursors stand on the first: of a long run the whole way is a rough one.
    const lines = this.coarse && fine.some((part) => part.length) ? [{ parts: fine }, { parts: this.parts, under: true }] : [{ parts: this.parts }];
    const known = (points || []).filter((p) => p?.value != null).map((p) => p.value).sort((p, q) => p - q), at = (part) => known[Math.round((known.length - 1) * part)];
    const low = at(SPREAD), high = at(1 - SPREAD), coloured = channel && known.length > 1;
    const level = (v) => (v == null || !coloured ? -1 : Math.max(0, Math.min(LEVELS - 1, Math.floor(((v - low) / (high - low || 1)) * LEVELS))));
    let part = null, before = null;
    for (const p of points || []) {
      if (!p) { part = null; continue; }
      const now = level(p.value);
      if (!part || now !== before) {
        part?.push(p.at); // no hole between two colours
        lines.push({ parts: [(part = [p.at])], color: now < 0 ? undefined : color(now), width: now < 0 ? 2.2 : 5 });
        before = now;
      } else part.push(p.at);
    }
    if (points) lines[0].color = css("--track");
    track.setLines(lines);
    track.add(this.view.recent);
    if (!stack.following) this.view.mark();
    this.scale.hidden = !channel;
    if (!channel) return;
    const end = (v, far) => h("b", null, `${far ? (v === low ? "≤ " : "≥ ") : ""}${measure(v, channel)}`);
    const bar = h("span", { class: "way-bar", "aria-hidden": "true" });
    bar.style.background = `linear-gradient(to right, ${Array.from({ length: LEVELS }, (_, i) => color(i)).join()})`;
    replace(this.scale, ...(coloured ? [end(low, known[0] < low), bar, h("span", { class: "sr" }, " to "), end(high, known[known.length - 1] > high), ` ${unit(channel.unit)}`]
      : [stack.following ? "There are colours once the charts stand still." : this.far ? "Zoom in to see colours." : points ? "Nothing measures that here." : "Loading…"]));
  }
}
