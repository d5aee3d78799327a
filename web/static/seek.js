// Which runs words mean, and in which order and groups runs are listed. Days are
// those of whoever looks.

import { date } from "./format.js";

// What the run book says of a run, and what it is called.
export const FACTORS = [["driver", "Driver"], ["car", "Car"], ["setup", "Setup"], ["tyres", "Tyres"], ["weather", "Weather"], ["tag", "Tag"]];

const two = (n) => String(n).padStart(2, "0");
const dayOf = (t) => `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())}`;
const daysAgo = (n, now = new Date()) => dayOf(new Date(now.getFullYear(), now.getMonth(), now.getDate() - n));
const days = { today: () => daysAgo(0), yesterday: () => daysAgo(1) };

// valuesOf lists what a run has of a factor; a run has several tags, or none.
export function valuesOf(run, by) {
  const { book } = run;
  if (by === "day") return run.start_time ? [dayOf(new Date(run.start_time))] : [];
  if (by === "tag") return book.tags;
  const value = by.startsWith("field:") ? book.fields[by.slice(6)] : book[by];
  return value ? [value] : [];
}

// quoted is a value as one would type it behind a factor's name.
export const quoted = (by, value) => `${by}:${/[\s"]/.test(value) ? `"${value.replaceAll('"', "")}"` : value}`;

// matcher returns what tells whether a run is meant: all words must stand in its name,
// id, date or book; today and yesterday are days, and driver:Ann asks for just that.
export function matcher(text) {
  const tests = [];
  for (const [, by, exact, plain, phrase, word] of text.matchAll(/([a-z]+):(?:"([^"]*)"|(\S+))|"([^"]*)"|(\S+)/gi)) {
    const want = (exact ?? plain ?? phrase ?? word).toLowerCase();
    if (by && FACTORS.some(([name]) => name === by.toLowerCase())) tests.push((run) => valuesOf(run, by.toLowerCase()).some((v) => v.toLowerCase().includes(want)));
    else if (days[want]) tests.push((run, all) => valuesOf(run, "day")[0] === days[want]() || all().includes(want));
    else tests.push((run, all) => all().includes(by ? `${by}:${want}`.toLowerCase() : want));
  }
  return (run, name) => {
    let text;
    const { book } = run, all = () => (text ??= [name, run.session_id, run.start_time && `${date(new Date(run.start_time))} ${run.start_time}`, ...FACTORS.flatMap(([by]) => valuesOf(run, by)), ...Object.values(book.fields)].filter(Boolean).join(" ").toLowerCase());
    return tests.every((test) => test(run, all));
  };
}

// ordered sorts runs by a member, or by their name; those that lack it come last.
export function ordered(runs, sort, nameOf) {
  if (!sort) return runs;
  const back = sort[0] === "-", by = sort.replace("-", "");
  const value = (run) => (by === "name" ? nameOf(run) : by === "start" ? run.start_time && Date.parse(run.start_time) : run[by]);
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b);
  return [...runs].sort((p, q) => {
    const a = value(p), b = value(q);
    return a == null || b == null ? (a == null) - (b == null) : compare(a, b) * (back ? -1 : 1);
  });
}

// grouped parts runs by a factor, in the order of its values, the newest day first;
// those of which it is not said come last.
export function grouped(runs, by) {
  const groups = new Map();
  for (const run of runs) {
    const values = valuesOf(run, by);
    for (const value of values.length ? values : [""]) groups.has(value) ? groups.get(value).push(run) : groups.set(value, [run]);
  }
  const compare = by === "day" ? (a, b) => b.localeCompare(a) : (a, b) => a.localeCompare(b, undefined, { numeric: true });
  return [...groups].sort(([a], [b]) => (a === "") - (b === "") || compare(a, b));
}

// label is how the page writes a value of a factor.
export const label = (by, value) => (value === "" || value == null ? "Not said" : by === "day" ? date(new Date(`${value}T12:00`)) : value);
