// Places that people noted, where laps lie over one another: how far into the lap they
// are, as lines in the charts; notes.js draws those of a run likewise.

import { css, h } from "./dom.js";
import { api, query, sessionPath } from "./api.js";
import { METRES_PER_DEGREE } from "./fixes.js";
import { withUnit } from "./units.js";

const NEAR = 25; // m beside the way

// drawPlace marks in a chart that the car came by a place at x.
export function drawPlace(plot, x, color) {
  const { ctx: g, bbox: { left, top, width, height } } = plot, ratio = devicePixelRatio || 1, at = plot.valToPos(x, "x", true);
  if (at < left || at > left + width) return;
  g.save();
  g.strokeStyle = g.fillStyle = color;
  g.lineWidth = ratio;
  g.globalAlpha = 0.7;
  g.setLineDash([3 * ratio, 4 * ratio]);
  g.beginPath();
  g.moveTo(at, top);
  g.lineTo(at, top + height);
  g.stroke();
  g.globalAlpha = 1;
  g.fillRect(at, top + height - 11 * ratio, 7 * ratio, 6 * ratio); // a flag, as on the map
  g.restore();
}

// along is how far along a way of [lon, lat, x] a place lies; null where it is not near.
function along(way, { longitude, latitude }) {
  const scale = Math.cos((latitude * Math.PI) / 180), flat = (p) => [(p[0] - longitude) * scale * METRES_PER_DEGREE, (p[1] - latitude) * METRES_PER_DEGREE];
  let best = null, away = NEAR;
  for (let i = 1; i < way.length; i++) {
    if (!way[i - 1] || !way[i]) continue;
    const [ax, ay] = flat(way[i - 1]), [bx, by] = flat(way[i]), ex = bx - ax, ey = by - ay;
    const f = Math.max(0, Math.min(1, -(ax * ex + ay * ey) / (ex * ex + ey * ey || 1))), d = Math.hypot(ax + f * ex, ay + f * ey);
    if (d <= away) { away = d; best = way[i - 1][2] + f * (way[i][2] - way[i - 1][2]); }
  }
  return best;
}

// show draws what is noted of these runs into charts and map, and lists it in node.
export async function show(runs, { stack, map, node, signal }) {
  const notes = (await Promise.all(runs.map((run) => api(query(sessionPath(run, "/notes"), { kind: "note" }), { signal })))).flatMap((answer) => answer.notes);
  const places = notes.filter((n) => n.latitude != null && !n.from).map((n) => ({ ...n, x: along(map.way, n) })).filter((n) => n.x != null).sort((a, b) => a.x - b.x);
  if (!places.length) return;
  stack.guests.push({ plot: (plot) => { for (const p of places) drawPlace(plot, p.x, css("--c5")); } });
  stack.redraw();
  map.note(places.map((p) => ({ at: [p.longitude, p.latitude], color: css("--c5") })));
  node.append(h("ul", { class: "notes", "aria-label": "Noted places" }, places.map((p) => h("li", null, h("div", null,
    h("button", { type: "button", class: "link", on: { click: () => stack.setCursor(p.x) } }, withUnit(p.x, "m", 0)), h("p", { dir: "auto" }, p.text))))));
}
