// A picture of a chart: the run, its channels with their figures, and what is drawn.

import { css, h, saveBlob } from "./dom.js";
import { title, unit } from "./format.js";

const PAD = 14, LINE = 19; // px

export async function savePicture(stack, chart) {
  const plot = chart.plot?.ctx.canvas, ratio = devicePixelRatio || 1, several = stack.lines.length > 1;
  const rows = chart.readers.flatMap(({ channel, colors, range }) => {
    const name = [title(channel), channel.unit && `in ${unit(channel.unit)}`].filter(Boolean).join(" ");
    return several ? [{ text: name }, ...colors.map((color, k) => ({ color, text: stack.lines[k].label }))] : [{ color: colors[0], text: name, rest: range.textContent }];
  });
  const width = plot.width / ratio, head = PAD + (rows.length + 2) * LINE + 6, height = head + plot.height / ratio + PAD;
  const canvas = h("canvas", { width: Math.round(width * ratio), height: Math.round(height * ratio) }), g = canvas.getContext("2d");
  g.scale(ratio, ratio);
  g.fillStyle = css("--surface");
  g.fillRect(0, 0, width, height);
  g.textBaseline = "middle";
  let y = PAD + LINE / 2;
  const write = (text, x, color, font) => {
    g.font = `${font} ui-sans-serif, system-ui, sans-serif`;
    g.fillStyle = css(color);
    g.fillText(text, x, y, width - x - PAD);
    return x + g.measureText(text).width;
  };
  write(stack.caption?.() || document.title, PAD, "--ink", "bold 15px");
  y += LINE;
  write(stack.describe(), PAD, "--muted", "12px");
  for (const { color, text, rest } of rows) {
    y += LINE;
    if (color) { g.fillStyle = color; g.fillRect(PAD, y - 5, 10, 10); }
    const end = write(text, color ? PAD + 17 : PAD, "--ink", "bold 13px");
    if (rest) write(rest, end + 12, "--muted", "12px");
  }
  g.drawImage(plot, 0, head, width, plot.height / ratio);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const name = [stack.caption?.() || "chart", ...chart.readers.map(({ channel }) => channel.name)].join(" ").replace(/[^\w.-]+/g, "_");
  saveBlob(blob, `${name}.png`);
}
