// How often channels had which values in the window of the charts, or in the ticked
// laps: a histogram, the density of two channels, and the mean of a third in each cell.
// What is drawn can be read cell by cell, with the pointer or with arrow keys, and as a table;
// a click marks in charts and map where the run had those values (brush.js).

import { announce, css, h, replace } from "./dom.js";
import { query, sessionPath } from "./api.js";
import { setParams } from "./router.js";
import { called, isState } from "./channels.js";
import { lines } from "./lines.js";
import { count, measure, num, ticks, title, unit, NONE } from "./format.js";
import { preferred } from "./units.js";
import { onTheme } from "./theme.js";

const BINS = 40, HEIGHT = 260, LEFT = 52, BOTTOM = 34, TOP = 22, RIGHT = 10;
const FIRST = [["speed_ms"], ["power_w", "accel_x"], ["inst_eff_km_kwh", "accel_x", "throttle_pct"]];
const AXES = ["x", "y", "mean"];

export class Signals {
  // view is the run's page, node the details that they are in; asked are the channels
  // that its address names, if any.
  constructor(view, node, asked) {
    Object.assign(this, { view, node, figures: [], of: new URLSearchParams(location.search).get("signals_of") });
    this.chosen = asked ? asked.split(",") : null;
    this.status = h("p", { class: "muted small pad", role: "status" });
    this.bar = h("progress", { max: 1, "aria-label": "Records read" });
    this.share = h("span", null);
    this.reading = h("p", { class: "reading pad small", hidden: true }, this.bar, this.share);
    this.form = h("div", { class: "inline-form" });
    this.body = h("div", { class: "signals" });
    this.rows = h("div");
    node.append(this.form, this.status, this.reading, this.body, h("details", null, h("summary", null, "Table of signals"), this.rows));
    this.untheme = onTheme(() => this.draw());
    this.size = new ResizeObserver(() => this.draw());
    this.size.observe(this.body);
  }

  destroy() {
    clearTimeout(this.due);
    this.abort?.abort();
    this.untheme();
    this.size.disconnect();
  }

  // show is told that they were opened, or closed.
  show(open) {
    if (open) this.choose();
    this.remember();
    this.moved(0);
  }

  remember() { setParams(this.address()); }

  // address is what of them stands in the address of the page.
  address() { return this.node.open ? { signals: this.chosen.join(","), signals_of: this.of === "laps" ? "laps" : null } : { signals: null, signals_of: null }; }

  // moved is told that the window, the ticked laps or the records are others.
  moved(wait = 400) {
    clearTimeout(this.due);
    if (this.node.open) this.due = setTimeout(() => this.load(), wait);
  }

  choose() {
    const { channels } = this.view, there = this.there = channels.list.filter((c) => !isState(c) && !c.hidden && (!channels.present.size || channels.present.has(c.name)));
    this.chosen ??= FIRST.reduce((taken, names) => [...taken, names.find((name) => !taken.includes(name) && there.some((c) => c.name === name)) || ""], []);
    this.chosen[0] ||= there[0]?.name || "";
    const names = there.map((c) => c.name).join();
    if (names === this.offered || this.form.contains(document.activeElement)) return;
    this.offered = names;
    const select = (k, text) => {
      const node = h("select", { id: `signal-${AXES[k]}` }, k > 0 && h("option", { value: "" }, NONE), there.map((c) => h("option", { value: c.name, selected: c.name === this.chosen[k] }, called(c, there))));
      node.addEventListener("change", () => { this.chosen[k] = node.value; this.remember(); this.moved(0); });
      return h("div", { class: "field" }, h("label", { for: node.id }, text), node);
    };
    const of = h("select", { id: "signal-of" }, [["window", "Window of the charts"], ["laps", "Ticked laps"]].map(([value, text]) => h("option", { value, selected: value === this.of }, text)));
    of.addEventListener("change", () => { this.of = of.value; this.remember(); this.moved(0); });
    replace(this.form, select(0, "Signal"), select(1, "against"), select(2, "Mean of"), h("div", { class: "field" }, h("label", { for: "signal-of" }, "in"), of));
  }

  async load() {
    this.choose();
    const { view } = this, [x, y, mean] = this.chosen, laps = this.of === "laps" && [...view.laps.chosen].sort((a, b) => a - b).join(",");
    const at = (s) => new Date(Math.round(view.start + s * 1000)).toISOString();
    const part = { region: view.where, ...(laps ? { laps } : view.stack.whole ? {} : { from: at(view.stack.win[0]), to: at(view.stack.win[1]) }) };
    // What is shown or on its way stays, with the focus and what is marked: charts report the
    // window that they begin with, too.
    const question = JSON.stringify([x, y, mean, laps, part, preferred(), view.run.watermark]);
    if (question === this.question) return;
    this.question = question;
    this.abort?.abort(); // what was asked for before must not come after what is shown now
    this.abort = new AbortController();
    this.brush?.show([]);
    if (!x) return;
    if (laps === "") return void this.fill([], "Tick laps to see their signals.");
    // What was counted lately is there at once; what is not takes seconds in a long run.
    const { run } = view, seconds = laps ? view.laps.laps.filter((l) => view.laps.chosen.has(l.lap)).reduce((sum, l) => sum + l.seconds, 0) : view.stack.win[1] - view.stack.win[0];
    const shares = y ? [0, 0] : [0];
    this.progress(0);
    const waits = setTimeout(() => { this.reading.hidden = false; this.status.textContent = `Reading ${seconds ? `about ${count(Math.ceil(run.record_count * Math.min(1, seconds / (run.duration_s || 1))))} ` : ""}records…`; this.node.setAttribute("aria-busy", "true"); }, 300);
    const { signal } = this.abort, asked = (k, more) => lines(query(sessionPath(view.id, "/signals"), { x, ...more, ...part, units: preferred(), x_bins: BINS, y_bins: BINS }), signal, (share) => {
      shares[k] = share;
      if (!signal.aborted) this.progress(shares.reduce((sum, v) => sum + v) / shares.length);
    });
    try {
      const [one, two] = await Promise.all([asked(0, { mean: y ? null : mean }), y && asked(1, { y, mean })]);
      const name = (axis) => this.name(axis);
      const said = (a) => [`${count(a.counted)} of ${count(a.records)} records`, a.missing > 0 && `${count(a.missing)} lack ${[a.x, a.y].filter((axis) => axis?.missing).map(name).join(" or ")}`].filter(Boolean).join(", ");
      this.fill([{ of: one, title: name(one.x) }, two && { of: two, title: `${name(two.x)} and ${name(two.y)}` }, two?.mean && { of: two, mean: true, title: `${name(two.mean)} by ${name(two.x)} and ${name(two.y)}` }].filter(Boolean), two ? `${said(one)}; with both ${said(two)}` : said(one));
      if (view.where) this.status.textContent = one.records ? `In the region on the map: ${this.status.textContent}` : "The car was not in the region on the map then.";
    } catch (err) {
      if (err.name === "AbortError") return;
      this.question = null; // whoever asks again has it tried again
      this.fill([], err.message);
    } finally {
      clearTimeout(waits);
      if (this.abort.signal === signal) {
        this.reading.hidden = true;
        this.node.removeAttribute("aria-busy");
      }
    }
  }

  // progress shows which share of the records is read, and says so at every quarter.
  progress(share) {
    const quarter = (v) => Math.floor(v * 4), before = this.bar.value;
    this.bar.value = share;
    this.share.textContent = ` ${num(share * 100)} %`;
    if (!this.reading.hidden && quarter(share) > quarter(before)) announce(`${num(share * 100)} % read`);
  }

  // mark shows where the values of the cells between two were.
  async mark(f, [i, j], [k, l]) {
    const { view } = this, { x, y } = f.of, of = (axis, a, b) => ({ channel: axis.channel, low: axis.edges[Math.min(a, b)], high: axis.edges[Math.max(a, b) + 1] });
    this.brush ??= new (await import("./brush.js")).Brush(view);
    const laps = this.of === "laps" ? view.laps.bands(...view.stack.extent).filter((l) => l.chosen) : null, there = view.where && view.picked?.spans.map(([from, to]) => ({ from, to })), ranges = [of(x, i, k), y && of(y, j, l)].filter(Boolean);
    try {
      f.says.textContent = `${ranges.map((r, n) => { const axis = [x, y][n]; return `${this.write(r.low, axis)} to ${this.write(r.high, axis)} ${unit(axis.unit)}`.trim(); }).join(" · ")} · ${await this.brush.pick(ranges, laps ? view.stack.extent : view.stack.win, [laps, there].filter(Boolean), this.abort.signal)}`;
    } catch (err) { view.failed(err); }
  }

  fill(figures, text) {
    this.status.textContent = text;
    this.figures = figures.filter((f) => f.of.counts.length);
    replace(this.body, this.figures.map((f) => {
      f.canvas = h("canvas", { role: "img", tabindex: 0, "aria-label": `${f.title}. ${f.of.y ? "Arrow keys go from cell to cell" : "Arrow keys go from bin to bin"}, Enter marks where it was` });
      f.says = h("p", { class: "muted small", "aria-live": "polite" }, this.scaleOf(f));
      const nx = f.of.x.edges.length - 1, ny = f.of.y ? f.of.y.edges.length - 1 : 1;
      const point = (i, j) => {
        f.at = [Math.min(nx - 1, Math.max(0, i)), Math.min(ny - 1, Math.max(0, j))];
        f.says.textContent = this.cell(f);
        this.paint(f);
      };
      const under = (e) => {
        const box = f.canvas.getBoundingClientRect();
        point(Math.floor(((e.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT)) * nx), Math.floor((1 - (e.clientY - box.top - TOP) / (HEIGHT - TOP - BOTTOM)) * ny));
      };
      let held = null;
      f.canvas.addEventListener("pointermove", under);
      f.canvas.addEventListener("pointerleave", () => { f.at = held = null; f.says.textContent = this.scaleOf(f); this.paint(f); });
      f.canvas.addEventListener("pointerdown", (e) => { under(e); held = f.at; });
      f.canvas.addEventListener("pointerup", (e) => { under(e); if (held) this.mark(f, held, f.at); held = null; });
      f.canvas.addEventListener("keydown", (e) => {
        if (e.key === "Enter" && f.at) this.mark(f, f.at, f.at);
        if (e.key === "Escape") this.brush?.show([]);
        const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key];
        if (!by) return;
        e.preventDefault();
        f.at ? point(f.at[0] + by[0], f.at[1] + by[1]) : point(0, 0);
      });
      return h("figure", null, h("figcaption", null, f.title), f.canvas, f.of.y && this.colours(f), f.says);
    }));
    this.table();
    this.draw();
  }

  name(axis) { const channel = this.view.channels.get(axis.channel); return channel ? called(channel, this.there) : title({ name: axis.channel }); }

  write(v, axis) { return measure(v, this.view.channels.get(axis.channel) || {}); }
  range(axis, i) { return `${this.write(axis.edges[i], axis)} to ${this.write(axis.edges[i + 1], axis)} ${unit(axis.unit)}`.trim(); }

  // values are what a figure's colours or bars stand for.
  values(f) { return f.mean ? f.of.mean.means : f.of.counts; }

  ends(f) {
    let low = Infinity, high = -Infinity;
    for (const v of this.values(f)) if (v != null) { low = Math.min(low, v); high = Math.max(high, v); }
    return f.mean ? [low, high] : [0, high];
  }

  scaleOf(f) {
    const [low, high] = this.ends(f);
    if (!Number.isFinite(high)) return "No record has it";
    const { x, correlation } = f.of;
    if (!f.mean && !f.of.y) return `Mean ${this.write(x.mean, x)} ± ${this.write(x.deviation, x)} ${unit(x.unit)}, up to ${count(high)} records in a bin`;
    if (!f.mean && correlation != null) return `Correlation ${num(correlation, 2)}, up to ${count(high)} records in a cell`;
    return f.mean ? `Mean from ${this.write(low, f.of.mean)} to ${this.write(high, f.of.mean)} ${unit(f.of.mean.unit)}` : `Up to ${count(high)} records in a cell`;
  }

  // colours are a scale of what the colours of cells stand for; counts have them by logarithm.
  colours(f) {
    const [low, high] = this.ends(f), bar = h("span", { class: "way-bar" });
    bar.style.background = `linear-gradient(to right, ${f.mean ? [220, 148, 77, 5].map((at) => `hsl(${at} 70% 50%)`) : "color-mix(in srgb, var(--c1) 12%, transparent), var(--c1)"})`;
    return h("div", { class: "way-scale small", "aria-hidden": "true" }, f.mean ? this.write(low, f.of.mean) : "1", bar, f.mean ? `${this.write(high, f.of.mean)} ${unit(f.of.mean.unit)}` : `${count(high)} records`);
  }

  cell(f) {
    const [i, j] = f.at, k = i + j * (f.of.x.edges.length - 1), mean = f.of.mean;
    return [this.range(f.of.x, i), f.of.y && this.range(f.of.y, j), `${count(f.of.counts[k])} records`, mean && `mean ${mean.means[k] == null ? NONE : `${this.write(mean.means[k], mean)} ${unit(mean.unit)}`}`].filter(Boolean).join(" · ");
  }

  draw() { for (const f of this.figures) this.paint(f); }

  paint(f) {
    const { canvas, of: { x, y } } = f, width = canvas.clientWidth, ratio = devicePixelRatio || 1;
    if (!width) return;
    canvas.width = width * ratio;
    canvas.height = HEIGHT * ratio;
    const g = canvas.getContext("2d"), w = width - LEFT - RIGHT, ht = HEIGHT - TOP - BOTTOM, nx = x.edges.length - 1, ny = y ? y.edges.length - 1 : 1;
    const values = this.values(f), [low, high] = this.ends(f);
    g.scale(ratio, ratio);
    const left = (i) => LEFT + (w * i) / nx, top = (j) => TOP + ht - (ht * j) / ny;
    values.forEach((v, k) => {
      if (v == null || (!f.mean && !v)) return;
      const i = k % nx, j = Math.floor(k / nx);
      g.globalAlpha = 1;
      g.fillStyle = css("--c1");
      if (f.mean) g.fillStyle = `hsl(${220 - 215 * ((v - low) / (high - low || 1))} 70% 50%)`;
      else if (y) g.globalAlpha = 0.12 + 0.88 * (Math.log(1 + v) / Math.log(1 + high));
      const rise = y ? top(j) - top(j + 1) : (ht * v) / high;
      g.fillRect(left(i), top(j) - rise, left(i + 1) - left(i) - (y ? 0 : 1), rise);
    });
    g.globalAlpha = 1;
    g.strokeStyle = css("--edge");
    g.strokeRect(LEFT, TOP, w, ht);
    if (f.at) {
      g.strokeStyle = css("--ink");
      g.lineWidth = 2;
      g.strokeRect(left(f.at[0]), top(f.at[1] + 1), w / nx, ht / ny);
    }
    g.fillStyle = css("--muted");
    g.font = "11px system-ui, sans-serif";
    g.textBaseline = "middle";
    const place = (axis, v) => (v - axis.edges[0]) / (axis.edges.at(-1) - axis.edges[0] || 1), named = (axis) => [this.name(axis), unit(axis.unit)].filter(Boolean).join(", ");
    g.textAlign = "center";
    for (const [v, text] of ticks(x.edges[0], x.edges[nx], w / 50)) {
      const at = LEFT + w * place(x, v);
      g.fillRect(at, TOP + ht, 1, 3);
      g.fillText(text, Math.min(at, width - g.measureText(text).width / 2), TOP + ht + 11);
    }
    g.fillText(named(x), LEFT + w / 2, HEIGHT - 7);
    g.textAlign = "right";
    for (const [v, text] of y ? ticks(y.edges[0], y.edges[ny], 6) : ticks(0, high, 6, 1)) {
      const at = TOP + ht - ht * (y ? place(y, v) : v / high);
      g.fillRect(LEFT - 3, at, 3, 1);
      g.fillText(text, LEFT - 6, at);
    }
    g.textAlign = "left";
    g.fillText(y ? named(y) : "Records", 0, 7);
  }

  // table says of each bin of the first signal what the figures show.
  table() {
    const one = this.figures[0]?.of, two = this.figures[1]?.of, mean = (two || one)?.mean;
    if (!one) return void replace(this.rows);
    const nx = one.x.edges.length - 1, name = (axis) => this.name(axis);
    const row = (i) => {
      let n = 0, most = -1, sum = 0, with_ = 0;
      const of = two || one;
      for (let k = i; k < of.counts.length; k += nx) {
        n += of.counts[k];
        if (of.counts[k] > (of.counts[most] ?? 0)) most = k;
        if (mean?.counts[k]) { sum += mean.means[k] * mean.counts[k]; with_ += mean.counts[k]; }
      }
      return h("tr", null, h("th", { scope: "row" }, this.range(one.x, i)), h("td", { class: "n" }, count(one.counts[i])),
        two && h("td", { class: "n" }, most < 0 ? NONE : this.range(two.y, Math.floor(most / nx))), mean && h("td", { class: "n" }, with_ ? this.write(sum / with_, mean) : NONE));
    };
    const th = (text, n = true) => h("th", { scope: "col", class: n && "n" }, text);
    replace(this.rows, h("div", { class: "laps", tabindex: 0, role: "region", "aria-label": "Table of signals" }, h("table", null, h("caption", { class: "sr" }, "What the signals show"),
      h("thead", null, h("tr", null, th(name(one.x), false), th("Records"), two && th(`Most often ${name(two.y)}`), mean && th(`Mean of ${name(mean)}, ${unit(mean.unit)}`))),
      h("tbody", null, Array.from({ length: nx }, (_, i) => row(i))))));
  }
}
