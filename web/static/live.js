// The client of the live stream (docs/live.md): one connection for the whole
// page, over a websocket, or server-sent events where no websocket gets
// through. After a break it goes on from its last cursor, so that nothing is
// missing and nothing comes twice.

import { onAccount, token } from "./account.js";

const PATH = "/api/v1/live";
const subscriptions = new Map(); // by session
const watchers = new Set(); // of the connection's state
let socket = null, events = null, retry = 0, failures = 0, timer = 0, state = "closed";

// subscribe follows a session. snapshot is how many seconds of the past come
// first. Callbacks: records(list, snapshot), restart(reason) when what was
// received does not go on, refused(message), and subscribed().
export function subscribe(session, options) {
  const sub = { session, cursor: "", ...options };
  subscriptions.set(session, sub);
  if (socket?.readyState === WebSocket.OPEN) ask(sub);
  else if (events) restartEvents();
  else connect();
  return () => {
    if (subscriptions.get(session) !== sub) return;
    subscriptions.delete(session);
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "unsubscribe", session }));
    if (!subscriptions.size) close();
    else if (events) restartEvents();
  };
}

// onState tells how the connection is: connecting, open, waiting, closed, or
// away (connected, but the database does not answer).
export function onState(watcher) {
  watchers.add(watcher);
  watcher(state);
  return () => watchers.delete(watcher);
}

function become(next) {
  if (state === next) return;
  state = next;
  for (const watcher of watchers) watcher(state);
}

function close() {
  clearTimeout(timer);
  timer = 0;
  // One that is about to open is closed then: browsers complain of what is given up.
  const mine = socket;
  if (mine?.readyState === WebSocket.CONNECTING) mine.onopen = () => mine.close(1000);
  else mine?.close(1000);
  socket = null;
  events?.abort();
  events = null;
  become("closed");
}

function connect() {
  if (socket || events || timer || !subscriptions.size) return;
  become(retry ? "waiting" : "connecting");
  if (failures >= 2) return listen();
  const mine = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${PATH}`, "telemetryd.live.v1");
  let opened = false;
  socket = mine;
  mine.onopen = () => {
    opened = true;
    failures = 0;
    if (token()) mine.send(JSON.stringify({ type: "auth", token: token() }));
    for (const sub of subscriptions.values()) ask(sub);
    become("open");
  };
  mine.onmessage = (e) => receive(JSON.parse(e.data));
  mine.onclose = () => {
    if (socket !== mine) return;
    socket = null;
    if (!opened) failures++;
    again();
  };
}

function ask(sub) {
  const message = { type: "subscribe", session: sub.session };
  if (sub.fields) message.fields = sub.fields;
  if (sub.rate) message.max_rate = sub.rate;
  if (sub.cursor) message.since = sub.cursor;
  else if (sub.snapshot) message.snapshot = { seconds: sub.snapshot };
  socket.send(JSON.stringify(message));
}

function again() {
  if (!subscriptions.size) return become("closed");
  become("waiting");
  clearTimeout(timer);
  const pause = Math.min(8000, 250 * 2 ** retry++) * (0.7 + Math.random() * 0.6);
  timer = setTimeout(() => { timer = 0; connect(); }, pause);
}

function receive(message) {
  retry = 0;
  if (message.type === "hello" || message.type === "status") {
    become(message.database === "away" ? "away" : "open");
    return;
  }
  const sub = subscriptions.get(message.session);
  if (!sub) return;
  switch (message.type) {
    case "subscribed":
      if (message.resumed === false && sub.cursor) sub.restart?.(message.reason || "expired");
      if (message.cursor && !sub.cursor && !sub.snapshot) sub.cursor = message.cursor;
      sub.subscribed?.(message);
      break;
    case "snapshot":
    case "records":
      if (message.records.length) sub.records(message.records, message.type === "snapshot");
      sub.cursor = message.cursor || sub.cursor;
      break;
    case "changed":
      sub.changed?.(); // something is said of the run
      break;
    case "begun":
    case "dropped":
      sub.cursor = message.cursor || sub.cursor;
      break;
    case "resync":
    case "deleted":
      sub.restart?.(message.reason || "deleted");
      sub.cursor = ""; // what goes before the next message with records is of no use
      break;
    case "error":
    case "revoked":
      subscriptions.delete(message.session);
      sub.refused?.(message.message);
      break;
  }
}

// listen is the same over server-sent events, read from a fetch: EventSource
// cannot send the Authorization header.
async function listen() {
  const mine = new AbortController();
  events = mine;
  const q = new URLSearchParams();
  let past = 0;
  const cursors = [];
  for (const sub of subscriptions.values()) {
    q.append("session", sub.session);
    if (sub.cursor) cursors.push(sub.cursor);
    past = Math.max(past, sub.snapshot || 0);
  }
  if (past) q.set("snapshot_seconds", past);
  const made = new Set([...subscriptions.values()].flatMap((sub) => (sub.fields?.[0] === "*" ? sub.fields : [])));
  if (made.size) q.set("fields", [...made].join()); // those who want less get all, too
  const headers = { Accept: "text/event-stream" };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  if (cursors.length) headers["Last-Event-ID"] = cursors.join("~");
  try {
    const response = await fetch(`${PATH}?${q}`, { headers, signal: mine.signal, credentials: "omit" });
    if (!response.ok) throw new Error(`status ${response.status}`);
    become("open");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { value, done } = await reader.read();
      if (done) break;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const data = part.split("\n").find((line) => line.startsWith("data: "));
        if (data) receive(JSON.parse(data.slice(6)));
      }
    }
  } catch { /* tried again below */ }
  if (events !== mine) return;
  events = null;
  failures = 0; // perhaps a websocket gets through by now
  again();
}

function restartEvents() {
  events?.abort();
  events = null;
  clearTimeout(timer);
  timer = setTimeout(() => { timer = 0; connect(); }, 50);
}

// Who signed in or out may watch something else.
onAccount(() => {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "auth", token: token() }));
  else if (events) restartEvents();
});

addEventListener("online", () => { if (timer) { clearTimeout(timer); timer = 0; retry = 0; connect(); } });
