// What the dashboards do: keep views and widgets in step between two windows,
// follow the run on the road and its notifications, open runs from archives.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { api, ConvexError, ConvexHttpClient, eventually, follow, open, url } from "./harness.mjs";

const http = new ConvexHttpClient(url);
const key = process.env.CONVEX_KEY;

async function account() {
  const email = `user-${randomUUID()}@example.org`;
  const { token } = await http.action(api.auth.signUp, { email, password: "a long enough password" });
  assert.ok(token);
  return token;
}

async function bridge(path, args) {
  const response = await fetch(`${url}/api/mutation`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Convex ${key}` },
    body: JSON.stringify({ path, args, format: "json" }),
  });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return JSON.parse(text).value;
}

function records(session_id, from, count) {
  const start = Date.now() - 3600_000;
  return Array.from({ length: count }, (_, i) => ({
    session_id, session_name: "Race", timestamp: new Date(start + (from + i) * 100).toISOString().replace("Z", "000+00:00"),
    message_id: from + i, speed_ms: 7.5, voltage_v: 48, current_a: 3,
  }));
}

test("two windows of one account stay in step", async (t) => {
  const token = await account();
  const [here, there] = [open(t), open(t)];
  const views = follow(there, api.dashboardViews.listMine, { token });
  const preferences = follow(there, api.dashboardPreferences.getMine, { token });
  const alerts = follow(there, api.dashboardAlerts.listAcknowledgements, { token });
  await eventually("the first answers", () => preferences.values.length && views.values.length && alerts.values.length);
  assert.equal(preferences.latest(), null);
  assert.deepEqual(views.latest(), []);

  await here.mutation(api.dashboardPreferences.updateMine, { token, theme: "technical-light" });
  await eventually("the theme", () => preferences.latest()?.theme === "technical-light");
  const view = await here.mutation(api.dashboardViews.create, { token, viewKey: "my-view", name: "Mine", kind: "custom" });
  await eventually("the view", () => views.latest().length === 1);
  assert.deepEqual(views.latest(), [view]);

  const widgets = follow(there, api.dashboardWidgets.listMine, { token, viewId: view._id });
  const widget = { instanceId: "one", widgetType: "speed-trend", column: 0, row: 0, width: 6, height: 3, pinned: false, config: { metric: "speed" } };
  const saved = await here.mutation(api.dashboardWidgets.replaceViewLayout, { token, viewId: view._id, widgets: [widget], expectedRevision: 1 });
  assert.deepEqual(saved, { success: true, revision: 2 });
  await eventually("the widget", () => widgets.latest()?.length === 1);
  const { _id, _creationTime, ownerId, viewId, createdAt, updatedAt, ...rest } = widgets.latest()[0];
  assert.deepEqual(rest, widget);
  assert.ok(_id && ownerId && viewId === view._id && createdAt === Math.floor(_creationTime) && updatedAt >= createdAt);

  // The other window still has revision 1: the page looks for this word.
  const error = await there.mutation(api.dashboardWidgets.replaceViewLayout, { token, viewId: view._id, widgets: [], expectedRevision: 1 }).catch((e) => e);
  assert.ok(error instanceof ConvexError && error.data.code === "VIEW_CONFLICT" && error.message.includes("VIEW_CONFLICT"), `${error}`);

  await here.mutation(api.dashboardAlerts.setAcknowledged, { token, eventKey: "volt:low", acknowledged: true });
  await eventually("the alert", () => alerts.latest().length === 1);
  await here.mutation(api.dashboardViews.remove, { token, viewId: view._id });
  await eventually("the view to go", () => views.latest().length === 0);
  await eventually("its widgets to fail", () => widgets.errors.length > 0);
  assert.equal(widgets.errors.at(-1).data.code, "VIEW_NOT_FOUND");

  // Another account sees nothing of it, and nobody without one.
  assert.deepEqual(await http.query(api.dashboardViews.listMine, { token: await account() }), []);
  const nobody = await http.query(api.dashboardViews.listMine, {}).catch((e) => e);
  assert.ok(nobody instanceof ConvexError && nobody.data.code === "UNAUTHENTICATED", `${nobody}`);
});

test("the run on the road and its notifications are followed", async (t) => {
  const client = open(t);
  const session_id = randomUUID();
  const state = follow(client, api.sessions.getLiveSessionState, {});
  const messages = follow(client, api.driverNotifications.getSessionNotifications, { sessionId: session_id, limit: 2 });
  await eventually("the first answers", () => state.values.length && messages.values.length);
  assert.deepEqual(messages.latest(), []);
  const report = { status: "active", session_id, started_at: new Date().toISOString(), record_count: 0 };
  await bridge("sessions:reportLiveSessionState", report);
  await eventually("the start", () => state.latest()?.status === "active");
  assert.deepEqual(Object.keys(state.latest()).sort(), ["record_count", "session_id", "started_at", "status", "updated_at"]);
  const notifications = ["a", "b", "c"].map((title) => ({ session_id, severity: "warn", title, message: "m", created_at: new Date().toISOString() }));
  assert.deepEqual(await bridge("driverNotifications:insertNotificationBatch", { notifications }), { inserted: 3 });
  await eventually("the messages", () => messages.latest().length === 2);
  assert.deepEqual(messages.latest().map((m) => m.title), ["c", "b"]);
  await bridge("sessions:reportLiveSessionState", { ...report, status: "ended", ended_at: new Date().toISOString(), reason: "user_interrupt" });
  await eventually("the end", () => state.latest()?.status === "ended");
});

test("a run is opened from its archive, finished or not", async (t) => {
  const client = open(t);
  const token = await account(); // external: the run began within a week
  const sessionId = randomUUID();
  const plan = follow(client, api.archives.getSessionPreviewPlan, { sessionId, token });
  await eventually("the first answer", () => plan.values.length);
  assert.equal(plan.latest().status, "restricted"); // nobody knows it yet

  await bridge("telemetry:insertTelemetryBatch", { records: records(sessionId, 0, 3200) });
  await eventually("the run", () => plan.latest().complete);
  const fetchPart = async (link) => {
    const response = await fetch(link, { cache: "force-cache", headers: { Origin: "https://pages.example" } });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "application/gzip");
    assert.equal(response.headers.get("content-encoding"), null);
    assert.equal(response.headers.get("access-control-allow-origin"), "*");
    return JSON.parse(gunzipSync(Buffer.from(await response.arrayBuffer())));
  };
  assert.ok(plan.latest().overviewUrl.startsWith(`${url}/`), plan.latest().overviewUrl);
  const overview = await fetchPart(plan.latest().overviewUrl);
  assert.equal(overview.version, "overview-v1");
  assert.equal(overview.records.length, 1500);
  assert.deepEqual(overview.stats, plan.latest().stats);

  const manifest = await http.query(api.archives.getSessionArchiveManifest, { sessionId, token });
  const whole = (await Promise.all(manifest.parts.map((part) => fetchPart(part.url)))).flat();
  assert.deepEqual(whole.map((r) => r.message_id), Array.from({ length: 3200 }, (_, i) => i));
  assert.ok(whole.every((r) => !("_id" in r) && r.session_id === sessionId));

  // More arrives: the full part keeps its URL, the page is told of the rest.
  await bridge("telemetry:insertTelemetryBatch", { records: records(sessionId, 3200, 10) });
  await eventually("the rest", () => plan.latest().recordCount === 3210);
  const grown = await http.query(api.archives.getSessionArchiveManifest, { sessionId, token });
  assert.equal(grown.parts[0].url, manifest.parts[0].url);
  assert.notEqual(grown.parts[1].url, manifest.parts[1].url);
  assert.equal((await fetchPart(manifest.parts[1].url)).length, 200);
  assert.equal((await fetchPart(grown.parts[1].url)).length, 210);
  assert.deepEqual((await http.query(api.archives.getSessionArchiveManifest, { sessionId })).status, "restricted");
});
