// Charts of the windows' estimates and of the audit, each with its interval.

import { byId, h, keyed, mark, say } from "./dom.js";
import { BandChart, loadLibrary } from "./charts.js";
import { amount, clock } from "./format.js";

const MOST_CHARTS = 12;
let uPlot = null;

export function drawEstimates(store, again) {
  const all = [...store.series.values()].filter((one) => store.inScope(one.stream));
  // Windows first; the audit's two series stand in the table of accuracy as well.
  all.sort((a, b) => rank(a) - rank(b) || (store.name(a.stream) < store.name(b.stream) ? -1 : 1));
  const shown = all.slice(0, MOST_CHARTS);
  byId("no-estimates").hidden = all.length > 0;
  if (all.length && !uPlot && store.about.uplot) {
    loadLibrary(true).then((loaded) => {
      if (loaded && !uPlot) {
        uPlot = loaded;
        again();
      }
    });
  }
  keyed(byId("charts"), shown, (one) => one.key, (one) => make(store, one), (card, one) => update(store, card, one));
  const left = all.length - shown.length;
  mark(byId("charts"), "data-more", left ? `${left} more: choose a stream above to see its own.` : null);
}

function rank(series) {
  return series.name.startsWith("audit ") ? 1 : 0;
}

function make(store, one) {
  const chart = new BandChart(`${one.name} of ${store.name(one.stream)}`);
  const card = h("figure", {}, h("figcaption", {}, h("strong", {}, one.name), h("span", { class: "of" }, store.name(one.stream)), h("span", { class: "value" }), h("span", { class: "more" })), chart.element);
  card.chart = chart;
  return card;
}

function update(store, card, one) {
  const [time, value, low, high] = one.points[one.points.length - 1];
  say(card.querySelector(".value"), amount(value));
  say(card.querySelector(".more"), `${amount(low)} to ${amount(high)} at ${clock(time, store.now)}`);
  const swaps = store.events.filter((event) => event.kind === "model" && event.reason === "swapped" && event.stream === one.stream);
  card.chart.draw(uPlot, one.points, swaps.map((event) => [event.time, event.detail]));
}
