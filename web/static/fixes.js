// Which positions of a live car are fixes, as the server has it (docs/sql.md):
// on the globe, not within 1 km of 0,0, and not more than 100 m/s from the last
// accepted one; five that agree with one another start anew.

const METRE = Math.PI / 180 * 6371008.8; // of a degree of latitude
const apart = (p, q) => Math.hypot(p.lat - q.lat, (p.lon - q.lon) * Math.cos((p.lat * Math.PI) / 180)) * METRE;
const reachable = (p, q) => apart(p, q) <= 100 * Math.max(Math.abs(q.x - p.x), 0.001) + 1e-6;

export class Fixes {
  constructor() { this.last = null; this.others = []; }

  // accept tells whether a record's position at x (s) is a fix.
  accept(record, x) {
    const fix = { lat: record.latitude, lon: record.longitude, x };
    if (!Number.isFinite(fix.lat) || !Number.isFinite(fix.lon) || Math.abs(fix.lat) > 90 || Math.abs(fix.lon) > 180) return false;
    if (apart({ lat: 0, lon: 0 }, fix) < 1000) return false;
    if (!this.last || reachable(this.last, fix)) {
      this.last = fix;
      this.others = [];
      return true;
    }
    const before = this.others[this.others.length - 1];
    this.others = before && reachable(before, fix) ? [...this.others, fix] : [fix];
    if (this.others.length < 5) return false;
    this.last = fix;
    this.others = [];
    return true;
  }
}
