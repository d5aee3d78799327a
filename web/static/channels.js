// The channels that can be drawn: the contract's fields, and what the runs on
// the page have beside them.

import { api, query, sessionPath } from "./api.js";
import { title, unit } from "./format.js";
import { preferred } from "./units.js";

const EVERY = 2000; // ms between two looks at what a run has
const MANY = 10000; // records of a channel: of fewer the levels may just not be made yet
const LONG = 60; // looks for a member that nobody knows: two minutes

// called is the title of a channel, with its name where another one of the list has that title, too.
export const called = (c, list) => title(c) + (list.some((other) => other !== c && title(other) === title(c)) ? ` (${c.name})` : "");

export const isState = (channel) => channel.type === "text";

// matching tells which channels have all the words that somebody searches by; more
// lists what is found of one beside its names, meaning and unit.
export function matching(text, more) {
  const words = text.trim().toLowerCase().split(/\s+/);
  const wordsOf = (c) => [title(c), c.name, c.member, ...(c.aliases || []), c.meaning, unit(c.unit), c.unit, ...more(c)].filter(Boolean).join(" ").toLowerCase();
  return (c) => words.every((word) => wordsOf(c).includes(word));
}

// ofRun is where a run's channels are listed, in the units that they are shown in.
const ofRun = (id) => query(sessionPath(id, "/channels"), { units: preferred() });

// channelsOf reads which channels these runs have.
export async function channelsOf(ids, signal) {
  const [known, ...runs] = await Promise.all([api(query("/api/v1/channels", { units: preferred() }), { signal }), ...ids.map((id) => api(ofRun(id), { signal }))]);
  return new Channels(known.channels.filter((c) => c.kind === "contract"), runs);
}

class Channels {
  constructor(contract, runs) {
    this.byName = new Map(contract.map((c) => [c.name, c]));
    this.present = new Set(); // counted over the run: its newest record may lack some
    this.others = []; // members that became no channel
    this.slow = []; // channels that are drawn from the records of a long run
    this.waiting = new Set(); // members of live records that nobody has told of yet
    for (const run of runs) this.take(run);
  }

  get list() { return [...this.byName.values()].filter((c) => c.charted); }
  get(name) { return this.byName.get(name); }

  take({ channels, others }) {
    this.others = others;
    this.slow = channels.filter((c) => !c.levels && c.kind !== "math" && c.type !== "text" && c.records > MANY).map((c) => c.display || c.name);
    for (const c of channels) { this.byName.set(c.name, c); this.present.add(c.name); }
    this.members = new Map([...this.byName.values()].map((c) => [c.member || c.name, c.name]));
    for (const { member } of others) this.members.set(member, null);
    for (const member of ["session_id", "timestamp"]) this.members.set(member, null);
    this.heard([...this.waiting]);
  }

  // heard is told of members that live records carry.
  heard(members) {
    for (const member of members) {
      if (!this.members.has(member)) this.waiting.add(member);
      else if (this.members.get(member)) this.present.add(this.members.get(member));
      if (this.members.has(member)) this.waiting.delete(member);
    }
  }

  // follow asks what the run has, for as long as its records have members that
  // nobody told of, and calls changed with each answer.
  follow(id, signal, changed) {
    this.left = LONG;
    if (this.asking || !this.waiting.size) return;
    const ask = async () => {
      this.asked = Date.now();
      try {
        this.take(await api(ofRun(id), { signal }));
        changed();
      } catch { /* the next turn tries again */ }
      this.asking = this.waiting.size && this.left-- > 0 && !signal.aborted && setTimeout(ask, EVERY);
    };
    this.asking = setTimeout(ask, Math.max(0, (this.asked || 0) + EVERY - Date.now()));
  }
}
