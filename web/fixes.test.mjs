// The page's rule of a fix, by the positions that the server's is tested with.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const folder = new URL("./static/", import.meta.url);
// The page's files are modules without a package that says so.
const { Fixes } = await import("data:text/javascript," + encodeURIComponent(readFileSync(new URL("fixes.js", folder), "utf8")));

for (const { name, positions, known } of JSON.parse(readFileSync(new URL("../timeseries/fix/testdata/fixes.json", import.meta.url), "utf8"))) {
  test(name, () => {
    const fixes = new Fixes();
    assert.deepEqual(positions.map(([x, lat, lon], i) => fixes.add({ x, lat, lon, i }).map((fix) => fix.i)), known);
  });
}
