// Laps of a run with their sectors, stints with their stops, and driver modes: as
// tables, as bands in charts and strip, and where the cursor is among them.

import { css, h, icon, replace } from "./dom.js";
import { query } from "./api.js";
import { clock, clockSpan, duration, num, NONE } from "./format.js";
import { figure, shownUnit, withUnit } from "./units.js";

const MOST = 6; // laps that are compared at once

const COLUMNS = [
  { key: "lap", title: "Lap", of: (l) => l.lap },
  { key: "seconds", title: "Time", of: (l) => l.seconds, show: (l) => clockSpan(l.seconds, 2) },
  { key: "speed", unit: "km/h", of: (l) => l.avg_speed_kmh, show: (l) => figure(l.avg_speed_kmh, "km/h", 1) },
  { key: "energy", unit: "Wh", of: (l) => l.energy_wh, show: (l) => figure(l.energy_wh, "Wh", 1) },
  { key: "efficiency", title: "km/kWh", of: (l) => l.efficiency_km_kwh, show: (l) => num(l.efficiency_km_kwh) },
  { key: "coasting", title: "Coasting", of: (l) => l.coasting_share, show: (l) => (l.coasting_share == null ? NONE : `${num(l.coasting_share * 100)} %`) },
];

const SECTORS = {
  seconds: { title: "Time, s", show: (s) => num(s.seconds, 2), spread: (s) => num(s.spread_s, 2) },
  energy: { title: "Energy, ", unit: "Wh", show: (s) => figure(s.energy_wh, "Wh", 2), spread: (s) => figure(s.spread_wh, "Wh", 2) },
  efficiency: { title: "km/kWh", show: (s) => num(s.efficiency_km_kwh) },
  speed: { title: "", unit: "km/h", show: (s) => figure(s.avg_speed_kmh, "km/h", 1) },
};
const headOf = ({ title = "", unit }) => title + (unit ? shownUnit(unit) : "");

const time = (text) => Date.parse(text) / 1000;

export class Laps {
  // to: id of the run, start (s since 1970), goTo(part) when a person wants to see
  // one, and drawn() when bands are other ones.
  constructor(node, to) {
    Object.assign(this, { node, to, laps: [], sectors: [], sort: { key: "lap", down: false }, chosen: new Set(), shown: "seconds" });
  }

  // show takes what the server says; a table that somebody uses stays as it is.
  show(answer) {
    Object.assign(this, { sectors: [], track: null, best: null, open_lap: null, stints: [], stops: [], driver_modes: [], motion: [], ...answer });
    for (const lap of this.laps) for (const part of [lap, ...lap.sectors]) Object.assign(part, { begin: time(part.from), end: time(part.to) });
    for (const n of this.chosen) if (!this.laps.some((l) => l.lap === n)) this.chosen.delete(n);
    if (!this.node.contains(document.activeElement)) this.draw();
    this.to.drawn();
  }

  draw() {
    const { laps, stints, stops, driver_modes: modes, motion, track, node } = this;
    node.hidden = !laps.length && !stints.length;
    if (node.hidden) return;
    const open = new Set([...node.querySelectorAll("details[open]")].map((d) => d.className));
    const more = (name, title, ...content) => h("details", { class: name, open: open.has(name) }, h("summary", null, title), ...content);
    replace(node, h("h2", { id: "laps-title" }, laps.length ? `Laps (${laps.length})` : "Stints", track && h("span", { class: "muted small" }, ` on ${track.name}`)),
      laps.length > 0 && [this.lapTable(), this.foot()],
      this.sectors.length > 0 && more("sectors", `${this.sectors.length} sectors${this.going() ? `; lap ${this.open_lap.lap}: ${this.open_lap.sectors.length} over` : ""}`, this.sectorTable()),
      stints.length > 0 && more("stints", `${stints.length} ${stints.length === 1 ? "stint" : "stints"}, ${stops.length} ${stops.length === 1 ? "stop" : "stops"}`,
        this.stintTable(),
        stops.length > 0 && h("p", { class: "pad muted small" }, "Stops: ", stops.slice(0, 12).map((stop, i) => [i ? ", " : "", h("button", { type: "button", class: "link", on: { click: () => this.to.goTo(stop) } }, `${clock(Date.parse(stop.from), 60)} for ${duration(stop.seconds)}`)]))),
      motion.length > 0 && more("motion", "Where the energy went", this.shareTable("Ways of moving", motion, (m) => m.motion)),
      modes.length > 0 && more("modes", "Driver modes", this.shareTable("Driver modes", modes.filter((m) => m.share > 0), (m) => m.driver_mode)),
      this.taking ??= this.took());
  }

  // took is asked for each time that it is opened, and stays as it is when the rest is drawn again.
  took() {
    const body = h("div"), node = h("details", null, h("summary", null, "What driving took"), body);
    node.addEventListener("toggle", async () => { if (node.open) (await import("./taking.js")).show(body, this.to.id, this.to.goTo); });
    return node;
  }

  // shareTable are parts of the run, each with its shares of time and energy.
  shareTable(caption, parts, name) {
    const energy = parts.reduce((sum, m) => sum + m.energy_wh, 0);
    const share = (v) => {
      const cell = h("td", { class: "n" }, v == null ? NONE : `${num(v * 100)} %`);
      cell.style.background = `linear-gradient(to right, var(--line) ${Math.max(0, v * 100)}%, transparent 0)`;
      return cell;
    };
    const table = this.region(caption,
      h("thead", null, h("tr", null, [caption, shownUnit("Wh"), "of energy", "Time", "of time"].map((text, i) => h("th", { scope: "col", class: i > 0 && "n" }, i ? text : h("span", { class: "sr" }, text))))),
      h("tbody", null, parts.map((m) => h("tr", null, h("th", { scope: "row" }, name(m)), h("td", { class: "n" }, figure(m.energy_wh, "Wh", 1)), share(energy > 0 && m.energy_wh != null ? m.energy_wh / energy : null), h("td", { class: "n" }, duration(m.seconds)), share(m.share)))));
    table.classList.add("figures");
    return table;
  }

  // again draws the tables and keeps the focus on what stands for the same.
  again(selector) {
    this.draw();
    this.node.querySelector(selector)?.focus();
  }

  region(caption, ...content) {
    return h("div", { class: "laps", tabindex: "0", role: "region", "aria-label": caption }, h("table", null, h("caption", { class: "sr" }, caption), ...content));
  }

  jump(part, name, text, ...extra) {
    return h("th", { scope: "row" }, h("button", { type: "button", "aria-label": `Show ${name} in the charts`, on: { click: () => this.to.goTo(part) } }, text), extra);
  }

  lapTable() {
    const { key, down } = this.sort, column = COLUMNS.find((c) => c.key === key);
    const rows = [...this.laps].sort((a, b) => {
      const x = column.of(a), y = column.of(b);
      return x == null || y == null ? (x == null) - (y == null) : (x - y) * (down ? -1 : 1);
    });
    const mark = (text, sign) => h("abbr", { class: "mark-best", title: text, "aria-label": text }, sign);
    return this.region("Laps; choose one to see it in the charts",
      h("thead", null, h("tr", null, h("th", { scope: "col" }, h("span", { class: "sr" }, "Compare")), COLUMNS.map((c) => h("th", { scope: "col", class: c.show && "n", "aria-sort": c.key === key ? (down ? "descending" : "ascending") : null },
        h("button", { type: "button", class: `sort-${c.key}`, on: { click: () => { this.sort = { key: c.key, down: c.key === key && !down }; this.again(`.sort-${c.key}`); } } }, headOf(c), c.key === key && h("span", { "aria-hidden": "true" }, down ? " ↓" : " ↑")))))),
      h("tbody", null, rows.map((lap) => {
        const box = h("input", { type: "checkbox", "aria-label": `Compare lap ${lap.lap}`, "data-lap": lap.lap, checked: this.chosen.has(lap.lap), disabled: !this.chosen.has(lap.lap) && this.chosen.size >= MOST });
        box.addEventListener("change", () => { box.checked ? this.chosen.add(lap.lap) : this.chosen.delete(lap.lap); this.again(`[data-lap="${lap.lap}"]`); this.to.drawn(); });
        return h("tr", { class: lap.time_rank === 1 && "best" }, h("td", null, box),
          this.jump(lap, `lap ${lap.lap}`, String(lap.lap), lap.time_rank === 1 && mark("quickest lap", "▲"), lap.efficiency_rank === 1 && mark("most efficient lap", "●"), lap.paused_s > 0 && mark(`with a pause of ${duration(lap.paused_s)}, not ranked`, "Ⅱ"), lap.silent_s > 0 && mark(`${duration(lap.silent_s)} without records`, "∅")),
          COLUMNS.slice(1).map((c) => h("td", { class: "n" }, c.show(lap))));
      })));
  }

  foot() {
    const { best, chosen } = this, list = this.laps.filter((l) => chosen.has(l.lap));
    const ends = (rank, text) => {
      const ranked = this.laps.filter((l) => l[rank]).sort((a, b) => a[rank] - b[rank]);
      return ranked.length > 1 && this.compare([ranked[0], ranked.at(-1)], text);
    };
    const quick = ends("time_rank", "Compare the quickest and the slowest"), saving = ends("efficiency_rank", "the most and the least efficient");
    return h("p", { class: "pad muted small" },
      best && `Best ${clockSpan(best.seconds, 2)}${best.theoretical_s == null ? "" : `, of best sectors ${clockSpan(best.theoretical_s, 2)}`}. `,
      list.length > 1 ? this.compare(list, `Compare ${list.length} laps`)
        : quick ? [quick, saving && ", ", saving, ", or tick laps."]
          : this.laps.length > 1 && "Tick laps to compare them.");
  }

  compare(list, text) { return h("a", { href: query("/compare", { laps: list.map((l) => `${encodeURIComponent(this.to.id)}:${l.lap}`).join(",") }) }, text); }

  // going tells whether the lap that is not over has sectors that are.
  going() { return this.open_lap?.sectors.length > 0; }

  // openRow has them, with how much slower than the best each was.
  openRow({ show }) {
    const { lap, sectors } = this.open_lap;
    return h("tr", { class: "open" }, h("th", { scope: "row", title: "Not over" }, `${lap}…`), this.sectors.map((best) => {
      const s = sectors.find((one) => one.sector === best.sector), by = s && this.shown === "seconds" && best.best_seconds != null ? s.seconds - best.best_seconds : null;
      return h("td", { class: "n" }, s ? show(s) : NONE, by != null && h("span", { class: "muted more" }, ` ${by < 0 ? "−" : "+"}${num(Math.abs(by), 2)}`));
    }));
  }

  sectorTable() {
    const { show, spread } = SECTORS[this.shown], best = this.sectors.map((s) => s.best_lap);
    const what = h("select", { class: "shown", "aria-label": "Figure of the sectors" }, Object.entries(SECTORS).map(([key, one]) => h("option", { value: key, selected: key === this.shown }, headOf(one))));
    what.addEventListener("change", () => { this.shown = what.value; this.again("select.shown"); });
    return [h("p", { class: "pad" }, what), this.region("Sectors of the laps",
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Lap"), this.sectors.map((s) => h("th", { scope: "col", class: "n", title: withUnit(s.length_m, "m", 0) }, s.name.replace(/^Sector /, "S"))))),
      h("tbody", null, this.laps.map((lap) => h("tr", null, this.jump(lap, `lap ${lap.lap}`, String(lap.lap)), lap.sectors.map((s, i) => h("td", { class: ["n", this.shown === "seconds" && best[i] === lap.lap && "mark-cell"].filter(Boolean).join(" ") },
        h("button", { type: "button", "aria-label": `Show ${this.sectors[i].name} of lap ${lap.lap} in the charts: ${show(s)}`, on: { click: () => this.to.goTo({ from: s.from, seconds: s.end - s.begin }) } }, show(s)))))),
      this.going() && this.openRow(SECTORS[this.shown]),
      spread && this.laps.length > 1 && h("tr", null, h("th", { scope: "row", title: "Standard deviation, of laps without pause and gap" }, "SD"), this.sectors.map((s) => h("td", { class: "n muted" }, spread(s))))))];
  }

  stintTable() {
    return this.region("Stints; choose one to see it in the charts",
      h("thead", null, h("tr", null, ["Stint", ...COLUMNS.slice(1, 5).map(headOf)].map((title, i) => h("th", { scope: "col", class: i > 0 && "n" }, title)))),
      h("tbody", null, this.stints.map((stint) => h("tr", null, this.jump(stint, `stint ${stint.stint}`, String(stint.stint)), COLUMNS.slice(1, 5).map((c) => h("td", { class: "n" }, c.key === "seconds" ? clockSpan(stint.seconds, 1) : c.show(stint)))))));
  }

  // place is where in the laps the run was, x s since its start: metres into which lap
  // and sector, if it was in any.
  place(x) {
    const t = this.to.start + x, lap = this.laps.find((l) => l.begin <= t && t < l.end);
    if (!lap) return null;
    const parts = [...lap.sectors].sort((a, b) => a.begin - b.begin), share = (t - lap.begin) / lap.seconds;
    return { lap, sector: parts.find((s) => s.begin <= t && t < s.end) || parts.at(-1), metres: lap.distance_m == null ? null : Laps.metres(lap, parts, t) ?? share * lap.distance_m };
  }

  // at says so.
  at(x) {
    const place = this.place(x);
    return place ? [`Lap ${place.lap.lap}`, place.sector && this.sectors[place.sector.sector - 1]?.name, place.metres != null && withUnit(place.metres, "m", 0)].filter(Boolean).join(" · ") : "";
  }

  // between is how many metres were driven from a to b, in laps that follow one another.
  between(a, b) {
    const [from, to] = [this.place(a), this.place(b)];
    if (from?.metres == null || to?.metres == null) return null;
    if (b < a) return -this.between(b, a);
    const laps = this.laps.filter((l) => l.begin >= from.lap.begin && l.begin < to.lap.begin);
    if (laps.some((l, i) => l.distance_m == null || (laps[i + 1] || to.lap).begin - l.end > 0.001)) return null;
    return laps.reduce((sum, l) => sum + l.distance_m, to.metres - from.metres);
  }

  // metres is how far into a lap it was, from where its sectors began.
  static metres(lap, parts, t) {
    let before = 0, last = lap.begin;
    for (const s of parts) {
      // The lap begins in one that comes last: what it drove of it at first.
      const from = s.begin, first = parts[0] === s && from > last ? from - last : 0;
      if (first) {
        const of = parts.at(-1), part = of.distance_m * (first / of.seconds);
        if (t < from) return (part * (t - last)) / first;
        before = part;
      }
      const to = s.end, driven = s.seconds > 0 ? s.distance_m * ((to - from) / s.seconds) : 0;
      if (t < to) return before + (driven * (t - from)) / (to - from);
      before += driven;
      last = to;
    }
    return null;
  }

  // bands are the laps from a to b, s since the run's start.
  bands(a, b) {
    return this.laps.map((l, i) => ({ from: l.begin - this.to.start, to: l.end - this.to.start, lap: l.lap, odd: i % 2 === 1, chosen: this.chosen.has(l.lap) })).filter((l) => l.to > a && l.from < b);
  }

  // paint draws them behind a chart: left is where a stands, scale px for a second.
  paint(g, [a, b], left, top, width, height, numbers) {
    const ratio = devicePixelRatio || 1, px = (x) => left + ((x - a) / (b - a)) * width;
    const accent = css("--accent"), ink = css("--ink"), muted = css("--muted");
    g.save();
    g.beginPath();
    g.rect(left, top, width, height);
    g.clip();
    g.font = `${11 * ratio}px system-ui, sans-serif`;
    g.textBaseline = "top";
    g.textAlign = "left";
    const all = this.bands(a, b), line = Math.min(1, (width / (24 * ratio * Math.max(1, all.length))) ** 2); // a hundred lines would hide what is behind them
    for (const l of all) {
      const from = px(l.from), wide = px(l.to) - from;
      g.globalAlpha = l.chosen ? 0.16 : 0.06;
      g.fillStyle = l.chosen ? accent : ink;
      if (l.chosen || l.odd) g.fillRect(from, top, wide, height);
      g.globalAlpha = line;
      g.fillStyle = muted;
      g.fillRect(from, top, 1, height);
      g.globalAlpha = 1;
      if (numbers && wide > 22 * ratio) g.fillText(String(l.lap), Math.max(from, left) + 4 * ratio, top + 2 * ratio);
    }
    g.restore();
  }
}

// editButton opens the editor of a track.
export const editButton = (track, after) => h("button", { type: "button", class: "button secondary", on: { click: () => import("./trackedit.js").then(({ editTrack }) => editTrack(track.id, after)) } }, icon("sliders"), "Edit track");
