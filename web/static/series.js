// Reads the series endpoint into what the charts draw.

import { api, query, sessionPath } from "./api.js";
import { isState } from "./channels.js";
import { duration, num } from "./format.js";
import { preferred } from "./units.js";

const KEPT = 48; // answers kept, so that going back is instant
const kept = new Map();

async function ask(url, signal, keep) {
  if (kept.has(url)) {
    const answer = kept.get(url);
    kept.delete(url);
    kept.set(url, answer); // newest last
    return answer;
  }
  const answer = await api(url, { signal });
  if (keep) {
    kept.set(url, answer);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  }
  return answer;
}

// forget drops what is kept, when a run changed.
export const forget = () => kept.clear();

const UNIT = { time: 1000, elapsed: 1, distance: 1 };

// about says what served the data: how wide a bucket is, and from which level.
function about(lines, align) {
  const one = lines.find((l) => l.x.length) || lines[0];
  if (!one) return null;
  if (!one.width) return { short: "every record", text: "every record", width: 0, level: one.level };
  const width = align === "distance" ? `${num(one.width, one.width < 10 ? 1 : 0)} m` : duration(one.width / UNIT[align]);
  const source = one.level === "raw" ? "from records" : `from the ${one.level} level`;
  return { short: `${width} buckets · ${one.level}`, text: `min–max and mean of ${width}, ${source}`, width: one.width / UNIT[align], level: one.level };
}

const names = (metrics) => metrics.map((m) => m.name).join(",");

// columns gives each metric's values: null, which breaks the line, in its gaps,
// and undefined, which is drawn across, where a column has no sample of it. Those
// of a state have an axis of their own.
function columns(session, x, metrics) {
  const out = {};
  for (const metric of metrics) {
    const { name } = metric, found = session.metrics[name];
    if (!found) { out[name] = null; continue; }
    if (isState(metric)) { out[name] = { x, states: found.last }; continue; }
    const gaps = found.gaps || [], width = session.bucket || 0; // their ends are known to a column's width
    let k = 0;
    const drawn = session.t.map((t, i) => {
      if (found.avg[i] != null) return true;
      while (k < gaps.length && gaps[k][1] + width < t) k++;
      return k >= gaps.length || t < gaps[k][0] - width;
    });
    const across = (list) => list?.map((v, i) => v ?? (drawn[i] ? undefined : null));
    out[name] = { ...found, min: across(found.min), max: across(found.max), avg: across(found.avg) };
  }
  return out;
}

// runSeries loads the window [a, b] (seconds since its start) of a run. What is
// asked for of a version that lasts, the browser keeps for good: it is not
// asked for again, after a reload neither.
export async function runSeries(run, a, b, points, metrics, signal, keep) {
  const start = Date.parse(run.start_time ?? run.updated_at); // null: all records are set aside
  const url = query(sessionPath(run.session_id, "/series"), {
    version: keep ? run.version : null, metrics: names(metrics), units: preferred(), from: new Date(start + a * 1000).toISOString(), to: new Date(Math.ceil(start + b * 1000) + 1).toISOString(), points,
  });
  const answer = await ask(url, signal, keep);
  const session = answer.sessions[0];
  const x = session.t.map((t) => (t - start) / 1000);
  const found = columns(session, x, metrics);
  const out = {};
  for (const { name } of metrics) out[name] = found[name] ? [found[name]] : [];
  return { x, columns: out, info: about([{ x, width: session.bucket, level: session.level }], "time") };
}

// compareSeries loads several runs over one axis, aligned by elapsed time or
// by distance. shift moves each run along the axis.
export async function compareSeries(ids, align, a, b, points, metrics, signal, shift = []) {
  const parts = await Promise.all(groups(ids, shift).map(async ({ members, by }) => {
    const url = query(sessionPath(members[0], "/series"), {
      compare: members.slice(1).map((id) => id.replace(/[%,]/g, encodeURIComponent)).join(","), metrics: names(metrics), units: preferred(), align, start: Math.max(0, a - by), end: Math.max(0, b - by) || 1, points,
    });
    const answer = await ask(url, signal, true);
    return answer.sessions.map((session) => ({ id: session.session_id, session, by }));
  }));
  const byID = new Map(parts.flat().map((part) => [part.id, part]));
  const lines = ids.map((id) => {
    const part = byID.get(id);
    const session = part?.session || { t: [], metrics: {}, bucket: 0, level: "raw" };
    return { x: session.t.map((v) => v + (part?.by || 0)), session, width: session.bucket, level: session.level };
  });
  return { ...merge(lines, metrics), info: about(lines, align) };
}

// groups gathers the runs that are moved by the same amount: one request each.
function groups(ids, shift) {
  const found = new Map();
  ids.forEach((id, i) => {
    const by = shift[i] || 0;
    if (!found.has(by)) found.set(by, []);
    found.get(by).push(id);
  });
  return [...found].map(([by, members]) => ({ by, members }));
}

// merge lays the lines' points over one axis. Where a line has no point of its
// own, it has undefined there, which uPlot draws across; null breaks it.
function merge(lines, metrics) {
  const all = new Set();
  for (const line of lines) for (const v of line.x) all.add(v);
  const x = [...all].sort((p, q) => p - q);
  const place = new Map(x.map((v, i) => [v, i]));
  const out = {};
  for (const metric of metrics) {
    out[metric.name] = lines.map((line) => {
      const from = columns(line.session, line.x, [metric])[metric.name];
      if (isState(metric)) return from ?? {};
      const to = { min: new Array(x.length), max: new Array(x.length), avg: new Array(x.length), count: new Array(x.length) };
      // A hole reaches up to the line's next value, whatever other lines have there.
      if (from) line.x.forEach((v, i) => {
        if (from.avg[i] !== null) return;
        const end = i + 1 < line.x.length ? place.get(line.x[i + 1]) : x.length;
        for (let j = place.get(v); j < end; j++) to.min[j] = to.max[j] = to.avg[j] = null;
      });
      if (from) line.x.forEach((v, i) => { const j = place.get(v); for (const k of ["min", "max", "avg", "count"]) to[k][j] = from[k]?.[i]; });
      return to;
    });
  }
  return { x, columns: out };
}
