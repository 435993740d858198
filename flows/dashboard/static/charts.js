// Charts: uPlot where it is vendored, else a plain drawing of the same.

import { h, svg } from "./dom.js";
import { amount, clock } from "./format.js";

const HEIGHT = 132;
const WIDTH = 420;
const PAD = { left: 40, right: 8, top: 8, bottom: 18 };
const TICKS = 3;
let library = null;

/** Load uPlot once, if the server has it. */
export function loadLibrary(vendored) {
  if (!vendored || library) return library ?? Promise.resolve(null);
  document.head.append(h("link", { rel: "stylesheet", href: "/static/vendor/uPlot.min.css" }));
  library = new Promise((resolve) => {
    const script = h("script", { src: "/static/vendor/uPlot.iife.min.js" });
    script.onload = () => resolve(window.uPlot);
    script.onerror = () => resolve(null);
    document.head.append(script);
  });
  return library;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** What a chart shows, in words, for those who cannot see it. */
export function described(title, points) {
  if (!points.length) return `${title}: no values yet`;
  const last = points[points.length - 1];
  const values = points.map((point) => point[1]);
  const interval = last.length > 2 ? `, between ${amount(last[2])} and ${amount(last[3])}` : "";
  return `${title}: ${points.length} values from ${amount(Math.min(...values))} to ${amount(Math.max(...values))}, the latest ${amount(last[1])}${interval} at ${clock(last[0])}`;
}

/** A value over time with its interval as a band; `marks` are times with a word each. */
export class BandChart {
  constructor(title) {
    this.title = title;
    this.element = h("div", { class: "chart", role: "img" });
    this.plot = null;
  }

  draw(uPlot, points, marks) {
    const signature = JSON.stringify([Boolean(uPlot), points, marks, colour("--ink")]);
    if (signature === this.signature) return;
    this.signature = signature;
    this.element.setAttribute("aria-label", described(this.title, points));
    this.marks = marks;
    if (!uPlot) {
      this.element.replaceChildren(plain(points, marks));
      return;
    }
    const columns = [0, 1, 2, 3].map((place) => points.map((point) => (place ? point[place] : point[0] / 1000)));
    if (this.plot) this.plot.setData(columns);
    else {
      this.element.replaceChildren();
      this.plot = new uPlot(this.options(uPlot), columns, this.element);
      new ResizeObserver(([entry]) => this.plot.setSize({ width: Math.max(Math.floor(entry.contentRect.width), 120), height: HEIGHT })).observe(this.element);
    }
  }

  options(uPlot) {
    const axis = { stroke: () => colour("--muted"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const edge = { width: 0, points: { show: false } };
    return {
      width: WIDTH,
      height: HEIGHT,
      padding: [8, 8, 0, 0],
      cursor: { show: false },
      legend: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { y: { range: (_, low, high) => spread(low, high) } },
      axes: [
        { ...axis, size: 22, gap: 3, space: 70, values: (_, ticks) => ticks.map((one) => clock(one * 1000)) },
        { ...axis, size: PAD.left, gap: 4, space: 34, values: (_, ticks) => ticks.map(amount) },
      ],
      series: [{}, { stroke: () => colour("--data"), width: 1.8, points: { show: false } }, edge, edge],
      bands: [{ series: [3, 2], fill: () => colour("--band") }],
      hooks: { draw: [(plot) => this.drawMarks(plot)] },
    };
  }

  drawMarks(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = colour("--mark");
    ctx.setLineDash([4, 3]);
    for (const [time] of this.marks) {
      const x = plot.valToPos(time / 1000, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }
}

function spread(low, high) {
  if (low === null || high === null) return [0, 1];
  const margin = (high - low || Math.abs(high) || 1) * 0.08;
  return [low >= 0 ? Math.max(low - margin, 0) : low - margin, high + margin];
}

/** The same without a library. */
function plain(points, marks) {
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "plain" });
  if (!points.length) return drawing;
  const lows = points.map((point) => point[2] ?? point[1]);
  const highs = points.map((point) => point[3] ?? point[1]);
  const [bottom, top] = spread(Math.min(...lows), Math.max(...highs));
  const [first, last] = [points[0][0], points[points.length - 1][0]];
  const x = (time) => PAD.left + ((WIDTH - PAD.left - PAD.right) * (time - first)) / (last - first || 1);
  const y = (value) => HEIGHT - PAD.bottom - ((HEIGHT - PAD.top - PAD.bottom) * (value - bottom)) / (top - bottom || 1);
  for (let tick = 0; tick <= TICKS; tick += 1) {
    const value = bottom + ((top - bottom) * tick) / TICKS;
    drawing.append(svg("line", { class: "grid", x1: PAD.left, x2: WIDTH - PAD.right, y1: y(value), y2: y(value) }));
    drawing.append(svg("text", { x: PAD.left - 6, y: y(value) + 4, "text-anchor": "end" }, amount(value)));
  }
  drawing.append(svg("text", { x: PAD.left, y: HEIGHT - 4 }, clock(first)));
  drawing.append(svg("text", { x: WIDTH - PAD.right, y: HEIGHT - 4, "text-anchor": "end" }, clock(last)));
  const path = (rows, of) => rows.map((point, place) => `${place ? "L" : "M"}${x(point[0]).toFixed(1)} ${y(of(point)).toFixed(1)}`).join("");
  if (points[0].length > 2) {
    const back = [...points].reverse();
    drawing.append(svg("path", { class: "band", d: `${path(points, (point) => point[3])}${path(back, (point) => point[2]).replace("M", "L")}Z` }));
  }
  for (const [time, word] of marks) {
    if (time >= first && time <= last) drawing.append(svg("line", { class: "mark", x1: x(time), x2: x(time), y1: PAD.top, y2: HEIGHT - PAD.bottom }, svg("title", {}, word)));
  }
  drawing.append(svg("path", { class: "line", d: path(points, (point) => point[1]) }));
  return drawing;
}

/** A line over time, drawn once. */
export function lineChart(title, points) {
  return h("div", { class: "chart", role: "img", "aria-label": described(title, points) }, plain(points, []));
}

/** Small bars: counts of the latest minutes. */
export function sparkBars(title, minutes) {
  const most = Math.max(1, ...minutes.map(([, number]) => number));
  const first = minutes.length ? minutes[0][0] : 0;
  const span = minutes.length ? (minutes[minutes.length - 1][0] - first) / 60_000 + 1 : 1;
  const width = 100 / Math.max(span, 12);
  return svg(
    "svg",
    { class: "spark", role: "img", viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-label": title },
    minutes.map(([time, number]) => svg("rect", { x: ((time - first) / 60_000) * width, width: width * 0.8, y: 20 - (20 * number) / most, height: (20 * number) / most })),
  );
}
