// How numbers are written.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const { clockSpan, num, ticks, val, withError } = await import("data:text/javascript," + encodeURIComponent(readFileSync(new URL("static/format.js", import.meta.url), "utf8")));

test("what rounds to nothing has no sign", () => {
  assert.deepEqual([num(-0.4), num(-0.04, 1), num(-0.06, 1), num(-0), val(-0), clockSpan(-0.004, 2), clockSpan(-0.006, 2)], ["0", "0.0", "-0.1", "0", "0.000", "0:00.00", "−0:00.01"]);
});

test("ticks are round", () => {
  const written = (...of) => ticks(...of).map(([v, text]) => (assert.ok(Math.abs(v - Number(text)) < 1e-9), text));
  assert.deepEqual(written(20.16, 38.5, 5), ["25", "30", "35"]);
  assert.deepEqual(written(-0.02, 0.03, 5), ["-0.02", "-0.01", "0.00", "0.01", "0.02", "0.03"]);
  assert.deepEqual(written(0, 3, 5, 1), ["0", "1", "2", "3"]);
  assert.deepEqual(written(5, 5, 5), ["5"]);
});

test("a figure has as many digits as its error tells", () => {
  assert.deepEqual([[38.728, 2.168], [0.0870782, 0.000482], [-0.0003, 0.062], [1.25, 0.0996], [5.31, 9.96], [139421.9, 7806.1]].map((of) => withError(...of)),
    ["38.7 ± 2.2", "0.0871 ± 0.0005", "0.00 ± 0.06", "1.25 ± 0.10", "5 ± 10", "139,000 ± 8,000"]);
});
