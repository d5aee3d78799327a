// In which units values are shown: the server tells, as the account prefers. It turns
// what it is asked for into them; what comes as it is stored, by the live stream or
// under a name that says its unit, is turned here, by the factors that the server gave.

import { api } from "./api.js";
import { num, unit, NONE } from "./format.js";

let system = { units: "metric", conversions: [] };

let known = null; // a promise of what was asked for last

// loadUnits asks on behalf of whoever is signed in now; unitsKnown is when it is answered.
export const loadUnits = () => (known = api("/api/v1/units?units=display").then((answer) => { system = answer; }, () => { /* as before, until the next sign-in or page */ }));
export const unitsKnown = () => known;

export const preferred = () => system.units;

// prefer keeps another choice with the account.
export async function prefer(units) {
  await api("/api/v1/auth/preferences", { method: "PUT", body: { units } });
  await loadUnits();
}

// conversion says how values of a stored unit are shown.
export const conversion = (stored) => system.conversions.find((c) => c.unit === stored) || { shown: stored, factor: 1, offset: 0 };

// shownUnit is the unit that values of a stored one are shown in, as the page writes it.
export const shownUnit = (stored) => unit(conversion(stored).shown);

// figure writes a value of a stored unit, without its unit. digits are those behind the
// point that it has in the stored unit, tens are -1: it has as many more as the unit is larger.
export function figure(v, stored, digits) {
  if (v == null) return NONE;
  const { factor, offset } = conversion(stored);
  return num(v * factor + offset, Math.max(0, digits + Math.floor(-Math.log10(factor))));
}

export const withUnit = (v, stored, digits) => (v == null ? NONE : `${figure(v, stored, digits)} ${shownUnit(stored)}`);
