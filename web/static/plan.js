// What a run may use, how far it is to go and how long it may take, as people write it.

import { clockSpan } from "./format.js";

// PLAN are the members of the run book, what they are called, and what one of those is.
export const PLAN = [["plan_energy_wh", "Energy, Wh", 1], ["plan_laps", "Laps", 1], ["plan_distance_km", "Distance, km", 1], ["plan_time_s", "Time, min", 60]];

const text = (name, value) => (value == null ? "" : name === "plan_time_s" ? clockSpan(value, Number.isInteger(value) ? 0 : 3) : String(value));

// planTexts are those of a book as a form has them.
export const planTexts = (book) => Object.fromEntries(PLAN.map(([name]) => [name, text(name, book[name])]));

// planned is the number that somebody wrote; a time is of minutes, or such as 39:00 and 1:05:30.
// An empty text is 0, which takes out what was planned.
export function planned(name, written) {
  const [, what, of] = PLAN.find(([member]) => member === name), given = written.trim().replace(",", ".");
  const parts = of === 60 && /^(\d+:)?\d+:\d\d?(\.\d+)?$/.test(given) && given.split(":");
  const value = parts ? parts.reduce((sum, part) => sum * 60 + Number(part), 0) : Number(given) * of;
  if (!Number.isFinite(value)) throw new Error(`${what}: “${written.trim()}” is no number${of === 60 ? ", nor a time such as 39:00" : ""}`);
  return Number(value.toFixed(6));
}

// called is what the form calls a member of which the server says that something is wrong.
export const called = (field) => PLAN.find(([name]) => field.endsWith(name))?.[1] ?? field;
