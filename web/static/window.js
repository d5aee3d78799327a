// The moving window over the live stream: every record of the last seconds,
// drawn as fast as the screen shows it.

import { isState } from "./channels.js";
import { onState, subscribe } from "./live.js";
import { Fixes } from "./fixes.js";
import { lines } from "./gaps.js";
import { Heard } from "./heard.js";

const madeOf = (metrics) => metrics.filter((m) => m.kind === "math").map((m) => m.name);

export class Live {
  // to: start (ms), metrics (channels), draw(data, a, b, newest), seen(points, members) with those of records that are new,
  // late() when records came that belong before others, state(text),
  // silent(seconds, too long) twice a second, refused(message).
  constructor(run, span, to) {
    Object.assign(this, { span, to, metrics: to.metrics, records: [], x: [], due: 0 });
    this.heard = new Heard(run);
    this.present = new Set();
    this.fixes = new Fixes();
    this.unwatch = onState((state) => { this.now = state; to.state(state); });
    this.made = madeOf(to.metrics);
    this.end = subscribe(run.session_id, {
      snapshot: span,
      fields: this.made.length ? ["*", ...this.made] : null, // records come with math channels where these are asked for
      records: (list, past) => this.take(list, past),
      restart: () => { this.records = []; this.x = []; this.at = null; this.fixes = new Fixes(); to.late(); },
      refused: (message) => to.refused(message),
      changed: () => to.changed?.(),
    });
    this.resumed = () => { if (!document.hidden) this.later(); };
    document.addEventListener("visibilitychange", this.resumed);
    this.watch = setInterval(() => this.silence(), 500);
  }

  stop() {
    clearInterval(this.watch);
    this.end();
    this.unwatch();
    cancelAnimationFrame(this.due);
    document.removeEventListener("visibilitychange", this.resumed);
    this.stopped = true;
  }

  take(list, past) {
    const points = [], fresh = [], newest = this.x.length ? this.x[this.x.length - 1] : -Infinity;
    let late = false;
    for (const record of list) {
      const x = (Date.parse(record.timestamp) - this.to.start) / 1000;
      late ||= this.x.length > 0 && x < this.x[this.x.length - 1];
      this.x.push(x);
      this.records.push(record);
      if (x >= newest) for (const fix of this.fixes.add({ x, lat: record.latitude, lon: record.longitude })) this.place(points, fix);
      for (const name in record) if (record[name] !== null && !this.present.has(name)) { this.present.add(name); fresh.push(name); }
    }
    if (late) { // out of order: sort once, it is rare
      const order = this.x.map((_, i) => i).sort((i, j) => this.x[i] - this.x[j]);
      this.records = order.map((i) => this.records[i]);
      this.x = order.map((i) => this.x[i]);
      if (!past) this.to.late();
    }
    const last = this.x[this.x.length - 1];
    if (last > newest) this.heard.took(this.to.start + last * 1000, past);
    const oldest = last - this.span - 2;
    let drop = 0;
    while (drop < this.x.length && this.x[drop] < oldest) drop++;
    if (drop > 200 || drop > this.x.length / 4) { this.x = this.x.slice(drop); this.records = this.records.slice(drop); }
    this.to.seen(points, fresh);
    this.silence();
    this.later();
  }

  // draws tells whether what it hears has all of these.
  draws(metrics) { return madeOf(metrics).every((name) => this.made.includes(name)); }

  silence() { this.to.silent(...this.heard.age(this.x)); }

  // place gathers positions to one for each half second: their mean, since a
  // receiver's noise would draw a scribble.
  place(points, { x, lat, lon }) {
    const at = this.at;
    if (at && x - at.from < 0.5) {
      at.n++;
      at.lon += lon;
      at.lat += lat;
      this.lastX = x;
      return;
    }
    if (at) points.push([at.lon / at.n, at.lat / at.n, (at.from + this.lastX) / 2]);
    this.at = { from: x, n: 1, lon, lat };
    this.lastX = x;
  }

  later() { if (!this.stopped && !this.idle) this.due ||= requestAnimationFrame(() => this.draw()); }

  draw() {
    this.due = 0;
    if (this.stopped || this.idle || !this.x.length) return;
    const newest = this.x[this.x.length - 1];
    const member = (channel) => channel.member || channel.name, numbers = this.metrics.filter((m) => !isState(m));
    const data = lines(this.x, this.records, numbers.map(member));
    const out = {};
    for (const m of this.metrics) if (isState(m)) out[m.name] = [{ x: this.x, states: this.records.map((r) => { const v = r[member(m)]; return typeof v === "string" ? v : null; }) }];
    numbers.forEach(({ name, conversion: c }, i) => { // records come as they are stored
      const values = c ? data.columns[i].map((v) => (v == null ? v : v * c.factor + c.offset)) : data.columns[i];
      out[name] = [{ min: values, max: values, avg: values }];
    });
    this.to.draw({ x: data.x, columns: out, info: { short: "every record", text: "every record, live", width: 0, level: "raw" } }, Math.max(0, newest - this.span), Math.max(this.span, newest), newest);
  }
}
