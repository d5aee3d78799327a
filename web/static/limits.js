// The limits of a channel in its chart: a line at each, and a light shade beyond.

import { css } from "./dom.js";
import { num, title, unit } from "./format.js";

const limits = [
  ["warn_low", "warning", -1, "--c3"], ["warn_high", "warning", 1, "--c3"],
  ["alarm_low", "alarm", -1, "--bad"], ["alarm_high", "alarm", 1, "--bad"],
];
const of = (channel) => limits.filter(([field]) => channel[field] != null).map(([field, text, side, color]) => ({ at: channel[field], text, side, color }));

const write = (at, channel) => (channel.decimals == null ? String(+at.toPrecision(6)) : num(at, channel.decimals));

// limitsText says the limits, for who cannot see the lines.
export const limitsText = (channel) => of(channel).map((l) => `${l.text} ${l.side < 0 ? "below" : "above"} ${write(l.at, channel)} ${unit(channel.unit)}`.trim()).join(", ");

// withLimits widens the range of an axis to the limits that are no farther from
// the values than these from one another: others would press the line flat.
export function withLimits(channel, lo, hi) {
  const reach = hi - lo || Math.abs(hi) * 0.1 || 1;
  const near = of(channel).map((l) => l.at).filter((at) => at >= lo - reach && at <= hi + reach);
  return [Math.min(lo, ...near), Math.max(hi, ...near)];
}

// drawLimits draws them below the lines of a plot, by the scale of the channel; named
// where others are drawn with it.
export function drawLimits(plot, channel, scale, named) {
  const { ctx: g, bbox: { left, top, width, height } } = plot, ratio = devicePixelRatio || 1;
  g.save();
  g.beginPath();
  g.rect(left, top, width, height);
  g.clip();
  g.font = `${10 * ratio}px system-ui, sans-serif`;
  g.textAlign = "right";
  for (const l of of(channel)) {
    const y = plot.valToPos(l.at, scale, true), end = l.side < 0 ? top + height : top;
    g.fillStyle = g.strokeStyle = css(l.color);
    g.globalAlpha = 0.09;
    if ((end - y) * l.side < 0) g.fillRect(left, Math.min(y, end), width, Math.abs(end - y));
    g.globalAlpha = 1;
    g.lineWidth = ratio;
    g.beginPath();
    g.moveTo(left, y);
    g.lineTo(left + width, y);
    g.stroke();
    g.fillText(`${named ? `${title(channel)}: ` : ""}${l.text} ${write(l.at, channel)}`, left + width - 4 * ratio, l.side < 0 ? y - 3 * ratio : y + 10 * ratio);
  }
  g.restore();
}
