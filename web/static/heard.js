// How old the newest record of a run is, for whoever watches it.

import { usualStep } from "./gaps.js";

const LATE = 1000; // how much longer than usual a record may be on its way, in ms
const CATCH_UP = 2000; // for how long records that are late may be those of an outage, in ms

// Heard goes by when records came, since cars' clocks are off, and for those that
// an outage kept back by how long the others were on their way. Of those that came
// when nobody listened it only knows what their own clock and the server's say.
export class Heard {
  constructor(run) { this.at = Math.min(Date.now(), Date.parse(run.end_time), Date.parse(run.updated_at)); }

  // took is told of a record that is newer than all before, with its time (ms);
  // past: it was stored before anybody listened.
  took(time, past) {
    const now = Date.now(), usual = this.way === undefined ? null : time + this.way;
    if (past || usual !== null && now - usual > LATE && now - (this.late ??= now) < CATCH_UP) {
      if (usual !== null) this.at = Math.min(now, usual);
      return;
    }
    this.late = undefined;
    this.at = now;
    this.way = now - time;
  }

  // age returns how old the newest record is, in seconds, and whether that is
  // more than 3 s and three usual steps of the times (s) of those before.
  age(times) {
    const age = Math.max(0, (Date.now() - this.at) / 1000);
    return [age, age > Math.max(3, 3 * usualStep(times))];
  }
}
