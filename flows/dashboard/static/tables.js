// Accuracy, assertions and events as tables.

import { byId, h, replace, svg, table } from "./dom.js";
import { sparkBars } from "./charts.js";
import { amount, clock, count, iso, percent, words } from "./format.js";
import { together, decided } from "./store.js";
import { tone } from "./streams.js";

const MOST_EVENTS = 120;
const CONTRACT_WORDS = { none: "no contract", kept: "kept", broken: "broken", reference: "reference alone" };
const EVENT_ICONS = { lost: "▲", unreadable: "✕", corrupt: "▲", dropped: "▲", truncated: "▲", contract: "◆", model: "⇄", ended: "■", opened: "●", reconnected: "●" };

export function drawAudit(store) {
  const audited = store.scoped().filter((one) => one.contract.status !== "none" || Object.keys(one.audit).length);
  const targets = store.about.targets ?? {};
  replace(byId("audit"), [targets, audited.map((one) => [one.name, one.contract, one.audit])], () => {
    if (!audited.length) {
      return h("p", { class: "empty" }, "Nothing is promised, so nothing is audited. ", h("code", {}, "cascade.contract"), " in the configuration does.");
    }
    const lowest = Math.min(0.9, ...audited.flatMap((one) => Object.values(one.audit).map((share) => share.low)), ...Object.values(targets));
    const from = Math.max(Math.floor(lowest * 10 - 0.5) / 10, 0);
    return table(
      "Recall and precision of each stream, as the audit knows them",
      ["Stream", "Contract", `Recall (${percent(from)} to 100 %)`, "Precision", "#Audited", "Latest change"],
      audited.map((one) => [
        one.name,
        tone(one.contract.status, CONTRACT_WORDS[one.contract.status]),
        share(one.audit.recall, targets.recall, from),
        share(one.audit.precision, targets.precision, from),
        count(Math.max(0, ...Object.values(one.audit).map((known) => known.frames))),
        one.contract.time === null ? "–" : h("span", { title: one.contract.detail }, `${clock(one.contract.time, store.now)} ${words(one.contract.reason)}`),
      ]),
    );
  });
}

function share(known, target, from) {
  if (!known) return "not known yet";
  const x = (value) => (100 * Math.max(value - from, 0)) / (1 - from);
  return [
    svg(
      "svg",
      { class: "interval", viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "rail", y: 5, width: 100, height: 2 }),
      svg("rect", { class: "range", x: x(known.low), y: 3, width: Math.max(x(known.high) - x(known.low), 0.8), height: 6 }),
      svg("rect", { class: "point", x: Math.min(x(known.value), 99), y: 1, width: 1.2, height: 10 }),
      target !== undefined && svg("rect", { class: "target", x: x(target), y: 0, width: 1, height: 12 }),
    ),
    h("span", { class: "more" }, `${percent(known.low)} to ${percent(known.high)}${target === undefined ? "" : `, promised ${percent(target)}`}`),
  ];
}

export function drawFindings(store) {
  const streams = store.scoped();
  const frames = streams.reduce((sum, one) => sum + decided(one) + one.windows, 0);
  const totals = together(streams, (one) => Object.fromEntries(Object.entries(one.findings).map(([name, found]) => [name, found.total])));
  const names = Object.keys(totals).sort((a, b) => totals[b] - totals[a]);
  replace(byId("findings"), [totals, store.scope], () => {
    if (!names.length) return h("p", { class: "empty" }, "Nothing was found. ", h("code", {}, "assertions:"), " in the configuration says what is looked for.");
    return table(
      "What assertions found",
      ["Assertion", "#Findings", "#Per 1,000 frames", "Latest hour", "#Streams"],
      names.map((name) => {
        const minutes = together(streams, (one) => Object.fromEntries(one.findings[name]?.minutes ?? []));
        const rows = Object.entries(minutes).map(([time, number]) => [Number(time), number]).sort((a, b) => a[0] - b[0]);
        return [words(name), count(totals[name]), frames ? amount((1000 * totals[name]) / frames) : "–", sparkBars(`${rows.length} minutes with findings`, rows), count(streams.filter((one) => one.findings[name]).length)];
      }),
    );
  });
}

export function drawEvents(store) {
  const shown = store.events.filter((one) => store.inScope(one.stream)).sort((a, b) => b.time - a.time).slice(0, MOST_EVENTS);
  const first = shown[0];
  replace(byId("event-list"), [shown.length, first?.time, first?.kind, first?.stream, store.scope], () => {
    if (!shown.length) return h("p", { class: "empty" }, "Nothing befell the streams.");
    return table(
      "What befell the streams, latest first",
      ["Time", "Stream", "What", "More"],
      shown.map((one) => [
        h("time", { datetime: iso(one.time) }, clock(one.time, store.now)),
        store.name(one.stream),
        [h("span", { "aria-hidden": "true" }, `${EVENT_ICONS[one.kind] ?? "·"} `), [one.kind, words(one.reason)].filter(Boolean).join(": ")],
        [one.count ? `${count(one.count)} ` : "", one.detail].join(""),
      ]),
    );
  });
}
