// Requests to the server. The bearer token goes into the Authorization header
// and nowhere else.

import { token, dropToken } from "./account.js";

// ApiError is a refusal or failure; its message can be shown.
export class ApiError extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail || problem.title || `the server answered ${status}`);
    this.status = status;
    this.code = problem.code;
    this.problems = problem.problems;
    this.retryAfter = retryAfter;
  }
}

// send makes a request, with JSON or a file, and gives the response, or throws
// an ApiError.
export async function send(path, { method = "GET", body, file, signal, headers = {} } = {}) {
  const used = token();
  const all = { ...headers };
  if (used) all.Authorization = `Bearer ${used}`;
  if (body !== undefined) all["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers: all, signal, body: file ?? (body === undefined ? undefined : JSON.stringify(body)), credentials: "omit" });
  } catch (err) {
    if (err.name === "AbortError") throw err;
    throw new ApiError(0, { detail: "The server does not answer. Check the connection." });
  }
  if (response.ok) return response;
  let problem = {};
  try { problem = await response.json(); } catch { /* not ours: a proxy's page */ }
  // A token that is good no more; a wrong password or code has no such code.
  if (response.status === 401 && used && problem.code === "UNAUTHENTICATED") dropToken(used);
  throw new ApiError(response.status, problem, Number(response.headers.get("Retry-After")) || 0);
}

// api makes a request and gives the answer's JSON; null where there is none.
export async function api(path, options) {
  const response = await send(path, options);
  return response.status === 204 ? null : response.json();
}

// query puts parameters behind a path, those of a list one by one; null and ""
// are left out.
export function query(path, params) {
  const q = new URLSearchParams();
  for (const [name, values] of Object.entries(params)) for (const value of [values].flat()) if (value != null && value !== "") q.append(name, value);
  const text = q.toString();
  return text ? `${path}?${text}` : path;
}

export const sessionPath = (id, rest = "") => `/api/v1/sessions/${encodeURIComponent(id)}${rest}`;

// fields gives the list of known fields, asked for once.
let known;
export function fields() {
  known ??= api("/api/v1/fields").then((answer) => answer.fields).catch((err) => { known = null; throw err; });
  return known;
}
