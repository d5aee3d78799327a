// How channels stand in charts: [{names, size}], in the order of the page. An address has
// the channels in metrics=, and in charts= how many of them each chart has, then its size.

import { isState } from "./channels.js";
import { unit } from "./format.js";

export const SIZES = { s: ["Low", 0.65], "": ["Usual", 1], l: ["Tall", 1.9] };
const MOST = 6; // channels in a chart
const AXES = 3; // units in a chart, each with an axis

export function arranged(names, text) {
  const charts = [], rest = [...new Set(names)];
  for (const part of (text || "").split(",")) {
    const [, n, size] = /^(\d)([sl]?)$/.exec(part) || [];
    if (!(n > 0) || !rest.length) break;
    charts.push({ names: rest.splice(0, n), size });
  }
  return [...charts, ...alone(rest)];
}

export const alone = (names) => names.map((name) => ({ names: [name], size: "" }));
export const namesOf = (charts) => charts.flatMap((chart) => chart.names);

// written is what an address has of them beside their channels; nothing where each is alone.
export const written = (charts) => charts.map(({ names, size }) => names.length + size).join().replace(/(^|,)1(,1)*$/, "");

// unfit says why a channel cannot be drawn with others, if it cannot.
export function unfit(channels, channel) {
  if (!channels.length) return "";
  if ([...channels, channel].some(isState)) return "a state has a band of its own";
  if (channels.length >= MOST) return `a chart has at most ${MOST}`;
  return unitsOf([...channels, channel]).length > AXES ? `a chart has at most ${AXES} units` : "";
}

// unitsOf lists the units of channels, which have an axis each.
export const unitsOf = (channels) => [...new Set(channels.map((c) => unit(c.unit)))];

// tidy leaves out what there is not, by get(name), and takes apart what cannot stand together.
export const tidy = (charts, get) => charts.flatMap(({ names, size }) => {
  const own = [], apart = [];
  for (const name of names) if (get(name)) (unfit(own.map(get), get(name)) ? apart : own).push(name);
  return own.length ? [{ names: own, size }, ...alone(apart)] : [];
});

// chosen is the arrangement with other channels: what is new comes last, each alone.
export function chosen(charts, names) {
  const left = charts.map((chart) => ({ ...chart, names: chart.names.filter((name) => names.includes(name)) })).filter((chart) => chart.names.length);
  const has = new Set(namesOf(left));
  return [...left, ...alone(names.filter((name) => !has.has(name)))];
}
