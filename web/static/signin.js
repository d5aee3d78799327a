// Sign-in, sign-up, and one's own account.

import { h, replace, toast } from "./dom.js";
import { api } from "./api.js";
import { currentUser, keepToken, loadUser, signOut } from "./account.js";
import { field, form, section } from "./form.js";
import { go, setTitle } from "./router.js";
import { ago, date } from "./format.js";
import { prefer, preferred } from "./units.js";

export function render(main, { args: [page], params }) {
  const user = currentUser();
  if (page === "account") {
    if (!user) return void go("/signin");
    return account(main, user);
  }
  if (user) return void go(destination(params));
  page === "signup" ? signUp(main, params) : signIn(main, params);
}

// destination is where to go afterwards: a page of ours and nothing else.
function destination(params) {
  const next = params.get("next") || "/";
  return next.startsWith("/") && !next.startsWith("//") && !next.includes("\\") ? next : "/";
}

const email = () => field("E-mail", { name: "email", type: "email", autocomplete: "username", autocapitalize: "none", spellcheck: "false" });

function signIn(main, params) {
  setTitle("Sign in");
  const code = field("Code of your authenticator", { name: "code", type: "text", autocomplete: "one-time-code", autocapitalize: "none", spellcheck: "false", required: false, maxlength: 40 }, "Or one of your recovery codes.");
  code.hidden = true;
  const node = form("Sign in", "Sign in", async (values) => {
    const body = { email: values.email, password: values.password, remember: values.remember === "on" };
    if (values.code) body.code = values.code;
    let answer;
    try {
      answer = await api("/api/v1/auth/signin", { method: "POST", body });
    } catch (err) {
      if (err.code !== "SECOND_FACTOR_REQUIRED") throw err;
      code.hidden = false;
      const input = code.querySelector("input");
      input.required = true;
      input.focus();
      return;
    }
    keepToken(answer.token, values.remember === "on");
    history.replaceState(null, "", destination(params));
    await loadUser(); // tells the frame, which shows that page
  },
  email(),
  field("Password", { name: "password", type: "password", autocomplete: "current-password" }),
  code,
  h("label", { class: "check" }, h("input", { type: "checkbox", name: "remember" }), "Keep me signed in on this device"));
  main.append(h("div", { class: "narrow" }, node, h("p", { class: "muted center" }, "New on the crew? ", h("a", { href: "/signup" }, "Ask for an account"))));
  node.querySelector("input").focus();
}

function signUp(main, params) {
  setTitle("New account");
  const node = form("New account", "Create account", async (values) => {
    const body = { email: values.email, password: values.password };
    if (values.name) body.name = values.name;
    if (values.requested_role) body.requested_role = values.requested_role;
    const answer = await api("/api/v1/auth/signup", { method: "POST", body });
    keepToken(answer.token, false);
    history.replaceState(null, "", destination(params));
    await loadUser();
    toast(values.requested_role === "internal" ? "Your account is ready. An administrator will decide on full access." : "Your account is ready.");
  },
  field("Name", { name: "name", autocomplete: "name", required: false, maxlength: 80 }),
  email(),
  field("Password", { name: "password", type: "password", autocomplete: "new-password", minlength: 12 }, "At least 12 characters."),
  h("div", { class: "field" }, h("label", { for: "f-role" }, "Access"),
    h("select", { id: "f-role", name: "requested_role" },
      h("option", { value: "external" }, "Guest of the team: runs of the last 7 days"),
      h("option", { value: "internal" }, "Team member: all runs, once approved"))));
  main.append(h("div", { class: "narrow" }, node, h("p", { class: "muted center" }, "Already have one? ", h("a", { href: "/signin" }, "Sign in"))));
  node.querySelector("input").focus();
}

const roles = { guest: "Guest: live runs only", external: "Guest of the team: runs of the last 7 days", internal: "Team member: all runs", admin: "Administrator" };

function account(main, user) {
  setTitle("Account");
  const access = h("dd", null, roles[user.role]);
  const upgrade = h("p");
  const ask = async () => {
    try {
      await api("/api/v1/auth/upgrade", { method: "POST" });
      replace(upgrade, "Full access was asked for. An administrator will decide.");
    } catch (err) { toast(err.message, "error"); }
  };
  if (user.approval_status === "pending") upgrade.append("Full access was asked for. An administrator will decide.");
  else if (user.role === "external" || user.role === "guest") upgrade.append(h("button", { class: "button secondary", type: "button", on: { click: ask } }, "Ask for full access"));
  const change = section("change-title", "Change password", "Change password", async (values, node) => {
    await api("/api/v1/auth/password", { method: "POST", body: { current_password: values.current, new_password: values.new } });
    node.reset();
    toast("The password is changed. Other devices were signed out.");
  },
  h("input", { type: "text", name: "username", value: user.email, autocomplete: "username", hidden: true, "aria-hidden": "true", tabindex: "-1" }),
  field("Current password", { name: "current", type: "password", autocomplete: "current-password" }),
  field("New password", { name: "new", type: "password", autocomplete: "new-password", minlength: 12 }, "At least 12 characters."));
  const units = h("select", { id: "f-units" }, [["metric", "km/h, Wh and °C"], ["si", "m/s, J and K (SI)"]].map(([value, text]) => h("option", { value, selected: value === preferred() }, text)));
  units.addEventListener("change", async () => {
    try {
      await prefer(units.value);
      toast("Values are shown in these units on all your devices.");
    } catch (err) { toast(err.message, "error"); }
  });
  const devices = h("div"), news = h("div"), factor = h("div", { class: "stacked" });
  main.append(h("div", { class: "narrow" }, news,
    h("div", { class: "card form" }, h("h1", null, user.name || "Account"),
      h("dl", { class: "facts" },
        h("dt", null, "E-mail"), h("dd", null, user.email), h("dt", null, "Access"), access,
        h("dt", null, "Since"), h("dd", null, date(new Date(user.created_at)))), upgrade,
      h("div", { class: "field" }, h("label", { for: "f-units" }, "Units"), units),
      h("button", { class: "button secondary", type: "button", on: { click: signOut } }, "Sign out")), devices, change, factor));
  const credentials = import("./credentials.js").then(({ notices, secondFactor }) => Promise.all([notices(news), secondFactor(factor)]));
  for (const part of [others(devices), credentials]) part.catch((err) => toast(err.message, "error"));
}

// others shows where else one is signed in, and ends that.
async function others(into) {
  const { sessions } = await api("/api/v1/auth/sessions");
  const list = sessions.filter((s) => !s.current);
  const since = (s) => `signed in ${ago(Date.parse(s.created_at))}, until ${date(new Date(s.expires_at))}`;
  if (!list.length) return void replace(into, h("p", { class: "muted small" }, "You are signed in on this device only."));
  const node = section("devices-title", "Other devices", "Sign out there", async (values) => {
    const body = { current_password: values.confirm };
    if (values.session_id) body.session_id = values.session_id;
    await api("/api/v1/auth/sessions/end", { method: "POST", body });
    toast("Signed out there.");
    await others(into);
  },
  h("div", { class: "field" }, h("label", { for: "f-session" }, "Where"), h("select", { id: "f-session", name: "session_id" },
    h("option", { value: "" }, `all ${list.length} other devices`), list.map((s) => h("option", { value: s.session_id }, since(s))))),
  field("Your password", { name: "confirm", type: "password", autocomplete: "current-password" }));
  replace(into, node);
}
