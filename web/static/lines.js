// Answers that come line by line: how far the server has come, and then what was asked for.

import { ApiError, send } from "./api.js";

// lines asks for one; progress is told the share of the work that is done, 0 to 1.
export async function lines(path, signal, progress) {
  const { body } = await send(path, { signal, headers: { Accept: "application/x-ndjson" } });
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read().catch((err) => { if (err.name === "AbortError") throw err; return { done: true }; });
    const list = (rest + (value ?? "")).split("\n");
    rest = list.pop();
    for (const text of list) {
      const line = JSON.parse(text);
      if (line.answer) return line.answer;
      if (line.error) throw new ApiError(line.error.status, line.error);
      progress(line.progress);
    }
    if (done) throw new ApiError(0, { detail: "The connection broke before the answer was there. Try again." });
  }
}
