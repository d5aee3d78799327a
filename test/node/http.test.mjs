// ConvexHttpClient.
import assert from "node:assert/strict";
import { test } from "node:test";
import { api, assertSpecial, ConvexError, ConvexHttpClient, jwt, special, url } from "./harness.mjs";

const key = process.env.CONVEX_KEY;

test("query, mutation and action, with every kind of value", async () => {
  const client = new ConvexHttpClient(url);
  assertSpecial(await client.query(api.test.echo, { value: special }));
  assertSpecial(await client.mutation(api.test.echoMutation, { value: special }));
  assertSpecial(await client.action(api.test.echoAction, { value: special }));
  assert.equal(await client.query(api.test.echo, { value: undefined }), null);
  assert.equal(await client.query(api.admin.test.nested, { value: 1 }), 1);
});

test("a query at a consistent time", async () => {
  const client = new ConvexHttpClient(url);
  assert.equal(await client.consistentQuery(api.test.echo, { value: 1 }), 1);
});

test("failures carry their data", async () => {
  const client = new ConvexHttpClient(url);
  for (const [call, code] of [
    [() => client.mutation(api.test.coded, {}), "VIEW_CONFLICT"],
    [() => client.query(api.test.codedQuery, {}), "NOT_FOUND"],
  ]) {
    await assert.rejects(call(), (error) => {
      assert.ok(error instanceof ConvexError);
      assert.equal(error.data.code, code);
      assert.match(error.message, new RegExp(code));
      return true;
    });
  }
  await assert.rejects(client.mutation(api.test.coded, {}), (error) => error.data.revision === 7n);
  await assert.rejects(client.action(api.test.plain, {}), (error) => !(error instanceof ConvexError) && /no good/.test(error.message));
  await assert.rejects(client.query(api.test.broken, {}), /Server Error/);
  await assert.rejects(client.mutation(api.no.such, {}), /Could not find.*no:such/);
  await assert.rejects(client.query(api.test.echo, { other: 1 }), /ArgumentValidationError.*extra field/);
});

test("credentials", async () => {
  const client = new ConvexHttpClient(url);
  assert.deepEqual(await client.query(api.test.who, {}), { role: "guest" });
  client.setAuth(jwt("somebody"));
  assert.deepEqual(await client.query(api.test.who, {}), { role: "guest" });
  client.setAdminAuth(key);
  assert.equal((await client.query(api.test.who, {})).key, "bridge");
  client.setAdminAuth(key, { subject: "a", issuer: "b" });
  assert.equal((await client.query(api.test.who, {})).key, "bridge");
  client.setAdminAuth("wrong");
  await assert.rejects(client.query(api.test.who, {}), /BadDeployKey/);
});
