// What a stack of charts draws, as a table of at most 60 rows.

import { h } from "./dom.js";
import { measure, title, unit, NONE } from "./format.js";

export function valuesTable(stack) {
  const { data, bands, lines, win } = stack, charts = stack.charts.flatMap((c) => c.readers);
  if (!data) return null;
  const rows = [], n = data.x.length, group = Math.max(1, Math.ceil(n / 60));
  const step = ((win[1] - win[0]) / n) * group * 15; // rows are to differ
  for (let i = 0; i < n; i += group) {
    const cells = [h("th", { scope: "row" }, stack.x(data.x[i], step))];
    let any = false;
    for (const { channel } of charts) {
      for (const k of lines.keys()) {
        const line = data.columns[channel.name]?.[k];
        let lo = Infinity, hi = -Infinity, sum = 0, w = 0;
        for (let j = i; j < Math.min(n, i + group); j++) {
          if (line?.avg?.[j] == null) continue;
          const c = line.count?.[j] ?? 1;
          lo = Math.min(lo, line.min[j]); hi = Math.max(hi, line.max[j]); sum += line.avg[j] * c; w += c;
        }
        any ||= w > 0;
        for (const v of [lo, sum / w, hi]) cells.push(h("td", { class: "n" }, w ? measure(v, channel) : NONE));
      }
    }
    for (const band of bands) for (const k of lines.keys()) {
      const state = band.at(k, data.x[i]);
      any ||= state != null;
      cells.push(h("td", null, state ?? NONE));
    }
    if (any) rows.push(h("tr", null, cells));
  }
  const heads = [], subs = [];
  const head = (channel, line) => [line.label, [title(channel), unit(channel.unit)].filter(Boolean).join(", ")].filter(Boolean).join(": ");
  for (const { channel } of charts) for (const line of lines) {
    heads.push(h("th", { scope: "colgroup", colspan: 3 }, head(channel, line)));
    for (const s of ["min", "avg", "max"]) subs.push(h("th", { scope: "col", class: "n" }, s));
  }
  for (const { channel } of bands) for (const line of lines) heads.push(h("th", { scope: "col", rowspan: 2 }, head(channel, line)));
  return h("table", { class: "values" },
    h("caption", null, `Values from ${stack.describe()}`),
    h("thead", null, h("tr", null, h("th", { scope: "col", rowspan: 2 }, stack.kind === "distance" ? "Distance" : "Time"), heads), h("tr", null, subs)),
    h("tbody", null, rows));
}
