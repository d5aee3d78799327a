// The list of runs, with what is on track now on top.

import { h, icon, replace, announce } from "./dom.js";
import { api, query } from "./api.js";
import { currentUser, isAdmin, token } from "./account.js";
import { go, setParams, setTitle } from "./router.js";
import { css } from "./dom.js";
import { clockSpan, count, date, duration, hourMinute, num, NONE } from "./format.js";
import { figure, shownUnit, withUnit } from "./units.js";
import { lines } from "./gaps.js";
import { Heard } from "./heard.js";
import { FACTORS, grouped, label, matcher, ordered, quoted, valuesOf } from "./seek.js";
import { subscribe } from "./live.js";

const REFRESH = 5000;
const DRAWN = 300; // rows at once: a page of thousands stands still
const MOST = 6; // runs that can be compared at once

export const runName = (run) => run.session_name || `Run ${run.session_id.slice(0, 8)}`;

// onTrack tells a run that is sending from one that fell silent or ended.
export const onTrack = (run) => run.live && !run.ended_at;

// badge says how a run is. silent: this page hears nothing of it any more.
export const badge = (run, silent = false) =>
  onTrack(run) && silent ? h("span", { class: "badge" }, "Silent") : onTrack(run) ? h("span", { class: "badge live" }, h("span", { class: "dot", "aria-hidden": "true" }), "Live") : run.live ? h("span", { class: "badge" }, "Just ended") : null;

// COLUMNS of the list: what to sort by, name, and whether it is a number.
const COLUMNS = [["name", "Run"], ["start", "Started"], ["duration_s", "Duration", true], ["distance_km", "Distance", true], ["energy_wh", "Energy", true], ["efficiency_km_kwh", "Efficiency", true], ["record_count", "Records", true]];

const runPath = (run) => `/runs/${encodeURIComponent(run.session_id)}`;

// liveRuns asks for what anybody may see; allRuns needs an account.
async function loadRuns(signal) {
  if (!token()) return { sessions: (await api("/api/v1/live/sessions", { signal })).sessions, next_cursor: null };
  return api(query("/api/v1/sessions", { limit: 200 }), { signal });
}

export function render(main, { params }) {
  setTitle("Runs");
  let most = DRAWN, hidden = 0; // rows that are drawn, and how many further ones there are
  let runs = [], cursor = null, stopped = false, timer = 0, failed = "";
  let search = params.get("q") || "", group = params.get("group") || "", sort = params.get("sort") || "";
  const chosen = new Set();
  const cards = new Map(); // live cards by session
  const abort = new AbortController();

  const live = h("section", { class: "live-now", "aria-labelledby": "live-title", hidden: true },
    h("h2", { id: "live-title" }, "On track now"), h("div", { class: "cards" }));
  const body = h("tbody"), heads = new Map();
  const found = h("p", { class: "muted small", role: "status" });
  const box = h("input", { type: "search", id: "search", value: search, placeholder: "Name, day, driver, …", autocomplete: "off" });
  const table = h("table", { class: "runs" },
    h("caption", { class: "sr" }, "Runs, newest first"),
    h("thead", null, h("tr", null, h("th", { scope: "col", class: "pick" }, h("span", { class: "sr" }, "Compare")), COLUMNS.map(([by, text, n]) => {
      const th = h("th", { scope: "col", class: n && "n" }, h("button", { type: "button", class: "sort", on: { click: () => order(by) } }, text));
      heads.set(by, th);
      return th;
    }))),
    body);
  const more = h("button", { type: "button", class: "button secondary", hidden: true, on: { click: () => (hidden ? showMore() : loadMore()) } }, "Show older runs");
  const bar = h("div", { class: "compare-bar", hidden: true, role: "region", "aria-label": "Comparison" });
  const empty = h("div", { class: "empty", hidden: true });

  const groups = h("select", { "aria-label": "Group by" }, [["", "No groups"], ["day", "By day"], ...FACTORS.map(([by, name]) => [by, `By ${name.toLowerCase()}`])].map(([value, text]) => h("option", { value, selected: value === group }, text)));
  const tools = h("div", { class: "list-tools" }, groups, h("div", { class: "search" }, icon("search"), h("label", { for: "search", class: "sr" }, "Search runs"), box));
  main.append(
    h("div", { class: "wrap" },
      h("h1", null, "Runs"),
      live,
      h("section", { "aria-labelledby": "all-title" },
        h("div", { class: "list-head" },
          h("h2", { id: "all-title" }, token() ? "All runs" : "Live runs"), tools),
        h("div", { class: "card table-card" }, table), empty, found, more)),
    bar);

  if (isAdmin()) {
    const take = async (file) => { const { upload } = await import("./upload.js"); (await upload(file)).addEventListener("close", load); };
    import("./files.js").then(({ dropZone, fileButton }) => { tools.append(...fileButton("Add a file…", take)); dropZone(main.firstChild, take); });
  }

  const changed = () => {
    setParams({ q: search, group, sort });
    most = DRAWN;
    replace(body);
    draw();
    if ((search || group || sort) && cursor) loadAll();
  };
  const seek = (text) => { search = box.value = text; changed(); announce(found.textContent); };
  box.addEventListener("input", () => seek(box.value));
  groups.addEventListener("change", () => { group = groups.value; changed(); });
  // order sorts by a column: what is large or new first, then the other way round.
  function order(by) {
    const first = by === "name" ? by : `-${by}`;
    sort = sort === first ? (by === "name" ? `-${by}` : by) : first;
    changed();
  }

  function row(run) {
    const start = run.start_time && new Date(run.start_time); // null: all records are set aside
    const name = runName(run);
    const pick = h("input", { type: "checkbox", checked: chosen.has(run.session_id), "aria-label": `Compare ${name}` });
    pick.addEventListener("change", () => {
      if (pick.checked && chosen.size >= MOST) { pick.checked = false; announce(`At most ${MOST} runs can be compared.`); return; }
      pick.checked ? chosen.add(run.session_id) : chosen.delete(run.session_id);
      drawBar();
    });
    const tr = h("tr", null,
      h("td", { class: "pick" }, pick),
      h("th", { scope: "row" }, h("a", { href: runPath(run), dir: "auto" }, name), badge(run, cards.get(run.session_id)?.silent()), said(run)),
      h("td", { "data-label": "Started" }, start ? [h("span", { class: "nowrap" }, date(start)), " ", h("span", { class: "muted" }, hourMinute(start))] : NONE),
      h("td", { class: "n", "data-label": "Duration" }, start ? duration(run.duration_s) : NONE),
      h("td", { class: "n", "data-label": "Distance" }, run.distance_km == null ? NONE : `${num(run.distance_km, 2)} km`),
      h("td", { class: "n", "data-label": "Energy" }, withUnit(run.energy_wh, "Wh", 1)),
      h("td", { class: "n", "data-label": "Efficiency" }, run.efficiency_km_kwh == null ? NONE : `${num(run.efficiency_km_kwh, 1)} km/kWh`),
      h("td", { class: "n", "data-label": "Records" }, count(run.record_count), run.set_aside > 0 && h("span", { class: "aside-count" }, `${count(run.set_aside)} set aside`)));
    tr.addEventListener("click", (e) => { if (!e.target.closest("a,button,input,.pick") && !getSelection().toString()) go(runPath(run)); });
    return tr;
  }

  // said is what the run book says, each to look for others like it.
  function said(run) {
    const values = FACTORS.filter(([by]) => by !== "setup").flatMap(([by, name]) => valuesOf(run, by).map((value) => [by, name, value]));
    return values.length > 0 && h("span", { class: "chips" }, values.map(([by, name, value]) => h("button", { type: "button", class: "chip", title: `${name}: look for others`, dir: "auto", on: { click: () => seek(quoted(by, value)) } }, value)));
  }

  const head = (by, value, list) => {
    const known = list.map((run) => run.efficiency_km_kwh).filter((v) => v != null);
    return h("tr", { class: "group-head" }, h("th", { scope: "rowgroup", colspan: COLUMNS.length + 1 }, h("bdi", null, label(by, value)), h("span", { class: "muted" }, ` ${list.length} ${list.length === 1 ? "run" : "runs"}${known.length ? `, mean ${num(known.reduce((a, b) => a + b) / known.length, 1)} km/kWh` : ""}`)));
  };

  function draw() {
    const meant = matcher(search), shown = ordered(runs.filter((run) => meant(run, runName(run))), sort, runName);
    const parts = group ? grouped(shown, group) : [[null, shown]];
    hidden = Math.max(0, parts.reduce((n, [, list]) => n + list.length, 0) - most);
    let room = most;
    const drawn = parts.map(([value, list]) => { const some = list.slice(0, Math.max(0, room)); room -= list.length; return [value, list, some]; }).filter(([, , some]) => some.length);
    const count = drawn.reduce((n, [, , some]) => n + some.length + (group ? 1 : 0), 0);
    // Rows are made anew while nobody is inside them, so that the focus stays.
    if (!body.contains(document.activeElement) || body.children.length !== count) replace(body, drawn.map(([value, list, some]) => [group && head(group, value, list), some.map(row)]));
    for (const [by, th] of heads) th.setAttribute("aria-sort", sort === by ? "ascending" : sort === `-${by}` || (!sort && by === "start") ? "descending" : "none");
    table.parentNode.hidden = !shown.length;
    empty.hidden = !!shown.length;
    if (!shown.length) replace(empty, nothing());
    found.textContent = failed || (search ? `${shown.length} of ${runs.length} runs` : shown.length ? `${shown.length} ${shown.length === 1 ? "run" : "runs"}` : "");
    more.hidden = !cursor && !hidden;
    more.textContent = hidden ? "Show more runs" : "Show older runs";
    drawLive();
    drawBar();
  }

  function nothing() {
    if (failed) return h("p", null, failed);
    if (search) return h("p", null, "No run matches the search.");
    if (!currentUser()) return [h("p", null, "No car is on track."), h("p", { class: "muted" }, "Past runs are for the crew."), h("p", null, h("a", { class: "button", href: "/signin" }, "Sign in"))];
    return [h("p", null, "No runs yet."), h("p", { class: "muted" }, "Point the bridge at this server, or import a file: ", isAdmin() ? "drop it here, or " : "", h("code", null, "telemetryd import run.csv"), ".")];
  }

  function drawBar() {
    bar.hidden = !chosen.size;
    if (!chosen.size) return;
    replace(bar, h("span", null, chosen.size === 1 ? "1 run chosen; choose another" : `${chosen.size} runs chosen`),
      h("button", { type: "button", class: "quiet", on: { click: () => { chosen.clear(); replace(body); draw(); } } }, "Clear"),
      h("a", { class: "button", href: `/compare?runs=${[...chosen].map(encodeURIComponent).join(",")}` }, icon("compare"), "Compare"));
  }

  function drawLive() {
    const now = runs.filter(onTrack);
    live.hidden = !now.length;
    for (const [id, card] of cards) if (!now.some((run) => run.session_id === id)) { card.end(); cards.delete(id); }
    for (const run of now.slice(0, 8)) {
      if (!cards.has(run.session_id)) {
        const card = liveCard(run, draw);
        cards.set(run.session_id, card);
        live.lastChild.append(card.node);
      }
      cards.get(run.session_id).update(run);
    }
  }

  async function load() {
    clearTimeout(timer);
    try {
      const answer = await loadRuns(abort.signal);
      // A run that has begun meanwhile moves the others on: what is older than the page is behind its last run.
      const last = answer.next_cursor ? runs.findIndex((run) => run.session_id === answer.sessions.at(-1).session_id) + 1 || answer.sessions.length : Infinity;
      const older = runs.slice(last);
      const known = new Set(answer.sessions.map((run) => run.session_id));
      runs = [...answer.sessions, ...older.filter((run) => !known.has(run.session_id))];
      if (!older.length) cursor = answer.next_cursor;
      failed = "";
    } catch (err) {
      if (err.name === "AbortError") return;
      failed = err.message;
    }
    if (stopped) return;
    draw();
    timer = setTimeout(load, document.hidden ? REFRESH * 6 : REFRESH);
  }

  // loadAll has what is looked for, sorted or grouped be of all runs; a season is
  // some hundreds. Who asks for it meanwhile waits for the same.
  let walk = null;
  const loadAll = () => (walk ??= walkAll().finally(() => { walk = null; }));
  async function walkAll() {
    for (let before; cursor && cursor !== before && runs.length < 5000 && !stopped;) { before = cursor; await loadMore(1000, true); }
    if (!stopped) draw();
  }

  const showMore = () => { most += DRAWN; draw(); };

  // loadMore fetches behind the cursor, which one at a time may do: two would list
  // the same runs twice.
  let fetching = null;
  const loadMore = (limit, quiet) => (fetching ??= fetchMore(limit, quiet).finally(() => { fetching = null; }));
  async function fetchMore(limit = 200, quiet = false) {
    more.disabled = true;
    try {
      const answer = await api(query("/api/v1/sessions", { limit, cursor }), { signal: abort.signal });
      runs.push(...answer.sessions);
      cursor = answer.next_cursor;
      if (!quiet) { most += answer.sessions.length; draw(); }
    } catch (err) {
      found.textContent = err.message;
    }
    more.disabled = false;
  }

  load().then(() => { if ((search || group || sort) && cursor) loadAll(); });
  return () => {
    stopped = true;
    clearTimeout(timer);
    abort.abort();
    for (const card of cards.values()) card.end();
  };
}

// liveCard shows a car's newest values and how its speed went in the last minute.
// changed() is called when the car fell silent, or sends again.
function liveCard(run, changed) {
  const speed = h("span", { class: "big" }, NONE), power = h("dd", null, NONE), battery = h("dd", null, NONE), distance = h("dd", null, NONE);
  const since = h("span", { class: "muted small" });
  const canvas = h("canvas", { class: "spark", "aria-hidden": "true" });
  const points = [];
  const heard = new Heard(run);
  let due = 0;

  const head = h("div", { class: "live-head" }, h("strong", null, runName(run)), badge(run));
  const node = h("a", { class: "card live-card", href: runPath(run) },
    head,
    h("div", { class: "live-main" },
      h("p", { class: "figure" }, speed, h("span", { class: "unit" }, shownUnit("m/s"))), canvas),
    h("dl", { class: "mini" },
      h("div", null, h("dt", null, "Power"), power), h("div", null, h("dt", null, "Pack"), battery), h("div", null, h("dt", null, "Distance"), distance)),
    since);

  function paint() {
    due = 0;
    if (!points.length) return;
    const newest = (name, write) => {
      const v = points.findLast((p) => p[name] != null)?.[name]; // not every record carries every channel
      return v == null ? NONE : write(v);
    };
    speed.textContent = newest("speed_ms", (v) => figure(v, "m/s", 2));
    power.textContent = newest("power_w", (v) => `${num(v)} W`);
    battery.textContent = newest("voltage_v", (v) => `${num(v, 1)} V`);
    distance.textContent = newest("distance_m", (v) => `${num(v / 1000, 2)} km`);
    const ratio = devicePixelRatio || 1, w = canvas.clientWidth, ht = canvas.clientHeight;
    if (!w) return;
    canvas.width = w * ratio;
    canvas.height = ht * ratio;
    const g = canvas.getContext("2d");
    g.scale(ratio, ratio);
    const from = points[points.length - 1].t - 60000;
    const top = Math.max(5, ...points.map((p) => p.speed_ms || 0)) * 1.1;
    g.beginPath();
    const way = lines(points.map((p) => p.t / 1000), points, ["speed_ms"]);
    let pen = false;
    way.x.forEach((t, i) => {
      const v = way.columns[0][i];
      if (v === undefined) return;
      if (v !== null) g[pen ? "lineTo" : "moveTo"](((t * 1000 - from) / 60000) * w, ht - 2 - (v / top) * (ht - 4));
      pen = v !== null;
    });
    g.strokeStyle = css("--accent");
    g.lineWidth = 1.8;
    g.lineJoin = "round";
    g.stroke();
  }

  const end = subscribe(run.session_id, {
    snapshot: 60,
    rate: 10,
    fields: ["speed_ms", "power_w", "voltage_v", "distance_m"],
    records(list, past) {
      const before = points[points.length - 1]?.t ?? -Infinity;
      for (const record of list) points.push({ ...record, t: Date.parse(record.timestamp) });
      points.sort((p, q) => p.t - q.t); // some come late
      const newest = points[points.length - 1].t;
      while (points.length && points[0].t < newest - 60000) points.shift();
      if (newest > before) heard.took(newest, past);
      due ||= requestAnimationFrame(paint);
    },
    restart() { points.length = 0; },
  });
  let known = run, quiet = false;
  const hush = () => {
    const [age, silent] = heard.age(points.map((p) => p.t / 1000));
    since.textContent = `Running ${clockSpan(known.duration_s)} · ${silent ? `silent for ${duration(Math.floor(age))}` : `${count(known.record_count)} records`}`;
    if (silent === quiet) return;
    quiet = silent;
    node.classList.toggle("stale", silent);
    replace(head, h("strong", null, runName(known)), badge(known, silent));
    changed();
  };
  const watch = setInterval(hush, 1000);
  return {
    node,
    silent: () => quiet,
    end() { end(); clearInterval(watch); cancelAnimationFrame(due); node.remove(); },
    update(now) { known = now; hush(); },
  };
}
