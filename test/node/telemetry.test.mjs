// What the team's pages and the bridge do, against the whole daemon.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { api, control, ConvexHttpClient, eventually, follow, newest, open, url } from "./harness.mjs";

const key = process.env.CONVEX_KEY;

/** A session as the bridge makes one: batches of records, resent until stored. */
function bridge(name = "A run") {
  const session_id = randomUUID();
  let n = 0;
  const sent = [];
  const call = async (path, args) => {
    const response = await fetch(`${url}/api/mutation`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Convex ${key}` },
      body: JSON.stringify({ path, args, format: "json" }),
      signal: AbortSignal.timeout(30_000),
    });
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    return (await response.json()).value;
  };
  return {
    session_id,
    sent,
    call,
    async post(count) {
      const records = Array.from({ length: count }, () => {
        n++;
        // Microseconds keep the order apart from the clock's resolution.
        const timestamp = new Date(Date.now()).toISOString().replace("Z", `${String(n % 1000).padStart(3, "0")}+00:00`);
        return { session_id, session_name: name, timestamp, message_id: n, speed_ms: n / 10, voltage_v: 48.1 };
      });
      for (;;) {
        try {
          assert.deepEqual(await call("telemetry:insertTelemetryBatch", { records }), { inserted: count });
          break;
        } catch (error) {
          if (error instanceof assert.AssertionError) throw error;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      }
      sent.push(...records);
    },
    report: (status) =>
      call("sessions:reportLiveSessionState", {
        status, session_id, session_name: name, started_at: new Date().toISOString(), record_count: n,
        ...(status === "ended" ? { ended_at: new Date().toISOString(), reason: "user_interrupt" } : {}),
      }),
  };
}

const ids = (records) => records.map((record) => record.message_id);

async function signUp(name) {
  const client = new ConvexHttpClient(url);
  const result = await client.action(api.auth.signUp, { email: `${name}-${randomUUID()}@example.org`, password: "a long enough password" });
  assert.match(result.token, /^[A-Za-z0-9_-]{43}$/);
  return result;
}

test("records of a session that is running", async (t) => {
  const car = bridge();
  await car.post(10);
  const client = open(t);
  const all = follow(client, api.telemetry.getSessionRecords, { sessionId: car.session_id });
  const recent = follow(client, api.telemetry.getRecentRecords, { sessionId: car.session_id, limit: 5 });
  await eventually("the first records", () => all.latest()?.length === 10 && recent.latest()?.length === 5);
  await car.post(10);
  await eventually("the next records", () => all.latest().length === 20);
  await eventually("the newest records", () => recent.latest().at(-1).message_id === 20);
  assert.deepEqual(ids(recent.latest()), [16, 17, 18, 19, 20]);
  const { _id, _creationTime, ...fields } = all.latest()[0];
  assert.equal(typeof _id, "string");
  assert.equal(typeof _creationTime, "number");
  assert.deepEqual(fields, car.sent[0]);
  assert.equal(all.errors.length + recent.errors.length, 0);
});

test("a batch of thousands of records", async () => {
  const car = bridge();
  await car.post(5000);
  const http = new ConvexHttpClient(url);
  const { recordCount, timestamp } = await http.query(api.telemetry.getLatestSessionTimestamp, { sessionId: car.session_id });
  assert.equal(recordCount, 5000);
  assert.ok(timestamp);
});

test("the list of sessions, as the role allows", async (t) => {
  const { token, userId } = await signUp("lister");
  const client = open(t);
  const guest = follow(client, api.sessions.listSessions, {});
  const member = follow(client, api.sessions.listSessions, { token });
  await eventually("both lists", () => guest.latest() && member.latest());
  assert.deepEqual(guest.latest().sessions, []);
  assert.equal(guest.latest().source, "restricted");
  const car = bridge("Listed");
  await car.post(3);
  const mine = () => member.latest().sessions.find((s) => s.session_id === car.session_id);
  await eventually("the new session", () => mine()?.record_count === 3);
  assert.equal(mine().session_name, "Listed");
  await car.post(2);
  await eventually("its count", () => mine().record_count === 5);
  await control("role", { user: userId, role: "guest" });
  await eventually("the list to close", () => member.latest().source === "restricted");
});

test("the live session's state", async (t) => {
  const client = open(t);
  const live = follow(client, api.sessions.getLiveSessionState, {});
  const car = bridge("Live");
  await car.report("active");
  await eventually("the start", () => live.latest()?.session_id === car.session_id && live.latest().status === "active");
  await car.report("ended");
  await eventually("the end", () => live.latest().status === "ended");
  assert.equal(live.latest().reason, "user_interrupt");
});

test("driver notifications", async (t) => {
  const client = open(t);
  const car = bridge();
  const seen = follow(client, api.driverNotifications.getSessionNotifications, { sessionId: car.session_id, limit: 10 });
  await eventually("none", () => seen.latest()?.length === 0);
  const note = { session_id: car.session_id, severity: "warn", title: "Slow down", message: "A hill ahead", created_at: new Date().toISOString() };
  assert.deepEqual(await car.call("driverNotifications:insertNotificationBatch", { notifications: [note] }), { inserted: 1 });
  await eventually("one", () => seen.latest().length === 1);
  assert.equal(seen.latest()[0].title, "Slow down");
});

test("the profile: role change and revocation are pushed", async (t) => {
  const { token, userId } = await signUp("member");
  const client = open(t);
  const profile = follow(client, api.users.getCurrentProfile, { token });
  await eventually("the profile", () => profile.latest()?.role === "external");
  await control("role", { user: userId, role: "internal" });
  await eventually("the new role", () => profile.latest().role === "internal");
  assert.deepEqual(await client.action(api.auth.signOut, { token }), { success: true });
  await eventually("the end of the session", () => profile.latest() === null);
  assert.equal(profile.errors.length, 0);
});

test("the profile: expiry is pushed", async (t) => {
  const { token } = await signUp("visitor");
  await control("expire", { token, milliseconds: 10_000 });
  const client = open(t);
  const profile = follow(client, api.users.getCurrentProfile, { token });
  await eventually("the profile", () => profile.latest() !== undefined);
  assert.ok(profile.latest(), "the token is good until it expires");
  await eventually("the expiry", () => profile.latest() === null);
});

test("the ingest is refused without the key, and with a wrong one", async () => {
  const records = [{ session_id: "s", timestamp: new Date().toISOString() }];
  for (const [headers, statuses] of [
    [{}, [560]],
    [{ Authorization: "Convex wrong" }, [401, 403]],
  ]) {
    const response = await fetch(`${url}/api/mutation`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify({ path: "telemetry:insertTelemetryBatch", args: { records }, format: "json" }),
    });
    assert.ok(statuses.includes(response.status), `status ${response.status}`);
  }
});

/** Drives a car through some trouble; every record must be shown once, in order. */
async function driveThrough(t, trouble) {
  const car = bridge();
  await car.post(1);
  const client = open(t);
  const all = follow(client, api.telemetry.getSessionRecords, { sessionId: car.session_id });
  await eventually("the first record", () => all.latest()?.length === 1);
  let driving = true;
  const drive = (async () => {
    while (driving) {
      await car.post(5);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  for (let i = 0; i < 2; i++) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    await trouble();
    const before = all.latest().length;
    await eventually("records after the restart", () => all.latest().length > before);
  }
  driving = false;
  await drive;
  await eventually("all records", () => all.latest().length >= car.sent.length);
  assert.deepEqual(ids(all.latest()), ids(car.sent));
  for (let i = 1; i < all.values.length; i++) {
    assert.ok(all.values[i].length >= all.values[i - 1].length, "the list went backwards");
  }
}

test("the daemon restarts in mid-stream: nothing is missing or doubled", (t) => driveThrough(t, () => control("restart")));

test(
  "the database drops its connections in mid-stream: nothing is missing or doubled",
  { skip: process.env.CONVEX_SINGLE_BACKEND && "the server has a single backend" },
  (t) => driveThrough(t, () => control("disconnect")),
);

test("a list by pages holds every record once, late ones and after a restart too", { skip: !newest && "no paginated subscription in this version" }, async (t) => {
  const car = bridge();
  const start = Date.now() - 60_000;
  const insert = (...seconds) =>
    car.call("telemetry:insertTelemetryBatch", {
      records: seconds.map((s) => ({ session_id: car.session_id, timestamp: new Date(start + s * 1000).toISOString(), speed_ms: s })),
    });
  const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);
  await insert(...range(0, 30));
  const client = open(t);
  let list;
  client.onPaginatedUpdate_experimental(api.telemetry.getSessionRecordsPage, { sessionId: car.session_id }, { initialNumItems: 10 }, (value) => (list = value));
  const speeds = () => (list?.results ?? []).map((record) => record.speed_ms);
  const shows = (what, want) =>
    eventually(what, () => JSON.stringify(speeds()) === JSON.stringify(want)).catch((error) => assert.deepEqual(speeds(), want, error.message));
  await shows("the first page", range(0, 10));
  list.loadMore(10);
  await shows("two pages", range(0, 20));

  await insert(4.5, 9.25, 9.5, 14.5); // late, also between the pages
  const late = [...range(0, 5), 4.5, ...range(5, 10), 9.25, 9.5, ...range(10, 15), 14.5, ...range(15, 20)];
  await shows("late records", late);
  list.loadMore(100);
  await shows("the last page", [...late, ...range(20, 30)]);
  assert.equal(list.status, "Exhausted");

  await insert(...range(30, 35)); // the last page grows by itself
  await shows("new records", [...late, ...range(20, 35)]);
  await insert(...range(35, 80)); // and is cut in two
  await shows("many new records", [...late, ...range(20, 80)]);

  await control("restart");
  await insert(0.5, 79.5, 80);
  const [zero, ...rest] = late;
  await shows("records after a restart", [zero, 0.5, ...rest, ...range(20, 80), 79.5, 80]);
});
