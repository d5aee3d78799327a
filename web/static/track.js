// The GPS track, drawn from data: the whole way, the part that the charts show,
// and where the cursor or the live car is. No map tiles: nothing leaves the server.

import { h, css } from "./dom.js";
import { METRES_PER_DEGREE } from "./fixes.js";
import { gapAfter } from "./gaps.js";
import { onTheme } from "./theme.js";

const RAD = Math.PI / 180;

export class Track {
  constructor(root, { onPick } = {}) {
    this.canvas = h("canvas", { class: "track", role: "img", "aria-label": "Track of the run" });
    this.note = h("p", { class: "muted small track-note" });
    this.root = h("div", { class: "track-box" }, this.canvas, this.note);
    root.append(this.root);
    this.lines = [];
    this.marks = [];
    this.places = [];
    this.brush = [];
    this.resized = new ResizeObserver(() => this.paint());
    this.resized.observe(this.canvas);
    this.untheme = onTheme(() => this.paint());
    if (onPick) {
      const point = (e) => { if (!e.shiftKey && !this.picking) onPick(this.nearest(e)); }; // else a region is picked, by region.js
      this.canvas.addEventListener("pointerdown", point);
      this.canvas.addEventListener("pointermove", (e) => { if (e.buttons) point(e); });
    }
  }

  destroy() {
    this.resized.disconnect();
    this.untheme();
    cancelAnimationFrame(this.due);
  }

  // setLines takes ways, each {parts: [[[lon, lat, x?]...]...], color?, width?}. x is
  // where on the charts' axis the car was there. One with a width hides what is below;
  // one that is under is no more than a hint, whatever the window.
  setLines(lines) {
    this.lines = lines.map((line) => ({ ...line, parts: line.parts.map((part) => part.filter((p) => p[0] || p[1])).filter((part) => part.length) })).filter((line) => line.parts.length);
    this.box = null;
    for (const line of this.lines) for (const part of line.parts) for (const [lon, lat] of part) this.grow(lon, lat);
    this.root.hidden = !this.box;
    this.paint();
  }

  grow(lon, lat) {
    const b = (this.box ||= [lon, lat, lon, lat]);
    b[0] = Math.min(b[0], lon); b[1] = Math.min(b[1], lat); b[2] = Math.max(b[2], lon); b[3] = Math.max(b[3], lat);
  }

  // add lengthens the first way by where the live car is; what it has already is
  // left out. By the recent positions, these among them, a gap is told.
  add(points, recent = points) {
    const gap = gapAfter(recent.map((p) => p[2]));
    if (!this.lines.length) this.lines = [{ parts: [[]] }];
    const parts = this.lines[0].parts;
    for (const p of points) {
      const part = parts[parts.length - 1];
      const last = part[part.length - 1];
      if (last && p[2] <= last[2]) continue; // the way as it was loaded has it already
      if (last && p[2] != null && last[2] != null && p[2] - last[2] > gap) parts.push([p]);
      else part.push(p);
      this.grow(p[0], p[1]);
    }
    this.root.hidden = !this.box;
    this.later();
  }

  setWindow(a, b) { this.window = a == null ? null : [a, b]; this.later(); }
  setMarks(marks) { this.marks = marks.filter(Boolean); this.later(); }

  // setPlaces takes what is noted of places: {at: [lon, lat], color}.
  setPlaces(places) { this.places = places; this.later(); }

  // setBrush takes spans of the charts' axis that are to stand out.
  setBrush(spans) { this.brush = spans; this.later(); }

  later() { this.due ||= requestAnimationFrame(() => { this.due = 0; this.paint(); }); }

  // at gives where a way was when the charts' axis was at x.
  at(x, line = this.lines[0]) {
    let best = null, apart = Infinity;
    for (const part of line?.parts || []) {
      let lo = 0, hi = part.length - 1;
      while (lo < hi) { const mid = (lo + hi) >> 1; part[mid][2] < x ? (lo = mid + 1) : (hi = mid); }
      for (const i of [lo - 1, lo]) {
        const p = part[i];
        if (!p || p[2] == null || Math.abs(p[2] - x) >= apart) continue;
        apart = Math.abs(p[2] - x);
        best = p;
        const q = part[i + 1];
        if (q && p[2] <= x && q[2] > x) { // between two points
          const f = (x - p[2]) / (q[2] - p[2]);
          best = [p[0] + (q[0] - p[0]) * f, p[1] + (q[1] - p[1]) * f, x];
          apart = 0;
        }
      }
    }
    return best;
  }

  scale() {
    const w = this.canvas.clientWidth, ht = this.canvas.clientHeight, pad = 16;
    const [x0, y0, x1, y1] = this.box, squeeze = Math.cos(((y0 + y1) / 2) * RAD), least = 0.0014; // deg, 150 m
    const k = Math.min((w - 2 * pad) / Math.max((x1 - x0) * squeeze, least), (ht - 2 * pad) / Math.max(y1 - y0, least));
    const cx = (x0 + x1) / 2, cy = (y0 + y1) / 2;
    return { w, ht, k, to: (p) => [w / 2 + (p[0] - cx) * squeeze * k, ht / 2 - (p[1] - cy) * k], from: ([x, y]) => [cx + (x - w / 2) / squeeze / k, cy + (ht / 2 - y) / k] };
  }

  nearest(e) {
    if (!this.box) return null;
    const { to } = this.scale(), box = this.canvas.getBoundingClientRect();
    const mx = e.clientX - box.left, my = e.clientY - box.top;
    let best = null, apart = 900;
    for (const part of this.lines[0].parts) for (const p of part) {
      if (this.window && (p[2] < this.window[0] || p[2] > this.window[1])) continue;
      const [x, y] = to(p), d = (x - mx) ** 2 + (y - my) ** 2;
      if (d < apart) { apart = d; best = p; }
    }
    return best?.[2] ?? null;
  }

  paint() {
    const ratio = devicePixelRatio || 1, g = this.canvas.getContext("2d");
    if (!this.box || !this.canvas.clientWidth) return;
    const { w, ht, k, to } = this.scale();
    this.canvas.width = w * ratio;
    this.canvas.height = ht * ratio;
    g.scale(ratio, ratio);
    g.lineJoin = g.lineCap = "round";
    const stroke = (part, color, width, within) => {
      g.beginPath();
      let pen = false;
      for (const p of part) {
        if (within && !(p[2] >= within[0] && p[2] <= within[1])) { pen = false; continue; }
        const [x, y] = to(p);
        pen ? g.lineTo(x, y) : g.moveTo(x, y);
        pen = true;
      }
      g.strokeStyle = color;
      g.lineWidth = width;
      g.stroke();
    };
    for (const line of this.lines) if (line.under) for (const part of line.parts) stroke(part, css("--track"), 2.5);
    this.lines.forEach((line, i) => {
      if (line.under) return;
      const color = line.color || css("--accent");
      if (!i) for (const part of line.parts) stroke(part, css("--track"), 6);
      g.globalAlpha = line.width ? 1 : 0.6; // laps lie over one another
      for (const part of line.parts) if (!this.window) stroke(part, color, line.width || 1.5);
      g.globalAlpha = 1;
      if (this.window) for (const part of line.parts) stroke(part, color, line.width || 2.2, this.window);
    });
    let next = 0;
    if (this.brush.length) for (const part of this.lines[0]?.parts || []) {
      const chosen = [[]];
      for (const p of part) {
        while (next < this.brush.length && this.brush[next][1] < p[2]) { next++; chosen.push([]); }
        if (next < this.brush.length && p[2] >= this.brush[next][0]) chosen.at(-1).push(p);
        else if (chosen.at(-1).length) chosen.push([]);
      }
      for (const some of chosen) if (some.length) stroke(some.length > 1 ? some : [some[0], some[0]], css("--c2"), 5);
    }
    this.over?.(g, to);
    const first = this.lines[0]?.parts[0]?.[0];
    if (first) {
      const [x, y] = to(first);
      g.fillStyle = css("--muted");
      g.fillRect(x - 3, y - 3, 6, 6);
    }
    for (const place of this.places) {
      const [x, y] = to(place.at);
      g.fillStyle = place.color;
      g.fillRect(x - 1, y - 11, 2, 11);
      g.fillRect(x - 1, y - 11, 8, 6);
    }
    for (const mark of this.marks) {
      const [x, y] = to(mark.at);
      g.beginPath();
      g.arc(x, y, 6.5, 0, 2 * Math.PI);
      g.fillStyle = mark.color || css("--ink");
      g.fill();
      g.lineWidth = 2.5;
      g.strokeStyle = css("--surface");
      g.stroke();
    }
    // A scale bar of a round length.
    const metres = 90 / (k / METRES_PER_DEGREE);
    const step = [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000].filter((s) => s <= metres).pop() || 5;
    const long = step * (k / METRES_PER_DEGREE);
    g.strokeStyle = g.fillStyle = css("--muted");
    g.lineWidth = 1.5;
    g.beginPath();
    g.moveTo(12, ht - 14); g.lineTo(12, ht - 10); g.lineTo(12 + long, ht - 10); g.lineTo(12 + long, ht - 14);
    g.stroke();
    g.font = "11px system-ui, sans-serif";
    g.fillText(step >= 1000 ? `${step / 1000} km` : `${step} m`, 16, ht - 15);
  }
}

// trackLines reads the track endpoint's GeoJSON into parts of [lon, lat, x].
export function trackLines(answer, start) {
  const { geometry, properties } = answer;
  return (geometry?.coordinates || []).map((line, i) => line.map(([lon, lat], j) => [lon, lat, (properties.times[i][j] - start) / 1000]));
}
