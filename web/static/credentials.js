// What an account's owner does about its second factor and app passwords, and
// what they are told of changed credentials.

import { dialog, h, replace, toast } from "./dom.js";
import { api } from "./api.js";
import { currentUser, loadUser } from "./account.js";
import { field, section } from "./form.js";
import { ago, clock, date } from "./format.js";

const BASE = "/api/v1/auth/second-factor";
const post = (path, body) => api(path, { method: "POST", body });
const password = (name) => field("Password, once more", { name, type: "password", autocomplete: "current-password" });
const code = (name, hint) => field("Code", { name, type: "text", autocomplete: "one-time-code", autocapitalize: "none", spellcheck: "false", maxlength: 40 }, hint);

const happened = {
  password_changed: "The password was changed", email_changed: "The e-mail was changed", second_factor_on: "The second factor was set up",
  second_factor_off: "The second factor was turned off", recovery_codes_renewed: "New recovery codes were made", recovery_code_used: "A recovery code was used",
  app_password_created: "An app password was made", app_password_revoked: "An app password was revoked",
};

// notices shows what happened to the account's credentials, until that is dismissed.
export async function notices(into) {
  const { notices: list } = await api("/api/v1/auth/notices");
  if (!list.length) return void replace(into);
  const dismiss = async () => {
    try {
      await post("/api/v1/auth/notices/dismiss", { through: list[0].id });
      replace(into);
      await loadUser();
    } catch (err) { toast(err.message, "error"); }
  };
  replace(into, h("section", { class: "card form", "aria-labelledby": "notices-title" },
    h("h2", { id: "notices-title" }, "Changes of your account"),
    h("ul", { class: "small" }, list.map((n) => h("li", null, happened[n.event] || n.event.replaceAll("_", " "), n.by_administrator && " by an administrator",
      ", ", h("time", { datetime: n.at }, `${date(new Date(n.at))}, ${clock(Date.parse(n.at), 60)}`), n.client_address && `, from ${n.client_address}`))),
    h("p", { class: "small muted" }, "Was that not you? Change your password, and tell an administrator."),
    h("button", { class: "button secondary", type: "button", on: { click: dismiss } }, "It was me")));
}

// secondFactor shows the second factor and what can be done about it.
export async function secondFactor(into) {
  const state = await api(BASE);
  const again = async () => { await loadUser(); await secondFactor(into); };
  if (!state.enabled) {
    return void replace(into, section("factor-title", "Second factor", "Set it up", async (values) => begun(into, again, await post(BASE, { current_password: values.begin })),
      state.required && h("p", { class: "problem" }, "Administrators need one here. Without it you have the rights of a team member."),
      h("p", { class: "small" }, "With a second factor, signing in takes a code of an authenticator app besides the password."), password("begin")));
  }
  replace(into, section("factor-title", "Second factor", "Do it", async (values) => {
    const body = { current_password: values.factor_password, code: values.factor_code };
    if (values.what === "off") {
      await post(`${BASE}/off`, body);
      toast("The second factor is off.");
    } else {
      recovery((await post(`${BASE}/recovery-codes`, body)).recovery_codes);
    }
    await again();
  },
  h("p", { class: "small" }, `In use since ${date(new Date(state.since))}. ${state.recovery_codes_left} recovery codes are left.`),
  h("div", { class: "field" }, h("label", { for: "f-what" }, "Change"), h("select", { id: "f-what", name: "what" },
    h("option", { value: "codes" }, "Make new recovery codes"), h("option", { value: "off" }, "Turn the second factor off"))),
  password("factor_password"), code("factor_code", "Of your authenticator, or a recovery code.")), await apps());
}

// begun shows the secret of a second factor, and asks for its first code.
function begun(into, again, made) {
  replace(into, section("factor-title", "Second factor", "Confirm", async (values) => {
    recovery((await post(`${BASE}/confirm`, { code: values.first_code })).recovery_codes);
    await again();
  },
  h("p", { class: "small" }, "Scan this with an authenticator app, or type the secret in. Then enter the code that it shows."),
  h("img", { class: "qr", src: made.qr, alt: "QR code of the secret", width: 264, height: 264 }),
  h("code", { class: "secret" }, made.secret), code("first_code")));
  into.querySelector("[name=first_code]").focus();
}

// shown opens a dialog with what is not shown again.
function shown(title, about, lines) {
  const node = dialog(title, h("p", null, about), h("p", null, lines.map((line) => h("code", { class: "secret" }, line))),
    h("div", { class: "dialog-foot" }, h("button", { class: "button", type: "button", on: { click: () => node.close() } }, "Done")));
}

const recovery = (codes) => shown("Recovery codes", "Each of these stands in for a code once. They are shown this once: print them, or keep them in a password manager.", codes);

// apps shows the app passwords of the account.
async function apps() {
  const { app_passwords: list } = await api("/api/v1/auth/app-passwords");
  const again = async (node) => node.replaceWith(await apps());
  const node = section("apps-title", "App passwords", "Make an app password", async (values) => {
    const made = await post("/api/v1/auth/app-passwords", { name: values.app_name, current_password: values.app_own, code: values.app_code });
    shown(`App password “${made.name}”`, `Sign in with this instead of your password, as ${currentUser().email}. It is shown this once.`, [made.app_password]);
    await again(node);
  },
  h("p", { class: "small" }, "Dashboards that ask for e-mail and password alone sign in with an app password. It has your rights."),
  list.length > 0 && h("ul", { class: "apps" }, list.map((a) => h("li", { class: "row-actions" },
    h("span", null, a.name, h("span", { class: "muted small" }, ` made ${date(new Date(a.created_at))}, ${a.last_used_at ? `last used ${ago(Date.parse(a.last_used_at))}` : "never used"}`)),
    h("button", { class: "button small danger", type: "button", on: { click: async () => {
      if (!confirm(`Revoke the app password “${a.name}”? Whoever uses it is signed out.`)) return;
      try { await api(`/api/v1/auth/app-passwords/${encodeURIComponent(a.id)}`, { method: "DELETE" }); await again(node); } catch (err) { toast(err.message, "error"); }
    } } }, "Revoke")))),
  field("Name", { name: "app_name", type: "text", maxlength: 80, placeholder: "dashboard in the pit" }), password("app_own"), code("app_code"));
  return node;
}
