// Which positions of a live car are fixes: the rule of timeseries/fix
// and its numbers. Both are tested with timeseries/fix/testdata/fixes.json.

export const METRES_PER_DEGREE = 111195;
const NULL_ISLAND = 1000, TOP_SPEED = 100, JITTER = 20, ANEW = 5, MAX_CHAINS = 8;

const round = (deg) => deg - 360 * Math.round(deg / 360); // the short way round the globe
const metres = (p, q) => Math.hypot(q.lat - p.lat, round(q.lon - p.lon) * Math.cos(((p.lat + q.lat) / 2) * (Math.PI / 180))) * METRES_PER_DEGREE;
// What is not there is not 0.
const plausible = (fix) => Number.isFinite(fix.lat) && Number.isFinite(fix.lon) && Math.abs(fix.lat) <= 90 && Math.abs(fix.lon) <= 180 && metres({ lat: 0, lon: 0 }, fix) > NULL_ISLAND;
const follows = (fix, before) => metres(before, fix) <= Math.max(JITTER, TOP_SPEED * Math.abs(fix.x - before.x));

export class Fixes {
  constructor() { this.last = null; this.chains = []; }

  // add takes the next position {x (s), lat, lon}, in order of time, and returns
  // the fixes that it makes known: itself, or those that it agrees with too.
  add(fix) {
    if (!plausible(fix)) return [];
    let known = [fix];
    if (!this.last || !follows(fix, this.last)) {
      const chain = this.chains.find((chain) => follows(fix, chain[chain.length - 1]));
      if (chain) chain.push(fix);
      else this.chains = [...this.chains, known].slice(-MAX_CHAINS);
      known = chain || known;
      if (known.length < ANEW) return [];
    }
    this.last = fix;
    this.chains = [];
    return known;
  }
}
