// The brief of a run, in a tab of its own. The server makes it; it is fetched here,
// since a link would not carry the token.

import { query, send, sessionPath } from "./api.js";

export async function openBrief(id) {
  const tab = open("", "_blank"); // at once: later, browsers would not let it
  try {
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    const text = await (await send(query(sessionPath(id, "/brief"), { units: "display", timezone: timeZone }))).text();
    // Where the server does not know its own address its links are paths, which lead nowhere from a blob.
    const url = URL.createObjectURL(new Blob([text.replaceAll(' href="/', ` href="${location.origin}/`)], { type: "text/html" }));
    tab ? tab.location.replace(url) : location.assign(url);
  } catch (err) {
    tab?.close();
    throw err;
  }
}
