// Where files are taken from: a button, and a node that they are dropped on. What
// becomes of one, upload.js knows.

import { h, toast } from "./dom.js";

// dropZone lets files be dropped on a node.
export function dropZone(node, take) {
  let inside = 0;
  const files = (e) => [...(e.dataTransfer?.types || [])].includes("Files");
  const on = {
    dragenter: () => node.classList.toggle("dropping", ++inside > 0),
    dragleave: () => node.classList.toggle("dropping", --inside > 0),
    dragover: () => {},
    drop: (e) => {
      inside = 0;
      node.classList.remove("dropping");
      if (e.dataTransfer.files.length > 1) toast("One file at a time, please.", "error");
      else take(e.dataTransfer.files[0]);
    },
  };
  for (const [type, act] of Object.entries(on)) node.addEventListener(type, (e) => { if (files(e)) { e.preventDefault(); act(e); } });
}

// fileButton is a button that asks for a file.
export function fileButton(text, take) {
  const input = h("input", { type: "file", hidden: true, accept: ".csv,.tsv,.txt,.vbo,.log,.json,.ndjson,.jsonl,.gz,.zst", "aria-label": text });
  input.addEventListener("change", () => { if (input.files[0]) take(input.files[0]); input.value = ""; });
  return [h("button", { type: "button", class: "button secondary", on: { click: () => input.click() } }, text), input];
}
