// How many wait for access, for administrators: kept up to date by the function
// contract's own subscription, or asked for now and then where no websocket gets
// through.

import { isAdmin, token } from "./account.js";
import { api } from "./api.js";

const RETRY = 30_000; // ms
let socket = null, timer = 0, tell = () => {};

// watchWaiting calls back with the number as long as an administrator is signed in.
export function watchWaiting(callback) {
  tell = callback;
  clearTimeout(timer);
  timer = 0;
  socket?.close();
  socket = null;
  if (isAdmin()) connect();
}

function connect() {
  const mine = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/1.31.0/sync`);
  socket = mine;
  let opened = false;
  mine.onopen = () => {
    opened = true;
    mine.send(JSON.stringify({ type: "Connect", sessionId: crypto.randomUUID?.() ?? String(Math.random()), connectionCount: 0, lastCloseReason: null }));
    mine.send(JSON.stringify({ type: "ModifyQuerySet", baseVersion: 0, newVersion: 1,
      modifications: [{ type: "Add", queryId: 0, udfPath: "users:getPendingUsers", args: [{ token: token() }] }] }));
  };
  mine.onmessage = (e) => {
    for (const change of JSON.parse(e.data).modifications || []) if (change.type === "QueryUpdated") tell(change.value.length);
  };
  mine.onclose = () => {
    if (socket !== mine) return;
    socket = null;
    timer = setTimeout(connect, RETRY);
    if (!opened) api("/api/v1/users?status=pending").then((answer) => tell(answer.users.length), () => {});
  };
}
