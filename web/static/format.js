// How numbers, times and units are written.

const number = new Map();
function fixed(digits) {
  if (!number.has(digits)) number.set(digits, new Intl.NumberFormat(undefined, { signDisplay: "negative", minimumFractionDigits: digits, maximumFractionDigits: digits }));
  return number.get(digits);
}

export const NONE = "–";

// num writes a number with digits after the point, or a dash; what rounds to nothing has no sign.
export const num = (v, digits = 0) => (v == null || !Number.isFinite(v) ? NONE : fixed(digits).format(v));

// ticks are the round values from lo to hi, some n of them, each with how it is written.
export function ticks(lo, hi, n, least = 0) {
  const rough = Math.max((hi - lo) / n || 1, least), size = 10 ** Math.floor(Math.log10(rough)), step = size * [1, 2, 5, 10].find((k) => k * size >= rough * 0.999);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), out = [];
  for (let k = Math.ceil(lo / step - 1e-9); k * step <= hi + step * 1e-9; k++) out.push([k * step, num(k * step, digits)]);
  return out;
}

// withError writes a value and its standard error with as many digits as the error has two of, or one from 3.6 on: 38.7 ± 2.2, 139,000 ± 8,000.
export function withError(v, off) {
  const [first, size] = off.toExponential(1).split("e"), digits = Math.min(9, (first < 3.6 ? 1 : 0) - size), tens = 10 ** -digits;
  const write = (x) => num(digits < 0 ? Math.round(x / tens) * tens : x, Math.max(0, digits));
  return `${write(v)} ± ${write(off)}`;
}

// val writes a measurement with as many digits as its size calls for.
export function val(v) {
  if (v == null || !Number.isFinite(v)) return NONE;
  const size = Math.abs(v);
  if (size && size < 0.001) return v.toExponential(1);
  return num(v, size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3);
}

// measure writes a value of a channel, with as many digits as the team wants.
export const measure = (v, channel) => (channel.decimals == null ? val(v) : num(v, channel.decimals));

const units = { "m/s2": "m/s²", degC: "°C", deg: "°", "deg/s": "°/s" };
export const unit = (u) => (u ? units[u] || u : "");

const acronyms = { gps: "GPS", rpm: "rpm", vesc: "VESC", g: "g", acc: "accumulated", inst: "instant", eff: "efficiency", accel: "acceleration", avg: "average", max: "maximum", temp: "temperature", throttle: "throttle" };
const suffix = /_(ms|v|a|w|j|m|c|s|pct|kmh|km_kwh|kwh|km|g)$/;

// label turns a field's name into words: motor_temp_c is "Motor temperature".
export function label(name) {
  const words = name.replace(suffix, "").split("_").map((w) => acronyms[w] || (w.length === 1 ? w.toUpperCase() : w)).join(" ");
  return words[0].toUpperCase() + words.slice(1);
}

// title is what a channel is called on the page: as the team says, or as its
// records spell it.
export const title = (channel) => channel.display || channel.member || label(channel.name);

const two = (n) => String(n).padStart(2, "0");

// duration writes seconds as 1 h 23 min, 4 min 05 s, or 12.3 s. What rounds up to
// the next unit is written in that unit: 119.8 s is 2 min 00 s.
export function duration(s) {
  if (s == null || !Number.isFinite(s)) return NONE;
  if (s < 0.9995) return `${num(s * 1000)} ms`;
  if (s < 9.95) return `${num(s, 1)} s`;
  const seconds = Math.round(s);
  if (seconds < 60) return `${num(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  const minutes = Math.round(s / 60);
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

// clockSpan writes seconds as 1:23:45 or 3:05.2, for axes and laps.
export function clockSpan(s, digits = 0) {
  if (s == null || !Number.isFinite(s)) return NONE;
  const scale = 10 ** digits;
  const whole = Math.round(Math.abs(s) * scale);
  const sign = s < 0 && whole ? "−" : "";
  const seconds = Math.floor(whole / scale);
  const rest = digits ? `.${String(whole % scale).padStart(digits, "0")}` : "";
  const hours = Math.floor(seconds / 3600), minutes = Math.floor((seconds % 3600) / 60);
  return `${sign}${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}${rest}`;
}

const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", year: "numeric" });
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" });

export const date = (t) => (Number.isFinite(+t) ? day.format(t) : NONE);

// hourMinute writes a time of day with its zone, zone the zone alone.
export const hourMinute = (t) => (Number.isFinite(+t) ? minute.format(t) : NONE);
export const zone = (t) => minute.formatToParts(t).find((part) => part.type === "timeZoneName").value;

// clock writes a time of day with as many digits as a window of span seconds needs.
export function clock(t, span = 60) {
  const d = new Date(t);
  const base = `${two(d.getHours())}:${two(d.getMinutes())}`;
  if (span > 6 * 3600) return base;
  const seconds = `${base}:${two(d.getSeconds())}`;
  return span > 30 ? seconds : `${seconds}.${String(d.getMilliseconds()).padStart(3, "0").slice(0, span > 3 ? 1 : 3)}`;
}

export const count = (n) => num(n);
export const km = (m) => (m == null ? NONE : `${num(m / 1000, 2)} km`);

// ago writes how long before now a time was.
export function ago(t, now = Date.now()) {
  const s = Math.max(0, (now - t) / 1000);
  if (s < 2) return "now";
  if (s < 90) return `${Math.round(s)} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  if (s < 129600) return `${Math.round(s / 3600)} h ago`;
  return `${Math.round(s / 86400)} days ago`;
}
