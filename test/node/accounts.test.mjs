// The modules auth and users, by what the published clients send and see: the
// shapes, texts and limits of the function contract.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { api, ConvexError, ConvexHttpClient, eventually, follow, open, url } from "./harness.mjs";
import { totp } from "./totp.mjs";

const http = new ConvexHttpClient(url);
const password = "a long enough password";
const token43 = /^[A-Za-z0-9_-]{43}$/;
const hours = (n) => n * 3600 * 1000;
const fresh = () => `user-${randomUUID()}@example.org`;

const signUp = (args = {}) => http.action(api.auth.signUp, { email: fresh(), password, ...args });
const signIn = (args) => http.action(api.auth.signIn, args);
const profileOf = (token) => http.query(api.users.getCurrentProfile, { token });

let adminToken;
async function admin() {
  adminToken ??= (await signIn({ email: process.env.ADMIN_EMAIL, password: process.env.ADMIN_PASSWORD })).token;
  return adminToken;
}

/** Checks that the call fails with the code, also in the text of its message. */
async function fails(code, promise) {
  const error = await promise.then(
    (value) => assert.fail(`not ${code}, but ${JSON.stringify(value)}`),
    (error) => error,
  );
  assert.ok(error instanceof ConvexError, `${error}`);
  assert.equal(error.data.code, code);
  assert.equal(typeof error.data.message, "string");
  assert.ok(error.message.includes(JSON.stringify(error.data)), error.message);
}

function around(ms, wanted) {
  assert.equal(typeof ms, "number");
  assert.ok(Math.abs(ms - Date.now() - wanted) < 60_000, `${ms - Date.now()} instead of ${wanted}`);
}

test("signing up, in and out", async () => {
  const email = fresh();
  const up = await signUp({ email: `  ${email.toUpperCase()} `, name: " Ana  María " });
  assert.deepEqual(Object.keys(up).sort(), ["expiresAt", "token", "userId"]);
  assert.match(up.token, token43);
  around(up.expiresAt, hours(24 * 30));
  const { _id, _creationTime, ...profile } = await profileOf(up.token);
  assert.equal(typeof _id, "string");
  around(_creationTime, 0);
  assert.deepEqual(profile, { userId: up.userId, email, name: "Ana María", role: "external", approval_status: "approved" });

  const short = await signIn({ email, password });
  around(short.expiresAt, hours(12));
  around((await signIn({ email, password, rememberMe: true })).expiresAt, hours(24 * 30));
  // Members of params win over those beside them.
  const nested = await signIn({ provider: "password", email: "x", password: "y", params: { email, password, flow: "signIn" } });
  assert.equal(nested.userId, up.userId);

  for (let i = 0; i < 2; i++) assert.deepEqual(await http.action(api.auth.signOut, { token: short.token }), { success: true });
  assert.deepEqual(await http.action(api.auth.signOut, {}), { success: true });
  assert.equal(await profileOf(short.token), null);
  assert.equal(await http.query(api.users.getCurrentProfile, {}), null);
  assert.equal(await profileOf("not a token"), null);
});

test("signing up by way of signIn", async () => {
  const email = fresh();
  const up = await signIn({ params: { flow: "signUp", email, password, name: "Ana", requestedRole: "internal" } });
  assert.match(up.token, token43);
  const profile = await profileOf(up.token);
  assert.equal(profile.requested_role, "internal");
  assert.equal(profile.approval_status, "pending");
  assert.equal(profile.role, "external");
  const odd = await signIn({ params: { flow: "signUp", email: fresh(), password, requestedRole: "admin" } });
  assert.deepEqual([(await profileOf(odd.token)).role, (await profileOf(odd.token)).approval_status], ["external", "approved"]);
});

test("mistakes are answers, not failures", async () => {
  const email = fresh();
  await signUp({ email });
  const name = "Name may contain letters, numbers, spaces, apostrophes, periods, and hyphens";
  for (const [call, error] of [
    [signIn({}), "Email and password are required"],
    [signIn({ email }), "Email and password are required"],
    [signIn({ params: { flow: "signUp" } }), "Email and password are required"],
    [signIn({ email: "nobody", password }), "Invalid email or password"],
    [signIn({ email: fresh(), password }), "Invalid email or password"],
    [signIn({ email, password: "wrong" }), "Invalid email or password"],
    [signIn({ email, password: "x".repeat(129) }), "Invalid email or password"],
    [signUp({ email }), "Unable to create an account with those details"],
    [signUp({ email: "nobody" }), "Enter a valid email address"],
    [signUp({ name: "<b>" }), name],
    [signUp({ password: "elevenchars" }), "Password must be at least 12 characters"],
    [signUp({ password: "x".repeat(129) }), "Password must be at most 128 characters"],
  ]) {
    assert.deepEqual(await call, { error });
  }
});

test("the limit of attempts", async () => {
  const email = fresh();
  for (let i = 0; i < 8; i++) assert.deepEqual(await signIn({ email, password: "wrong" }), { error: "Invalid email or password" });
  const { error, retryAfterMs } = await signIn({ email, password: "wrong" });
  assert.equal(error, "Too many attempts. Please try again later.");
  assert.equal(retryAfterMs, 15 * 60 * 1000);
  const later = await signIn({ email, password: "wrong" });
  assert.ok(later.retryAfterMs <= retryAfterMs && later.retryAfterMs > retryAfterMs - 60_000);
});

test("verifySession", async () => {
  const up = await signUp();
  const session = await http.query(api.auth.verifySession, { token: up.token });
  assert.deepEqual(Object.keys(session).sort(), ["_creationTime", "_id", "createdAt", "expiresAt", "lastSeenAt", "persistent", "userId"]);
  assert.equal(session.userId, up.userId);
  assert.equal(session.persistent, true);
  assert.equal(session.expiresAt, up.expiresAt);
  assert.ok(!JSON.stringify(session).includes(up.token));
  assert.equal(await http.query(api.auth.verifySession, { token: "x" }), null);
});

test("at most eight sessions", async () => {
  const email = fresh();
  const tokens = [(await signUp({ email })).token];
  for (let i = 0; i < 8; i++) tokens.push((await signIn({ email, password })).token);
  const profiles = await Promise.all(tokens.map(profileOf));
  assert.deepEqual(profiles.map((p) => p !== null), [false, ...Array(8).fill(true)]);
});

test("administrators manage users", async () => {
  const token = await admin();
  const up = await signUp({ requestedRole: "internal" });
  const target = { token, targetUserId: up.userId };
  const find = (list) => list.find((p) => p.userId === up.userId);
  assert.equal(find(await http.query(api.users.getPendingUsers, { token })).requested_role, "internal");
  assert.deepEqual(await http.mutation(api.users.updateUserRole, { ...target, role: "internal" }), { success: true });
  const raised = find(await http.query(api.users.getAllUsers, { token }));
  assert.deepEqual([raised.role, raised.approval_status, "requested_role" in raised], ["internal", "approved", false]);
  assert.deepEqual(await http.mutation(api.users.rejectUser, target), { success: true });
  assert.equal((await profileOf(up.token)).approval_status, "rejected");
  assert.deepEqual(await http.mutation(api.users.banUser, target), { success: true });
  assert.equal(await profileOf(up.token), null);
  const banned = find(await http.query(api.users.getAllUsers, { token }));
  assert.deepEqual(await signIn({ email: banned.email, password }), { error: "This account is unavailable" });
  for (let i = 0; i < 2; i++) assert.deepEqual(await http.mutation(api.users.deleteUser, target), { success: true });
  assert.equal(find(await http.query(api.users.getAllUsers, { token })), undefined);
});

test("what user management refuses", async () => {
  const token = await admin();
  const { token: external, userId } = await signUp();
  const self = (await profileOf(token)).userId;
  await fails("UNAUTHENTICATED", http.query(api.users.getAllUsers, {}));
  await fails("UNAUTHORIZED", http.query(api.users.getPendingUsers, { token: external }));
  for (const [name, more] of [
    ["updateUserRole", { role: "guest" }],
    ["rejectUser", {}],
    ["banUser", {}],
    ["deleteUser", {}],
  ]) {
    const mutation = api.users[name];
    await fails("UNAUTHENTICATED", http.mutation(mutation, { targetUserId: userId, ...more }));
    await fails("UNAUTHORIZED", http.mutation(mutation, { token: external, targetUserId: self, ...more }));
    await fails("INVALID_OPERATION", http.mutation(mutation, { token, targetUserId: self, ...more }));
    if (name !== "deleteUser") await fails("NOT_FOUND", http.mutation(mutation, { token, targetUserId: "nobody", ...more }));
  }
  await assert.rejects(http.mutation(api.users.updateUserRole, { token, targetUserId: userId, role: "root" }), /ArgumentValidationError/);
  await assert.rejects(http.mutation(api.users.banUser, { token, targetUserId: userId, why: "x" }), /extra field/);
  const keyed = new ConvexHttpClient(url);
  keyed.setAdminAuth(process.env.CONVEX_KEY);
  await fails("LAST_ADMIN", keyed.mutation(api.users.updateUserRole, { targetUserId: self, role: "internal" }));
  await fails("LAST_ADMIN", keyed.mutation(api.users.deleteUser, { targetUserId: self }));
});

test("asking for an upgrade", async () => {
  const { token } = await signUp();
  await fails("UNAUTHENTICATED", http.mutation(api.users.requestRoleUpgrade, { requestedRole: "internal" }));
  assert.deepEqual(await http.mutation(api.users.requestRoleUpgrade, { token, requestedRole: "internal" }), { success: true });
  const profile = await profileOf(token);
  assert.deepEqual([profile.requested_role, profile.approval_status, profile.role], ["internal", "pending", "external"]);
});

test("lists and profiles are pushed over the socket", async (t) => {
  const token = await admin();
  const client = open(t);
  const pending = follow(client, api.users.getPendingUsers, { token });
  await eventually("the list", () => pending.latest());
  const up = await client.action(api.auth.signUp, { email: fresh(), password, requestedRole: "internal" });
  const mine = follow(client, api.users.getCurrentProfile, { token: up.token });
  await eventually("the new user", () => pending.latest().some((p) => p.userId === up.userId));
  await client.mutation(api.users.banUser, { token, targetUserId: up.userId });
  await eventually("the ban", () => mine.latest() === null && !pending.latest().some((p) => p.userId === up.userId));
});

// The client knows e-mail and password alone, and stays as it is: where the account
// has a second factor an app password stands in for its own.
test("an account with a second factor, over HTTP and the socket", async (t) => {
  const email = fresh();
  const { token, userId } = await signUp({ email });
  const rest = async (path, body) => {
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const response = await fetch(`${url}/api/v1/auth/${path}`, { method: "POST", headers, body: JSON.stringify({ current_password: password, ...body }) });
    assert.ok(response.ok, `${path}: ${response.status}`);
    return response.json();
  };
  const { secret } = await rest("second-factor");
  const { recovery_codes: codes } = await rest("second-factor/confirm", { code: totp(secret), current_password: undefined });
  const { app_password: app } = await rest("app-passwords", { name: "dashboard", code: codes[0] });
  const client = open(t);
  for (const by of [signIn, (args) => client.action(api.auth.signIn, args)]) {
    for (const args of [{ email, password }, { params: { flow: "signIn", email, password } }]) {
      const answer = await by(args);
      assert.deepEqual(Object.keys(answer), ["error"]);
      assert.match(answer.error, /app password/);
    }
    assert.deepEqual(await by({ email, password: `${app}x` }), { error: "Invalid email or password" });
    const session = await by({ params: { email, password: app } });
    assert.equal(session.userId, userId);
    assert.equal((await profileOf(session.token)).role, "external");
  }
  assert.deepEqual(await signUp({ email }), { error: "Unable to create an account with those details" });
});
