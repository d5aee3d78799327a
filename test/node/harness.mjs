// What the tests share: one published version of the convex package, the
// server's address, and knobs to turn on the server.
import assert from "node:assert/strict";

const version = process.env.CONVEX_VERSION;
export const url = process.env.CONVEX_URL;
assert.ok(version && url, "run by go test ./api/convex/sync: it sets CONVEX_VERSION and CONVEX_URL");

export const { ConvexClient, ConvexHttpClient } = await import(`convex-${version}/browser`);
export const { ConvexError } = await import(`convex-${version}/values`);
const { anyApi } = await import(`convex-${version}/server`);
export const api = anyApi;

/** The newest client gets large results in pieces, the older ones whole. */
export const newest = version === "newest";

/** Turns a knob of the test server; gives its answer as text. */
export async function control(name, params = {}) {
  const response = await fetch(`${process.env.CONVEX_CONTROL ?? url}/control/${name}?${new URLSearchParams(params)}`, { method: "POST" });
  const text = await response.text();
  assert.equal(response.status, 200, `control ${name}: ${text}`);
  return text;
}

/** Adds a note as somebody else would: by plain HTTP. */
export async function addNote(text) {
  const response = await fetch(`${url}/api/mutation`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ path: "notes:add", args: { text }, format: "json" }),
  });
  assert.equal(response.status, 200, await response.text());
}

/** Waits until check() is true, for at most a while. */
export async function eventually(what, check, limit = 180_000) {
  for (const end = Date.now() + limit; !(await check()); ) {
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Opens a client that is closed when the test ends. */
export function open(t, options = {}) {
  const client = new ConvexClient(url, options);
  t.after(() => client.close());
  return client;
}

/** Subscribes, and collects every value and error that arrives. */
export function follow(client, query, args) {
  const seen = { values: [], errors: [], latest: () => seen.values.at(-1) };
  seen.stop = client.onUpdate(
    query,
    args,
    (value) => seen.values.push(value),
    (error) => seen.errors.push(error),
  );
  return seen;
}

/** A JWT that says when it was issued and ends; nobody checks its signature. */
export function jwt(subject, seconds = 3600) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  return `${part({ alg: "none" })}.${part({ sub: subject, iat: now, exp: now + seconds, jti: Math.random() })}.x`;
}

export const special = {
  big: 42n,
  least: -(2n ** 63n),
  bytes: new Uint8Array([1, 2, 255]).buffer,
  nan: NaN,
  infinite: -Infinity,
  zero: -0,
  none: null,
  list: [1, "é", { deep: true }],
};

/** Checks that special came back as it was sent. */
export function assertSpecial(value) {
  assert.equal(value.big, special.big);
  assert.equal(value.least, special.least);
  assert.deepEqual([...new Uint8Array(value.bytes)], [1, 2, 255]);
  assert.ok(Number.isNaN(value.nan));
  assert.equal(value.infinite, -Infinity);
  assert.ok(Object.is(value.zero, -0));
  assert.equal(value.none, null);
  assert.deepEqual(value.list, special.list);
}
