// What administrators do: accounts and requests, channels, deploy keys, the audit log.

import { dialog, h, icon, replace, toast } from "./dom.js";
import { api, query } from "./api.js";
import { currentUser, isAdmin } from "./account.js";
import { setTitle } from "./router.js";
import { ago, clock, count, date } from "./format.js";

const roles = ["guest", "external", "internal", "admin"];

export function render(main, { args: [tab] }) {
  setTitle({ users: "Users", channels: "Channels", keys: "Deploy keys", audit: "Audit log" }[tab]);
  if (!isAdmin()) {
    main.append(h("div", { class: "empty" }, h("h1", null, "For administrators"), h("a", { class: "button", href: "/signin" }, "Sign in")));
    return;
  }
  const body = h("div");
  body.style.display = "contents";
  const link = (name, text) => h("a", { href: `/admin/${name}`, "aria-current": name === tab && "page" }, text);
  main.append(h("div", { class: "wrap" }, h("h1", null, "Administration"),
    h("nav", { class: "tabs", "aria-label": "Administration" }, link("users", "Users"), link("channels", "Channels"), link("keys", "Deploy keys"), link("audit", "Audit log")), body));
  ({ users, channels, keys, audit })[tab](body).catch((err) => replace(body, h("p", { class: "problem", role: "alert" }, err.message)));
}

const channels = (body) => import("./admin-channels.js").then((m) => m.channels(body));

// act does something and says so; it gives true when it went well.
export async function act(work, done) {
  try {
    await work();
    toast(done);
    return true;
  } catch (err) {
    toast(err.message, "error");
    return false;
  }
}

const when = (text) => (text ? h("time", { datetime: text, title: new Date(text).toLocaleString() }, ago(Date.parse(text))) : "never");
export const small = (text, kind, click) => h("button", { type: "button", class: `button small ${kind}`, on: { click } }, text);
const userPath = (user, rest = "") => `/api/v1/users/${encodeURIComponent(user.user_id)}${rest}`;

async function users(body) {
  const { users: list } = await api("/api/v1/users");
  const again = () => users(body);
  const me = currentUser().user_id;
  const pending = list.filter((u) => u.approval_status === "pending");
  const setRole = async (user, role) => (await act(() => api(userPath(user), { method: "PATCH", body: { role } }), `${user.email} is now ${role}.`), again());
  replace(body,
    h("section", { "aria-labelledby": "requests" }, h("div", { class: "list-head" }, h("h2", { id: "requests" }, "Access requests")),
      h("div", { class: "card" }, pending.length
        ? pending.map((u) => h("div", { class: "request" },
          h("div", null, h("strong", null, u.name || u.email), h("div", { class: "muted small" }, `${u.email}, wants ${u.requested_role || "access"}, since ${date(new Date(u.created_at))}`)),
          h("div", { class: "row-actions" },
            small("Approve", "", () => setRole(u, u.requested_role || "internal")),
            small("Reject", "secondary", async () => { await act(() => api(userPath(u, "/reject"), { method: "POST" }), `${u.email} was rejected.`); again(); }))))
        : h("p", { class: "empty muted" }, "Nobody is waiting."))),
    h("section", { "aria-labelledby": "accounts" },
      h("div", { class: "list-head" }, h("h2", { id: "accounts" }, `Accounts (${list.length})`), small("New account", "secondary", () => newUser(again))),
      h("div", { class: "card scroll", tabindex: "0", role: "region", "aria-label": "Accounts" }, h("table", null,
        h("caption", { class: "sr" }, "Accounts"),
        h("thead", null, h("tr", null, ["Name", "E-mail", "Role", "Status", "Joined"].map((t) => h("th", { scope: "col" }, t)), h("th", { scope: "col" }, h("span", { class: "sr" }, "Actions")))),
        h("tbody", null, list.map((u) => {
          const role = h("select", { "aria-label": `Role of ${u.email}`, disabled: u.user_id === me }, roles.map((r) => h("option", { value: r, selected: r === u.role }, r)));
          role.addEventListener("change", () => setRole(u, role.value));
          return h("tr", null, h("th", { scope: "row" }, u.name || h("span", { class: "muted" }, "no name")), h("td", null, u.email),
            h("td", { class: "row-role" }, role), h("td", null, u.approval_status), h("td", { class: "nowrap" }, date(new Date(u.created_at))),
            h("td", null, u.user_id === me ? h("span", { class: "muted" }, "you") : h("div", { class: "row-actions" },
              small("Password", "secondary", () => setPassword(u)),
              small("End sessions", "secondary", async () => { if (confirm(`Sign ${u.email} out on all devices?`)) await act(() => api(userPath(u, "/sessions"), { method: "DELETE" }), `${u.email} is signed out everywhere.`); }),
              u.second_factor && small("Reset 2nd factor", "secondary", async () => { if (confirm(`Remove the second factor of ${u.email}? Do so only if you know who asks. All their devices are signed out.`)) { await act(() => api(userPath(u, "/second-factor"), { method: "DELETE" }), `${u.email} has no second factor now.`); again(); } }),
              u.role === "guest" && u.approval_status === "rejected" ? small("Unban", "secondary", async () => { await act(() => api(userPath(u, "/unban"), { method: "POST" }), `${u.email} may sign in again.`); again(); })
              : small("Ban", "danger", async () => { if (confirm(`Ban ${u.email}? All their devices are signed out.`)) { await act(() => api(userPath(u, "/ban"), { method: "POST" }), `${u.email} is banned.`); again(); } }),
              small("Delete", "danger", async () => { if (confirm(`Delete the account ${u.email}? This cannot be undone.`)) { await act(() => api(userPath(u), { method: "DELETE" }), `${u.email} is deleted.`); again(); } }))));
        }))))));
}

const input = (label, props) => h("div", { class: "field" }, h("label", { for: `a-${props.name}` }, label), h("input", { id: `a-${props.name}`, ...props }));
const choice = (label, name, options) => h("div", { class: "field" }, h("label", { for: `a-${name}` }, label), h("select", { id: `a-${name}`, name }, options.map(([value, text]) => h("option", { value }, text))));

// ask opens a form in a dialog; work gets its values.
function ask(title, submit, content, work) {
  const problem = h("p", { class: "problem", role: "alert" });
  const form = h("form", { class: "form" }, content, problem, h("button", { class: "button", type: "submit" }, submit));
  const node = dialog(title, form);
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    problem.textContent = "";
    try {
      await work(Object.fromEntries(new FormData(form)));
      node.close();
    } catch (err) { problem.textContent = err.message; }
  });
}

const newUser = (again) => ask("New account", "Create", [
  input("Name", { name: "name" }), input("E-mail", { name: "email", type: "email", required: true }),
  input("Password", { name: "password", type: "password", required: true, minlength: 12, autocomplete: "new-password" }), choice("Role", "role", roles.slice().reverse().map((r) => [r, r])),
], async (values) => {
  await api("/api/v1/users", { method: "POST", body: values });
  toast(`${values.email} has an account.`);
  again();
});

const setPassword = (user) => ask(`New password for ${user.email}`, "Set password", [
  input("Password", { name: "new_password", type: "password", required: true, minlength: 12, autocomplete: "new-password" }),
], async (values) => {
  await api(userPath(user, "/password"), { method: "POST", body: values });
  toast(`${user.email} has a new password and was signed out everywhere.`);
});

async function keys(body) {
  const { keys: list } = await api("/api/v1/keys");
  const again = () => keys(body);
  const state = (k) => (k.revoked_at ? "revoked" : k.expires_at && Date.parse(k.expires_at) < Date.now() ? "expired" : "valid");
  const form = h("form", { class: "inline-form" }, input("Name", { name: "name", required: true, maxlength: 80, placeholder: "bridge of car 2" }),
    choice("Good for", "scope", [["ingest", "sending telemetry"], ["admin", "everything"]]),
    choice("Unknown members", "no_channels", [["", "become channels"], ["true", "are only stored"]]),
    choice("Valid for", "valid_s", [["0", "ever"], ["2592000", "30 days"], ["31536000", "a year"]]),
    h("button", { class: "button", type: "submit" }, icon("key"), "Make a key"));
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const v = Object.fromEntries(new FormData(form));
    try {
      showKey(await api("/api/v1/keys", { method: "POST", body: { name: v.name, scope: v.scope, valid_s: Number(v.valid_s), no_channels: v.no_channels === "true" } }));
      again();
    } catch (err) { toast(err.message, "error"); }
  });
  replace(body,
    h("section", { "aria-labelledby": "new-key" }, h("div", { class: "list-head" }, h("h2", { id: "new-key" }, "New key")), h("div", { class: "card" }, form)),
    h("section", { "aria-labelledby": "key-list" }, h("div", { class: "list-head" }, h("h2", { id: "key-list" }, `Keys (${list.length})`)),
      h("div", { class: "card scroll", tabindex: "0", role: "region", "aria-label": "Keys" }, list.length ? h("table", null,
        h("caption", { class: "sr" }, "Deploy keys"),
        h("thead", null, h("tr", null, ["Name", "Begins with", "Good for", "State", "Made", "Last used"].map((t) => h("th", { scope: "col" }, t)), h("th", { scope: "col" }, h("span", { class: "sr" }, "Actions")))),
        h("tbody", null, list.map((k) => h("tr", null, h("th", { scope: "row" }, k.name), h("td", null, h("code", null, k.prefix)), h("td", null, k.scope, k.no_channels && ", makes no channels"), h("td", null, state(k)),
          h("td", null, when(k.created_at)), h("td", null, when(k.last_used_at)),
          h("td", null, state(k) === "valid" && h("div", { class: "row-actions" },
            small("Rotate", "secondary", async () => {
              if (!confirm(`Replace the key “${k.name}”? The old one stays valid for a day.`)) return;
              try { showKey(await api(`/api/v1/keys/${encodeURIComponent(k.id)}/rotate`, { method: "POST", body: { overlap_s: 86400 } })); again(); } catch (err) { toast(err.message, "error"); }
            }),
            small("Revoke", "danger", async () => { if (confirm(`Revoke the key “${k.name}”? Whoever uses it can no longer send.`)) { await act(() => api(`/api/v1/keys/${encodeURIComponent(k.id)}`, { method: "DELETE" }), "The key is revoked."); again(); } })))))))
        : h("p", { class: "empty muted" }, "No keys yet."))));
}

function showKey(key) {
  const copy = h("button", { class: "button", type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(key.key); copy.textContent = "Copied"; } catch { toast("The browser does not let the page copy; select the text instead."); }
  });
  const node = dialog(`Key “${key.name}”`, h("p", null, "This is shown once. Put it where the bridge reads its settings."),
    h("p", null, h("code", { class: "secret" }, key.key)), h("div", { class: "dialog-foot" }, copy, h("button", { class: "button secondary", type: "button", on: { click: () => node.close() } }, "Done")));
}

async function audit(body) {
  const people = new Map((await api("/api/v1/users")).users.map((u) => [u.user_id, u.email]));
  const who = (id) => (id ? people.get(id) || h("code", null, id.slice(0, 12)) : "");
  const accounts = [["", "anybody"], ...people];
  const filter = h("form", { class: "inline-form" }, choice("Account", "user", accounts), choice("By", "actor", accounts),
    input("Event", { name: "event", type: "text", placeholder: "sign_in_failed", spellcheck: "false" }),
    input("From", { name: "from", type: "datetime-local" }), input("To", { name: "to", type: "datetime-local" }),
    h("button", { class: "button", type: "submit" }, "Show"));
  const rows = h("tbody");
  const more = h("button", { type: "button", class: "button secondary", hidden: true, on: { click: () => next().catch((err) => toast(err.message, "error")) } }, "Older entries");
  const total = h("p", { class: "muted small", role: "status" });
  const instant = (text) => (text ? new Date(text).toISOString() : "");
  let asked = {}, cursor = null, turn = 0;
  async function next() {
    const mine = turn;
    const answer = await api(query("/api/v1/audit", { ...asked, limit: 100, cursor }));
    if (mine !== turn) return; // asked for something else since
    cursor = answer.next_cursor;
    more.hidden = !cursor;
    rows.append(...answer.events.map((e) => h("tr", null,
      h("td", { class: "nowrap" }, h("time", { datetime: e.at }, `${date(new Date(e.at))}, ${clock(Date.parse(e.at), 60)}`)),
      h("th", { scope: "row" }, e.event.replaceAll("_", " ")), h("td", null, who(e.user_id)), h("td", null, who(e.actor_user_id)), h("td", null, e.client_address || ""),
      h("td", { class: "small" }, Object.entries(e.detail || {}).map(([k, v]) => `${k.replaceAll("_", " ")}: ${typeof v === "object" ? JSON.stringify(v) : v}`).join(", ")))));
    total.textContent = `${count(rows.children.length)} entries`;
  }
  filter.addEventListener("submit", (e) => {
    e.preventDefault();
    const v = Object.fromEntries(new FormData(filter));
    asked = { user: v.user, actor: v.actor, event: v.event.trim().replaceAll(" ", "_"), from: instant(v.from), to: instant(v.to) };
    cursor = null;
    turn++;
    replace(rows);
    next().catch((err) => toast(err.message, "error"));
  });
  replace(body, h("section", { "aria-label": "Audit log" }, h("div", { class: "card" }, filter), h("div", { class: "card scroll", tabindex: "0", role: "region", "aria-label": "Entries" }, h("table", null,
    h("caption", { class: "sr" }, "Audit log, newest first"),
    h("thead", null, h("tr", null, ["When", "Event", "Account", "By", "From", "Detail"].map((t) => h("th", { scope: "col" }, t)))), rows)), total, more));
  await next();
}
