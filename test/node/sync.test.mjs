// ConvexClient, over the sync websocket.
import assert from "node:assert/strict";
import { test } from "node:test";
import { addNote, api, assertSpecial, control, ConvexError, eventually, follow, jwt, open, special } from "./harness.mjs";

const key = process.env.CONVEX_KEY;

test("subscribes, follows changes of others, unsubscribes", async (t) => {
  const client = open(t);
  const notes = follow(client, api.notes.list, {});
  const same = follow(client, "notes.js:list", {});
  await eventually("the first value", () => notes.latest());
  const before = notes.latest().length;
  await addNote("from elsewhere");
  await eventually("the change", () => notes.latest().length === before + 1 && same.latest().length === before + 1);
  notes.stop();
  same.stop();
  await eventually("the query to stop", async () => (await control("queries")) === "0");
});

test("runs a query once", async (t) => {
  const client = open(t);
  assertSpecial(await client.query(api.test.echo, { value: special }));
  await assert.rejects(client.query(api.test.codedQuery, {}), (error) => error.data.code === "NOT_FOUND");
});

test("a mutation resolves once its effects are shown", async (t) => {
  const client = open(t);
  const notes = follow(client, api.notes.list, {});
  await eventually("the first value", () => notes.latest());
  for (let i = 0; i < 20; i++) {
    const text = `own ${Math.random()}`;
    assert.deepEqual(await client.mutation(api.notes.add, { text }), { added: text });
    assert.equal(notes.latest().at(-1), text, "the promise resolved before the change was shown");
  }
});

test("mutations resolve that change nothing, with and without queries", async (t) => {
  const client = open(t);
  assertSpecial(await client.mutation(api.test.echoMutation, { value: special }));
  const notes = follow(client, api.notes.list, {});
  await eventually("the first value", () => notes.latest());
  assert.equal(await client.mutation(api.test.echoMutation, { value: 1 }), 1);
});

test("actions", async (t) => {
  const client = open(t);
  assertSpecial(await client.action(api.test.echoAction, { value: special }));
  await assert.rejects(client.action(api.test.plain, {}), (error) => !(error instanceof ConvexError) && /no good/.test(error.message));
  await assert.rejects(client.action(api.test.panics, {}), /Server Error/);
});

test("failures of mutations carry their data", async (t) => {
  const client = open(t);
  await assert.rejects(client.mutation(api.test.coded, {}), (error) => {
    assert.ok(error instanceof ConvexError);
    assert.deepEqual(error.data, { code: "VIEW_CONFLICT", message: "The view has changed.", revision: 7n });
    assert.match(error.message, /VIEW_CONFLICT/);
    return true;
  });
  await assert.rejects(client.mutation(api.no.such, {}), /Could not find.*no:such/);
  await assert.rejects(client.mutation(api.notes.add, { text: 1 }), /ArgumentValidationError/);
});

test("a query fails, and recovers", async (t) => {
  const client = open(t);
  const unknown = follow(client, api.no.such, {});
  const notes = follow(client, api.notes.list, {});
  await eventually("the first value", () => notes.latest());
  await eventually("the unknown function's error", () => unknown.errors.length > 0);
  assert.match(unknown.errors[0].message, /Could not find/);
  await control("fail", { message: "closed today" });
  await addNote("while closed");
  await eventually("the error", () => notes.errors.length > 0);
  assert.match(notes.errors[0].message, /closed today/);
  await control("fail");
  await addNote("open again");
  await eventually("the value", () => notes.latest().at(-1) === "open again");
});

test("takes up where it was when the connection breaks", async (t) => {
  const client = open(t);
  const notes = follow(client, api.notes.list, {});
  await eventually("the first value", () => notes.latest());
  for (let round = 0; round < 3; round++) {
    await control("drop");
    const text = `while away ${round} ${Math.random()}`;
    await addNote(text);
    await eventually("the value after a drop", () => notes.latest().at(-1) === text);
  }
});

test("a mutation cut off in flight runs once and resolves", async (t) => {
  const client = open(t);
  const text = `once ${Math.random()}`;
  const held = client.mutation(api.notes.hold, { text });
  await control("await"); // it has committed, but was not answered
  await control("drop");
  await control("resume");
  assert.equal(await held, "held");
  const all = JSON.parse(await control("notes"));
  assert.equal(all.filter((note) => note === text).length, 1);
});

test("many mutations survive dropped connections, each run once and in order", async (t) => {
  const client = open(t);
  const texts = Array.from({ length: 40 }, (_, i) => `storm ${i} ${Math.random()}`);
  const done = Promise.all(texts.map((text) => client.mutation(api.notes.add, { text })));
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setTimeout(resolve, 30));
    await control("drop");
  }
  await done;
  const all = JSON.parse(await control("notes"));
  assert.deepEqual(all.filter((note) => note.startsWith("storm")), texts);
});

test("an action cut off in flight rejects", async (t) => {
  const client = open(t);
  const waiting = client.action(api.notes.wait, {});
  await control("await");
  await control("drop");
  await assert.rejects(waiting, /Connection lost/);
  await control("resume");
});

test("the server restarts in mid-stream: nothing is missing or doubled", async (t) => {
  const client = open(t);
  const notes = follow(client, api.notes.list, {});
  await eventually("the first value", () => notes.latest());
  const texts = Array.from({ length: 60 }, (_, i) => `stream ${i}`);
  const writing = (async () => {
    for (const text of texts) await client.mutation(api.notes.add, { text });
  })();
  await new Promise((resolve) => setTimeout(resolve, 50));
  await control("restart");
  await new Promise((resolve) => setTimeout(resolve, 300));
  await control("restart");
  await writing;
  await eventually("everything", () => notes.latest().at(-1) === texts.at(-1));
  assert.deepEqual(notes.latest().filter((note) => note.startsWith("stream")), texts);
  // What was shown only ever grew: no state went backwards.
  for (let i = 1; i < notes.values.length; i++) {
    assert.ok(notes.values[i].length >= notes.values[i - 1].length);
  }
});

test("a refused upgrade is tried again", async (t) => {
  await control("refuse", { on: "1" });
  const client = open(t);
  const value = client.query(api.test.echo, { value: 1 });
  await new Promise((resolve) => setTimeout(resolve, 300));
  await control("refuse");
  assert.equal(await value, 1);
});

test("a user signs in and out", async (t) => {
  const client = open(t);
  const states = [];
  const fetches = [];
  client.setAuth(
    async ({ forceRefreshToken }) => {
      fetches.push(forceRefreshToken);
      return jwt("somebody");
    },
    (signedIn) => states.push(signedIn),
  );
  const who = follow(client, api.test.who, {});
  await eventually("the sign-in", () => states.at(-1) === true);
  await eventually("the value", () => who.latest());
  await control("drop");
  await eventually("the connection", async () => (await client.query(api.test.echo, { value: 1 })) === 1);
  assert.equal(await client.mutation(api.test.echoMutation, { value: 2 }), 2);
  assert.ok(!states.includes(false), `signed out in between: ${states}`);
});

test("the deploy key", async (t) => {
  const client = open(t);
  await assert.rejects(client.mutation(api.test.secret, {}), (error) => error.data.code === "UNAUTHENTICATED");
  client.client.setAdminAuth(key);
  assert.equal(await client.mutation(api.test.secret, {}), "done");
  assert.equal((await client.query(api.test.who, {})).key, "bridge");
});

test("a large result arrives whole", async (t) => {
  const client = open(t);
  const bytes = 12_000_000;
  const value = await client.query(api.test.large, { bytes });
  assert.equal(value.length, bytes / 2);
  assert.equal(value, "é".repeat(bytes / 2));
});

test("an idle client stays connected", async (t) => {
  const client = open(t);
  const notes = follow(client, api.notes.list, {});
  await eventually("the first value", () => notes.latest());
  const before = await control("upgrades");
  await new Promise((resolve) => setTimeout(resolve, 2000));
  assert.equal(await control("upgrades"), before);
});
