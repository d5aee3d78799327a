// What a run may use, and how far it is to go, as people write it.

// PLAN are the members of the run book, what they are called, and what one of those is.
export const PLAN = [["plan_energy_wh", "Energy, Wh", 1], ["plan_laps", "Laps", 1], ["plan_distance_km", "Distance, km", 1], ["plan_time_s", "Time, min", 60]];

// planTexts are those of a book as a form has them.
export const planTexts = (book) => Object.fromEntries(PLAN.map(([name, , of]) => [name, book[name] == null ? "" : String(Number((book[name] / of).toFixed(6)))]));

// planned is the number that somebody wrote. An empty text is 0, which takes out what was planned.
export function planned(name, text) {
  const [, what, of] = PLAN.find(([member]) => member === name), value = Number(text.trim().replace(",", ".")) * of;
  if (!Number.isFinite(value)) throw new Error(`${what}: “${text.trim()}” is no number`);
  return Number(value.toFixed(6));
}
