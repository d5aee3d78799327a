// The editor of a track: its name, its sectors, and where they begin, which can be
// dragged on the map or written in metres; and another track that is the same place.

import { css, dialog, h, icon, replace, toast } from "./dom.js";
import { api } from "./api.js";
import { METRES_PER_DEGREE } from "./fixes.js";
import { num } from "./format.js";
import { Track } from "./track.js";

const MOST = 40;

// editTrack opens it; saved is called when the track was changed.
export async function editTrack(id, saved) {
  let track, all;
  try { [track, { tracks: all }] = await Promise.all([api(`/api/v1/tracks/${id}`), api("/api/v1/tracks")]); } catch (err) { return void toast(err.message, "error"); }
  const line = track.line.map((c) => [c.longitude, c.latitude]), step = track.length_m / line.length;
  let gates = track.sectors.map((s) => ({ name: s.name, at: s.from_m }));
  const name = h("input", { id: "track-name", value: track.name, maxlength: 100 });
  const list = h("ol", { class: "gates" }), problem = h("p", { class: "problem", role: "alert" });
  const box = h("div", { class: "gate-map" });
  const save = h("button", { class: "button", type: "submit" }, "Save");
  const form = h("form", null, h("div", { class: "field" }, h("label", { for: "track-name" }, "Name"), name), box,
    h("p", { class: "muted small" }, `${num(track.length_m)} m. Drag a gate on the map, or write where it is. The first sector begins at the finish: laps of all runs count from there once it was moved.`),
    list, problem, h("div", { class: "actions" }, h("button", { class: "button secondary", type: "button", on: { click: split } }, icon("plus"), "Add a gate"), save), end());
  const node = dialog("Edit track", form);
  const map = new Track(box);
  map.setLines([{ parts: [[...line, line[0]]] }]);
  map.canvas.setAttribute("aria-label", "The track with its gates");
  node.addEventListener("close", () => map.destroy());

  // end has what one does to a track as a whole.
  function end() {
    const act = (what, said, path, options) => async () => {
      if (!confirm(what)) return;
      try {
        await api(`/api/v1/tracks/${id}${path}`, options);
        toast(said);
        node.close();
        saved();
      } catch (err) { problem.textContent = [err.message, ...(err.problems || []).map((p) => `${p.field} ${p.reason}`)].join(": "); }
    };
    const apart = (t) => Math.hypot(t.latitude - track.latitude, (t.longitude - track.longitude) * Math.cos((track.latitude * Math.PI) / 180)) * METRES_PER_DEGREE;
    const near = all.filter((t) => t.id !== id && apart(t) < track.length_m && Math.abs(Math.log(t.length_m / track.length_m)) < 0.22);
    const same = h("select", { id: "track-same" }, h("option", { value: "" }, "None"), near.map((t) => h("option", { value: t.id }, `${t.name}, ${num(t.length_m)} m`)));
    same.addEventListener("change", async () => {
      const other = near.find((t) => t.id === Number(same.value));
      if (other) await act(`Make “${other.name}” part of “${track.name}”? Its runs have this one's name, finish and sectors then.`, "The tracks are one.", "/merge", { method: "POST", body: { track: other.id } })();
      same.value = "";
    });
    return [near.length > 0 && h("div", { class: "field" }, h("label", { for: "track-same" }, "Another track that is this place, too"), same),
      (track.parts || []).map((t) => h("p", null, `“${t.name}” is this place, too. `,
        h("button", { class: "button small secondary", type: "button", on: { click: act(`Make “${t.name}” a track of its own again?`, "The tracks are two again.", "/split", { method: "POST", body: { track: t.id } }) } }, "Split off"))),
      h("button", { class: "button small danger", type: "button", on: { click: act(`Forget “${track.name}” with its name, gates and finish? A run of two laps finds it again; laps count from where each run began.`, "The track is forgotten.", "", { method: "DELETE" }) } }, "Forget this track")];
  }

  const place = (at) => {
    const f = at / step, i = Math.floor(f) % line.length, [a, b] = [line[i], line[(i + 1) % line.length]];
    return [a[0] + (b[0] - a[0]) * (f - Math.floor(f)), a[1] + (b[1] - a[1]) * (f - Math.floor(f))];
  };
  const paint = () => map.setMarks(gates.map((g, i) => ({ at: place(g.at), color: css(i ? "--accent" : "--live") })));

  // Each gate has a row; what is written moves it on the map, and the other way round.
  function rows() {
    replace(list, gates.map((g, i) => {
      const title = i ? `Sector ${i + 1}` : "Sector 1, from the finish";
      const called = h("input", { value: g.name, maxlength: 100, "aria-label": `Name of ${title}` });
      called.addEventListener("input", () => { g.name = called.value; });
      g.field = h("input", { type: "number", step: "any", min: 0, max: track.length_m, value: g.at.toFixed(1), "aria-label": `Begin of ${title}, m` });
      g.field.addEventListener("input", () => { if (g.field.value !== "" && g.field.checkValidity()) { g.at = Math.min(Number(g.field.value), track.length_m - 0.01); paint(); } });
      return h("li", null, called, g.field, h("span", { class: "muted small" }, "m"),
        gates.length > 1 && h("button", { type: "button", class: "plain tiny", "aria-label": `Remove ${title}`, on: { click: () => { gates.splice(i, 1); rows(); list.querySelectorAll("input")[0].focus(); } } }, icon("close")));
    }));
    paint();
  }

  // split parts the longest sector.
  function split() {
    const ahead = (i) => (gates[(i + 1) % gates.length].at - gates[i].at + track.length_m) % track.length_m || track.length_m;
    const longest = gates.reduce((best, _, i) => (ahead(i) > ahead(best) ? i : best), 0);
    if (gates.length < MOST) gates.splice(longest + 1, 0, { name: "", at: (gates[longest].at + ahead(longest) / 2) % track.length_m });
    rows();
    list.children[longest + 1]?.querySelector("input").focus();
  }

  let held = null;
  // from measures how far places are from the pointer.
  const from = (e) => {
    const { to } = map.scale(), r = map.canvas.getBoundingClientRect(), mx = e.clientX - r.left, my = e.clientY - r.top;
    return (p) => { const [x, y] = to(p); return Math.hypot(x - mx, y - my); };
  };
  map.canvas.addEventListener("pointerdown", (e) => {
    const apart = from(e), near = gates.map((g) => apart(place(g.at))), i = near.indexOf(Math.min(...near));
    if (near[i] > 24) return;
    held = gates[i];
    map.canvas.setPointerCapture(e.pointerId);
    e.preventDefault();
  });
  map.canvas.addEventListener("pointermove", (e) => {
    if (!held) return;
    // Half a step at a time.
    const apart = from(e);
    let best = Infinity;
    for (let i = 0; i < 2 * line.length; i++) {
      const at = (i / 2) * step, d = apart(place(at));
      if (d < best) { best = d; held.at = at; }
    }
    held.field.value = held.at.toFixed(1);
    paint();
  });
  for (const type of ["pointerup", "pointercancel"]) map.canvas.addEventListener(type, () => { held = null; });

  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    save.disabled = true;
    problem.textContent = "";
    try {
      const plain = name.value.trim() === `Track ${id}` ? "" : name.value;
      const moved = gates.length !== track.sectors.length || gates.some((g, i) => g.name !== track.sectors[i].name || Math.abs(g.at - track.sectors[i].from_m) > 0.051);
      // The finish is the first; the others follow it round.
      const [finish] = gates, round = (g) => (g.at - finish.at + track.length_m) % track.length_m;
      gates = [finish, ...gates.slice(1).sort((a, b) => round(a) - round(b))];
      // Default names go by the number that a sector has now.
      const sectors = gates.map((g) => ({ name: /^Sector \d+$/.test(g.name) ? "" : g.name, from_m: g.at }));
      await api(`/api/v1/tracks/${id}`, { method: "PATCH", body: moved ? { name: plain, sectors } : { name: plain } });
      node.close();
      saved();
    } catch (err) {
      problem.textContent = [err.message, ...(err.problems || []).map((p) => `${p.field} ${p.reason}`)].join(": ");
      rows();
    }
    save.disabled = false;
  });
  rows();
}
