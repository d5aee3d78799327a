// Who is signed in. The token is kept for the tab, or for longer where the
// person asked for it; pages of other tabs follow.

const KEY = "telemetryd.token";
const listeners = new Set();
let user = null;

export const token = () => sessionStorage.getItem(KEY) || localStorage.getItem(KEY) || "";
export const currentUser = () => user;
export const mayEdit = () => ["internal", "admin"].includes(user?.role);
// An administrator without the second factor that the server demands is none yet.
export const isAdmin = () => user?.role === "admin" && !user.factorRequired;

// onAccount calls back whenever somebody signs in or out.
export function onAccount(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
const tell = () => { for (const listener of listeners) listener(user); };

export function keepToken(value, remember) {
  (remember ? localStorage : sessionStorage).setItem(KEY, value);
  (remember ? sessionStorage : localStorage).removeItem(KEY);
}

// dropToken forgets a token that the server no longer takes.
export function dropToken(used) {
  if (used && token() !== used) return;
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(KEY);
  if (!user) return;
  user = null;
  tell();
}

// loadUser asks the server who the token belongs to.
export async function loadUser() {
  const who = () => user && [user.user_id, user.factorRequired, user.notices].join();
  const before = who();
  if (token()) {
    const { api } = await import("./api.js");
    try {
      const answer = await api("/api/v1/auth/session");
      user = { ...answer.user, factorRequired: answer.second_factor_required, notices: answer.notices };
    } catch (err) {
      if (err.status === 401) user = null;
    }
  } else {
    user = null;
  }
  if (before !== who()) tell();
  return user;
}

export async function signOut() {
  const [{ api }, { toast }] = await Promise.all([import("./api.js"), import("./dom.js")]);
  try {
    await api("/api/v1/auth/signout", { method: "POST" });
  } catch { /* the token is forgotten here all the same */ }
  dropToken(token());
  toast("Signed out.");
}

addEventListener("storage", (e) => { if (e.key === KEY) loadUser(); });
