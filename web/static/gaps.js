// What counts as a gap, as the server has it: a silence longer than the larger
// of 2 s and five usual steps of the records that carry the channel. A record
// without the channel does not break its line, and a gap of one channel is none
// of another.

// usualStep is the median step between times (ascending, s) that differ, or 0.
export function usualStep(times) {
  const steps = [];
  for (let i = 1; i < times.length; i++) if (times[i] > times[i - 1]) steps.push(times[i] - times[i - 1]);
  return steps.sort((p, q) => p - q)[steps.length >> 1] || 0;
}

// gapAfter is from how long on a silence between times (ascending, s) is a gap.
export const gapAfter = (times) => Math.max(2, 5 * usualStep(times));

const number = (v) => (typeof v === "boolean" ? Number(v) : v);

// lines lays the values that records carry over one axis: undefined, which is
// drawn across, where a record lacks the channel, and null where it has a gap.
export function lines(x, records, names) {
  const axis = x.map((at, i) => ({ at, i }));
  const carried = names.map((name) => {
    const at = [], of = new Map();
    records.forEach((r, i) => { const v = number(r[name]); if (typeof v === "number") { at.push(x[i]); of.set(i, v); } });
    const limit = gapAfter(at), gaps = [];
    for (let k = 1; k < at.length; k++) if (at[k] - at[k - 1] > limit) { gaps.push((at[k] + at[k - 1]) / 2); axis.push({ at: gaps[gaps.length - 1], i: -1 }); }
    return { of, gaps: new Set(gaps) };
  });
  axis.sort((p, q) => p.at - q.at || p.i - q.i);
  return { x: axis.map((a) => a.at), columns: carried.map(({ of, gaps }) => axis.map(({ at, i }) => (i >= 0 ? of.get(i) : gaps.has(at) ? null : undefined))) };
}
