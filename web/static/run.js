// One run: its figures, charts at any zoom, track and laps; live while it runs.

import { announce, css, h, icon, replace, toast } from "./dom.js";
import { api, query, sessionPath } from "./api.js";
import { currentUser, isAdmin, mayEdit } from "./account.js";
import { go, setParams, setTitle, show } from "./router.js";
import { arranged, chosen, namesOf, tidy, written } from "./arrange.js";
import { ChartStack } from "./charts.js";
import { editButton, Laps } from "./laps.js";
import { Bench } from "./bench.js";
import { Track, trackLines } from "./track.js";
import { channelsOf, isState } from "./channels.js";
import { Overview } from "./overview.js";
import { Live } from "./window.js";
import { forget, runSeries } from "./series.js";
import { badge, onTrack, runName } from "./runs.js";
import { count, date, duration, hourMinute } from "./format.js";
import { fillTiles } from "./tiles.js";

const CHOICE = "telemetryd.metrics", ARRANGEMENT = "telemetryd.charts"; // as addresses have them
const FIRST = ["speed_ms", "power_w", "voltage_v", "current_a"];
const TOLERANCE = 2; // m that positions are off
const WINDOWS = [[30, "Last 30 s"], [120, "Last 2 min"], [300, "Last 5 min"]];

export function render(main, { args: [id], params }) {
  setTitle("Run");
  const abort = new AbortController();
  const page = h("div", { class: "run" }, h("p", { class: "muted", role: "status" }, "Loading the run…"));
  main.append(page);
  let view = null;
  Promise.all([api(sessionPath(id), { signal: abort.signal }), channelsOf([id], abort.signal)])
    .then(([run, channels]) => {
      if (abort.signal.aborted) return;
      view = new RunView(page, run, channels, params, abort.signal);
    })
    .catch((err) => {
      if (err.name === "AbortError") return;
      const guest = !currentUser() && (err.status === 401 || err.status === 403);
      replace(page, h("div", { class: "empty" },
        h("h1", null, guest ? "This run is for the crew" : err.status === 404 ? "There is no such run" : "The run could not be loaded"),
        h("p", { class: "muted" }, guest ? "Only live runs can be watched without an account." : err.message),
        guest ? h("a", { class: "button", href: "/signin" }, "Sign in") : h("a", { class: "button secondary", href: "/" }, "All runs")));
    });
  return Object.assign(() => { abort.abort(); view?.destroy(); }, { turn: (params) => (view ? view.bench.turn(params) : show()) });
}

// again shows the run anew, since its records changed.
const again = () => { forget(); show(); };

class RunView {
  constructor(page, run, channels, params, signal) {
    Object.assign(this, { run, channels, signal, id: run.session_id });
    this.start = Date.parse(run.start_time ?? run.updated_at); // null: all records are set aside
    this.live = null; // what the charts follow
    this.watched = null; // a run on track is listened to all the same
    this.silent = false;
    this.where = params.get("region"); // the part of the map that signals are counted of
    this.recent = []; // live positions that the way as it is loaded may not have yet
    setTitle(runName(run));

    this.meta = h("p", { class: "meta" });
    this.title = h("h1", null);
    this.age = h("p", { class: "age", hidden: true });
    this.tiles = h("dl", { class: "tiles card", "aria-label": "Summary" });
    this.why = h("p", { class: "muted small", hidden: true });
    this.said = h("section", { class: "card said", "aria-label": "Run book", hidden: true });
    this.paced = h("section", { class: "card panel pace", "aria-labelledby": "pace-title", hidden: true });
    this.tools = h("div", { class: "toolbar", role: "toolbar", "aria-label": "Charts", "aria-controls": "charts" });
    this.overview = h("canvas", { class: "overview", "aria-hidden": "true" });
    this.here = h("span", { class: "push here muted small" });
    const charts = h("div", { class: "card" }, this.tools, this.overview);
    this.map = h("section", { class: "card panel", "aria-labelledby": "map-title" }, h("h2", { id: "map-title" }, "Track"), (this.mapTools = h("div", { class: "map-tools" }, (this.mapEdit = h("div", null)), this.regionButton())));
    const laps = h("section", { class: "card panel", "aria-labelledby": "laps-title", hidden: true });
    this.valued = h("section", { class: "card panel", "aria-labelledby": "values-title", hidden: true });
    this.noted = h("section", { class: "card panel", "aria-labelledby": "notes-title", hidden: true });
    const counted = h("details", { open: params.has("signals") }, h("summary", null, h("h2", { id: "signals-title" }, "Signals")));
    counted.addEventListener("toggle", () => import("./signals.js").then(({ Signals }) => {
      if (!signal.aborted) (this.signals ??= new Signals(this, counted, params.get("signals"))).show(counted.open);
    }).catch(this.failed));
    this.merges = h("section", { class: "card panel", "aria-labelledby": "merges-title", hidden: true });
    this.others = h("section", { class: "card panel", hidden: true, "aria-label": "Members without a channel" });
    this.aside = h("section", { class: "card panel", "aria-labelledby": "aside-title", hidden: true });
    replace(page,
      h("div", { class: "run-head" }, this.title, this.meta, h("div", { class: "actions" }, this.actions())),
      this.said, this.paced, this.tiles, this.why,
      h("div", { class: "run-body", hidden: !run.start_time }, h("section", { "aria-labelledby": "charts-title" }, h("h2", { class: "sr", id: "charts-title" }, "Charts over time"), charts), h("aside", { class: "side", "aria-label": "Values, track, laps and notes" }, this.valued, this.map, laps, this.noted)),
      h("section", { class: "card panel", "aria-labelledby": "signals-title", hidden: !run.start_time }, counted), this.merges, this.aside, this.others, this.age);

    this.laps = new Laps(laps, { id: this.id, start: this.start / 1000, goTo: (part) => this.goTo(part), drawn: () => { setParams({ laps: this.address().laps }); this.stack.redraw(); this.strip.paint(); this.signals?.moved(); } });
    this.stack = new ChartStack(charts, {
      behind: (g, box, first) => this.laps.paint(g, this.stack.win, box.left, box.top, box.width, box.height, first),
      extent: [0, this.length()], start: this.start, clockTime: params.get("axis") !== "elapsed",
      load: (a, b, points, metrics, s) => runSeries(this.run, a, b, points, metrics, s, !onTrack(this.run)),
      onWindow: (a, b, whole) => this.moved(a, b, whole),
      onCursor: (x) => this.cursor(x),
      onTouch: () => this.still(),
      onRemove: (name) => this.choose(this.metrics.filter((m) => m !== name)),
      caption: () => `${runName(this.run)}, ${date(new Date(this.start))}`,
      onArrange: (charts) => this.arrange(charts), choices: () => this.channels.list.filter((c) => this.channels.present.has(c.name) && !c.hidden),
    });
    this.bench = new Bench(this.stack, this.valued, {
      to: { place: (x) => this.laps.at(x), between: (a, b) => this.laps.between(a, b), counter: channels.get("distance_m"), changed: () => { this.mark(); this.strip.paint(); } },
      address: () => this.address(), failed: this.failed,
    });
    this.track = new Track(this.map, { onPick: (x) => this.stack.setCursor(x) });
    this.map.hidden = true;
    this.track.canvas.addEventListener("pointerenter", () => this.region(() => {})); // to be at hand
    this.track.canvas.addEventListener("pointerdown", (e) => { if (e.shiftKey || this.track.picking) this.region((region) => region.begin(e)); });
    if (this.where) this.region(() => {});
    this.strip = new Overview(this, this.overview);
    this.toolbar();
    this.header();

    const asked = params.get("metrics")?.split(",");
    const stored = JSON.parse(localStorage.getItem(CHOICE) || "null");
    const { present, list } = channels;
    const { has } = this;
    this.charts = tidy(asked || stored ? arranged(asked || stored, asked ? params.get("charts") : localStorage.getItem(ARRANGEMENT)) : arranged(FIRST), has);
    if (!this.charts.length) this.charts = tidy(arranged(FIRST), has);
    if (!this.charts.length) this.charts = arranged(list.filter((c) => present.has(c.name) && !c.hidden && !isState(c)).slice(0, 4).map((f) => f.name));

    for (const lap of (params.get("laps") || "").split(",").filter(Boolean)) this.laps.chosen.add(Number(lap));
    const zoomed = this.bench.open(params);
    this.stack.setMetrics(this.chosen(), this.charts);
    this.listOthers();
    this.loadTrack();
    this.loadFigures();
    this.strip.draw();
    import("./notes.js").then(({ Notes }) => { if (!signal.aborted) this.notes = new Notes(this, this.noted); }).catch(this.failed);
    if (onTrack(run)) {
      this.keep();
      zoomed ? this.listen(120) : this.startLive(120);
    }
  }

  // saved takes the run as its book was changed.
  saved = (run) => { this.run = run; this.header(); };

  // failed says what could not be loaded, wherever one has scrolled to; once.
  failed = (err) => {
    if (err.name === "AbortError" || this.toldOf === err.message) return;
    this.toldOf = err.message;
    toast(err.message, "error");
  };

  destroy() {
    clearInterval(this.timer);
    clearTimeout(this.trackDue);
    this.watched?.stop();
    this.notes?.destroy();
    this.bench.destroy();
    this.signals?.destroy();
    this.stack.destroy();
    this.way?.destroy();
    this.track.destroy();
    this.strip.destroy();
  }

  length() { return Math.max(0.1, this.run.duration_s + 0.001, this.liveEnd || 0); }
  // has gives the channel of a name, if the run has it.
  has = (name) => { const { present } = this.channels, channel = this.channels.get(name); return channel?.charted && (!present.size || present.has(name)) && channel; };

  // use draws a saved layout, without what the run lacks; it gives how many channels that are.
  use(layout) {
    const charts = tidy(layout, this.has);
    if (charts.length) this.arrange(charts);
    return namesOf(charts).length;
  }

  get metrics() { return namesOf(this.charts); }
  chosen() { return this.metrics.map((name) => this.channels.get(name)); }

  // choose draws these channels; what was drawn stays in its chart.
  choose(metrics) { this.arrange(chosen(this.charts, metrics)); }

  arrange(charts) {
    this.charts = charts;
    const { metrics } = this;
    localStorage.setItem(CHOICE, JSON.stringify(metrics));
    localStorage.setItem(ARRANGEMENT, written(charts));
    setParams({ metrics: metrics.join(), charts: written(charts) });
    this.stack.setMetrics(this.chosen(), charts);
    if (this.live) {
      if (!this.live.draws(this.chosen())) this.live = this.listen(this.live.span);
      this.live.metrics = this.chosen();
      this.live.draw();
    }
    this.strip.draw();
  }

  header() {
    const { run } = this;
    replace(this.title, h("bdi", null, runName(run)), badge(run, this.silent));
    if (run.book.revision !== this.bookShown) {
      this.bookShown = run.book.revision;
      import("./book.js").then(({ showBook }) => showBook(this.said, this.run, mayEdit(), this.saved)).catch(this.failed);
      this.loadPace();
    }
    replace(this.meta, run.start_time ? `${date(new Date(this.start))}, ${hourMinute(new Date(this.start))} · ${duration(run.duration_s)} · ` : "", `${count(run.record_count)} records`);
    if (run.set_aside && run.set_aside !== this.asideShown && !this.aside.contains(document.activeElement)) {
      this.asideShown = run.set_aside;
      this.aside.hidden = false;
      import("./setaside.js").then(({ listAside }) => listAside(this.aside, run, isAdmin(), again));
    }
  }

  actions() {
    const buttons = [
      h("a", { class: "button secondary", href: `/compare?runs=${encodeURIComponent(this.id)}` }, icon("compare"), "Compare"),
      h("a", { class: "button secondary", href: `/runs/${encodeURIComponent(this.id)}/brief`, target: "_blank", rel: "opener", title: "The run on one page, to be printed" }, icon("page"), "Brief"),
      h("button", { class: "button secondary", type: "button", on: { click: () => import("./download.js").then(({ download }) => download(this.run, { metrics: this.metrics, window: this.stack.whole ? null : this.stack.win.map((v) => this.start + v * 1000) })).catch(this.failed) } }, icon("down"), "CSV"),
    ];
    if (currentUser() && currentUser().role !== "guest") import("./merge.js").then(({ listMerges }) => listMerges(this.merges, this.run, mayEdit(), again)).catch(this.failed);
    if (mayEdit() && !onTrack(this.run)) {
      const take = (file) => import("./merge.js").then(({ mergeFile }) => mergeFile(file, this.run, () => { this.changed = true; })).then((node) => node.addEventListener("close", () => this.changed && again()));
      const place = h("span");
      buttons.push(place);
      import("./files.js").then(({ fileButton }) => place.append(...fileButton("Merge a file…", take)));
    }
    if (isAdmin() && !onTrack(this.run)) buttons.push(h("button", { class: "button danger", type: "button", on: { click: () => this.remove() } }, "Delete"));
    return buttons;
  }

  async remove() {
    if (!confirm(`Delete the run “${runName(this.run)}” and its ${count(this.run.record_count)} records? This cannot be undone.`)) return;
    try {
      await api(sessionPath(this.id), { method: "DELETE" });
      toast("The run is deleted.");
      go("/");
    } catch (err) { toast(err.message, "error"); }
  }

  toolbar() {
    const button = (label, shape, click) => h("button", { type: "button", class: "button secondary", "aria-label": label, title: label, on: { click } }, icon(shape));
    const leave = (act) => () => { this.still(); act(); };
    this.liveButton = h("button", { type: "button", class: "button secondary", "aria-pressed": "false", hidden: !onTrack(this.run), on: { click: () => (this.live ? this.stopLive() : this.startLive(this.liveSpan || 120)) } });
    this.liveWindow = h("select", { "aria-label": "Live window", hidden: true }, WINDOWS.map(([s, text]) => h("option", { value: s, selected: s === 120 }, text)));
    this.liveWindow.addEventListener("change", () => this.startLive(Number(this.liveWindow.value)));
    const axis = h("button", { type: "button", class: "button secondary wide-only", "aria-pressed": String(!this.stack.clockTime), title: "Show the time since the start instead of the time of day" }, icon("clock"), "Elapsed");
    axis.addEventListener("click", () => {
      this.stack.clockTime = !this.stack.clockTime;
      axis.setAttribute("aria-pressed", String(!this.stack.clockTime));
      setParams({ axis: this.stack.clockTime ? null : "elapsed" });
      this.stack.draw();
    });
    const table = h("button", { type: "button", class: "button secondary", "aria-pressed": "false", title: "Show the values as a table" }, icon("table"));
    table.setAttribute("aria-label", "Table of values");
    table.addEventListener("click", () => table.setAttribute("aria-pressed", String(this.stack.toggleTable())));
    const metrics = h("button", { type: "button", class: "button secondary", on: { click: () => import("./picker.js").then(({ pick }) => { this.picker = pick(() => this.channels.list, this.metrics, this.channels.present, (m) => this.choose(m)); }).catch(this.failed) } }, icon("sliders"), h("span", { class: "text" }, "Metrics"));
    const layouts = currentUser() && currentUser().role !== "guest" && button("Layouts", "layout", () => import("./layouts.js").then(({ openLayouts }) => openLayouts(this)).catch(this.failed));
    replace(this.tools, this.liveButton, this.liveWindow,
      h("div", { class: "group", role: "group", "aria-label": "Window" },
        button("Earlier", "left", leave(() => this.stack.pan(-0.5))), button("Zoom in", "plus", leave(() => this.stack.zoom(0.5))),
        button("Zoom out", "minus", leave(() => this.stack.zoom(2))), button("Later", "right", leave(() => this.stack.pan(0.5))),
        button("Whole run", "reset", leave(() => this.stack.reset()))),
      this.here, axis, this.bench.button, table, layouts, metrics);
    this.liveLabel();
  }

  liveLabel(state) {
    const on = !!this.live;
    this.liveButton.hidden = !onTrack(this.run) && !on;
    this.liveWindow.hidden = !on;
    const trouble = { waiting: "Reconnecting…", connecting: "Connecting…", away: "Database away…" }[state] || (this.silent && "Silent");
    this.liveButton.classList.toggle("live-on", on && !trouble);
    this.liveButton.setAttribute("aria-pressed", String(on));
    replace(this.liveButton, on && !trouble && h("span", { class: "dot", "aria-hidden": "true" }), on ? trouble || "Live" : "Go live");
  }

  // hush shows the age of the newest record, wherever one has scrolled to, and
  // greys out what is no longer of now.
  hush(age, silent) {
    this.age.textContent = `Newest record ${age < 1 ? "now" : `${duration(Math.floor(age))} ago`}`;
    this.age.hidden = false;
    this.age.classList.toggle("silent", silent);
    this.stack.stale(silent && !!this.live);
    if (silent === this.silent) return;
    this.silent = silent;
    this.liveLabel(this.live?.now);
    this.header();
    if (!silent) this.keep();
    announce(silent ? "The car is silent" : "The car sends again");
  }

  startLive(span) {
    this.liveSpan = span;
    this.liveWindow.value = String(span);
    setParams({ from: null, to: null });
    this.live = this.listen(span);
    this.way?.moved();
    this.liveLabel("connecting");
    announce("Following live data");
  }

  // listen hears the run, which tells how old its newest record is wherever one
  // looks; while charts follow it, they draw the last span seconds.
  listen(span) {
    this.watched?.stop();
    this.watched = new Live(this.run, span, {
      start: this.start, metrics: this.chosen(),
      draw: (data, a, b, newest) => {
        this.liveEnd = newest + 0.001;
        this.stack.extent[1] = this.length();
        this.stack.follow(data, a, b);
        this.track.setWindow(a, b);
      },
      seen: (points, members) => {
        this.channels.heard(members);
        if (members.length) this.channels.follow(this.id, this.signal, () => { this.picker?.refresh(); this.listOthers(); });
        if (!this.metrics.length) this.choose(FIRST.filter((name) => this.channels.present.has(name)));
        this.recent = [...this.recent, ...points].slice(-400);
        if (points.length) { this.map.hidden = false; this.track.add(points, this.recent); if (this.live) this.track.setMarks([{ at: points[points.length - 1], color: css("--live") }]); }
      },
      late: () => this.loadTrackSoon(),
      changed: () => this.notes?.changed(),
      state: (state) => { if (state === "open" && this.away) this.loadTrackSoon(); this.away = state === "waiting" || state === "away"; this.liveLabel(state); },
      silent: (age, silent) => this.hush(age, silent),
      refused: (message) => { toast(message, "error"); this.watched.stop(); this.age.hidden = true; this.still(); },
    });
    return this.watched;
  }

  // stopLive freezes the window where it is; from there on it can be zoomed.
  stopLive() {
    this.live.idle = true;
    this.live = null;
    this.stack.unfollow();
    this.stack.extent = [0, this.length()];
    const [a, b] = this.stack.win;
    this.stack.win = [Math.max(0, a), Math.min(this.length(), b)];
    this.stack.reload(0);
    this.moved(...this.stack.win, false);
    this.bench.window(false);
    this.liveLabel();
  }

  moved(a, b, whole) {
    this.track.setWindow(...(whole ? [null] : [a, b]));
    this.way?.moved();
    this.strip.paint();
    this.signals?.moved();
  }

  // address is what of the view stands in its address, beside what the bench knows.
  address() {
    return {
      metrics: this.metrics.join(), charts: written(this.charts), axis: this.stack.clockTime ? null : "elapsed", laps: [...this.laps.chosen].sort((a, b) => a - b).join(),
      map: this.way?.name, region: this.where, ...this.signals?.address(),
    };
  }

  cursor(x) {
    if (this.live) return;
    this.cursorAt = x;
    this.here.textContent = x == null ? "" : [this.stack.x(x, 1), this.laps.at(x)].filter(Boolean).join(" · ");
    this.mark();
    this.strip.paint();
  }

  // region has work done by who picks a part of the map, and is loaded when that is near.
  region(work) {
    import("./region.js").then(({ Region }) => { if (!this.signal.aborted) work((this.picked ??= new Region(this, this.mapTools, this.regionPick))); }).catch(this.failed);
  }

  regionButton() {
    return (this.regionPick = h("button", { type: "button", class: "button secondary", "aria-pressed": "false", title: "Or drag over the map with Shift", on: { click: (e) => this.region((region) => region.pick(!e.detail)) } }, "Pick a region"));
  }

  // mark shows on the track where the cursors are.
  mark() {
    const mark = (x, color) => { const at = x == null ? null : this.track.at(x); return at && { at, color: css(color) }; };
    this.track.setMarks([...this.bench.pins.map((x) => mark(x, "--focus")), mark(this.cursorAt, "--ink")]);
  }

  // keep has the figures of a run that goes on follow it.
  keep() {
    clearInterval(this.timer);
    this.timer = setInterval(() => this.poll(), 5000);
  }

  async poll() {
    try {
      const { watermark: before, start_time: began } = this.run;
      this.run = await api(sessionPath(this.id), { signal: this.signal });
      if (this.run.start_time !== began) return this.beginAnew();
      this.header();
      this.loadPace();
      this.liveLabel(this.live?.now);
      if (this.run.watermark !== before) {
        forget();
        this.stack.setExtent(0, this.length());
        this.loadFigures();
        this.notes?.follow();
        this.signals?.moved();
        this.picked?.show();
        this.strip.draw();
        if (!this.live) this.loadTrackSoon();
      }
      if (!this.run.live) clearInterval(this.timer);
    } catch { /* the next turn tries again */ }
  }

  // beginAnew shows the run anew, since a record came that is older than all others:
  // every place on the page counts from the first one.
  beginAnew() {
    const by = (this.start - Date.parse(this.run.start_time)) / 1000;
    if (!this.live && !this.stack.whole) setParams({ from: (this.stack.win[0] + by).toFixed(3), to: (this.stack.win[1] + by).toFixed(3) });
    forget();
    show({ focus: false });
  }

  // loadTrackSoon draws the way anew, since records came that belong into it; they
  // may never cease to.
  loadTrackSoon() {
    this.trackDue ||= setTimeout(() => { this.trackDue = 0; this.loadTrack(); }, 1000);
  }

  async loadTrack() {
    try {
      const answer = await api(query(sessionPath(this.id, "/track"), { tolerance: TOLERANCE, points: 1200 }), { signal: this.signal });
      const lines = trackLines(answer, this.start);
      if (!lines.length) return;
      this.map.hidden = false;
      const { Way } = await import("./way.js");
      if (this.signal.aborted) return;
      (this.way ??= new Way(this, this.mapTools, new URLSearchParams(location.search).get("map"))).show(lines, answer.properties.tolerance_m > TOLERANCE);
      this.track.setWindow(...(this.stack.whole ? [null] : this.stack.win));
    } catch (err) {
      if (err.name !== "AbortError" && err.status !== 404) this.track.note.textContent = err.message;
    }
  }

  loadFigures() {
    // Each as it comes: laps of a long race take their time.
    const load = (rest, fill) => api(sessionPath(this.id, rest), { signal: this.signal }).then(fill).catch(this.failed);
    load("/summary", (answer) => this.fillTiles(answer));
    load("/laps", (answer) => {
      this.laps.show(answer);
      this.bench.pinned?.drawn(); // metres between cursors
      replace(this.mapEdit, answer.track && mayEdit() && editButton(answer.track, () => this.loadFigures()));
    });
  }

  // loadPace says what may still be spent, of a run that drives or was planned.
  loadPace() {
    if (!this.run.start_time || !onTrack(this.run) && !this.pace && !Object.entries(this.run.book).some(([name, said]) => said && name.startsWith("plan_"))) return;
    import("./pace.js").then(({ Pace }) => (this.pace ??= new Pace(this.paced, this.signal, mayEdit() && (() => import("./bookform.js").then(({ edit }) => edit(this.run, this.saved, true)).catch(this.failed)))).load(this.run).catch(() => { /* the next turn tries again */ })).catch(this.failed);
  }

  fillTiles(s) {
    this.summary = s;
    fillTiles(this.tiles, s);
    replace(this.why, s.sent?.why.replace(/^./, (first) => first.toUpperCase()));
    this.why.hidden = !s.sent;
    this.strip.paint();
  }

  // listOthers says what the records have that became no channel.
  listOthers() {
    const { others, slow } = this.channels;
    this.others.hidden = !others.length && !slow.length;
    if (!this.others.hidden) import("./others.js").then(({ listOthers }) => listOthers(this.others, others, slow));
  }

  // still ends following, as moving the window does.
  still() { if (this.live) this.stopLive(); }

  // goTo shows a part of the run, such as a lap, in the charts.
  goTo(part) {
    this.still();
    const a = (Date.parse(part.from) - this.start) / 1000;
    this.stack.show(a, a + part.seconds, { wait: 0 });
    this.stack.reveal();
  }
}
