// Where a channel is lowest or highest in the window: at the record, which is not where
// the chart has its point of many records.

import { announce } from "./dom.js";
import { measure, title, unit } from "./format.js";

const TURNS = 8; // each asks for the point that has it, a few hundred times finer
const MOST = 2000;

// toPeak puts the cursor there; what is "min" or "max".
export async function toPeak(stack, channel, k, what) {
  stack.onTouch?.();
  let { data } = stack, [from, to] = stack.win, place = null;
  for (let turn = 0; turn < TURNS; turn++) {
    const line = data.columns[channel.name]?.[k];
    let best = -1;
    data.x.forEach((x, i) => {
      if (line?.avg?.[i] == null || x < from || x > to) return;
      if (best < 0 || (what === "min" ? line.min[i] < line.min[best] : line.max[i] > line.max[best])) best = i;
    });
    if (best < 0) return;
    place = { x: data.x[best], value: line[what][best] };
    const width = data.info?.width;
    if (!width) break;
    from = Math.max(stack.win[0], place.x - width);
    to = Math.min(stack.win[1], place.x + 2 * width);
    data = await stack.load(from, to, MOST, [channel]);
  }
  stack.setCursor(place.x);
  announce(`${title(channel)} ${measure(place.value, channel)} ${unit(channel.unit)} at ${stack.x(place.x, 1)}`);
}
