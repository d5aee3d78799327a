// The brief of a run, at an address of its own that can be sent. The server makes it; it
// is fetched here, since a link would not carry the token, and takes the page's place.

import { h, replace } from "./dom.js";
import { query, sessionPath } from "./api.js";
import { currentUser, token } from "./account.js";
import { setTitle } from "./router.js";

export function render(main, { args: [id] }) {
  setTitle("Brief");
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions(), request = new XMLHttpRequest();
  const fail = (status) => {
    const guest = !currentUser() && (status === 401 || status === 403);
    replace(main, h("div", { class: "empty" }, h("h1", null, guest ? "This run is for the crew" : status === 404 ? "There is no such run" : "The brief could not be loaded"),
      guest ? h("a", { class: "button", href: "/signin" }, "Sign in") : h("a", { class: "button secondary", href: `/runs/${encodeURIComponent(id)}` }, "The run")));
  };
  // The browser reads it into a document itself: the page's policy makes none of text.
  request.open("GET", query(sessionPath(id, "/brief"), { units: "display", timezone: timeZone }));
  request.responseType = "document";
  if (token()) request.setRequestHeader("Authorization", `Bearer ${token()}`);
  request.onerror = () => fail(0);
  request.onload = () => {
    const page = request.status === 200 && request.responseXML?.documentElement;
    if (!page) return fail(request.status);
    page.addEventListener("click", (e) => e.stopPropagation()); // its links load what they lead to, and so does Back: see show
    document.replaceChild(document.adoptNode(page), document.documentElement);
  };
  request.send();
  return () => request.abort();
}
