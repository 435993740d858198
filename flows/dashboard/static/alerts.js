// The list of alerts, and why one was told.

import { byId, h, keyed, mark, say, table } from "./dom.js";
import { amount, clock, duration, iso, plural } from "./format.js";
import { lineChart } from "./charts.js";
import { setTone, tone } from "./streams.js";

const MOST_SHOWN = 60;

export function drawAlerts(store) {
  const onlyOpen = byId("only-open").checked;
  const fitting = [...store.alerts.values()].filter(
    (one) => store.inScope(one.stream) && !(onlyOpen && one.state !== "open"),
  );
  fitting.sort((a, b) => (a.state === b.state ? b.time - a.time : a.state === "open" ? -1 : 1));
  byId("no-alerts").hidden = fitting.length > 0;
  keyed(byId("alert-list"), fitting.slice(0, MOST_SHOWN), (one) => one.key, make, (item, one) => {
    setTone(item.parts.state, one.state);
    say(item.parts.message, one.message);
    const until = one.state === "open" ? store.now : one.time;
    say(item.parts.more, `${store.name(one.stream)} · ${clock(one.opened, store.now)} · ${duration(Math.max(until - one.opened, 0))} · peak ${amount(one.peak)}`);
    mark(item, "class", one.state);
  });
  if (store.opened.length) {
    const [first] = store.opened;
    const more = store.opened.length > 1 ? ` and ${store.opened.length - 1} more` : "";
    say(byId("spoken"), `Alert ${first.rule} on ${store.name(first.stream)}: ${first.message}${more}`);
  }
}

function make(one) {
  const parts = {
    state: tone(one.state),
    message: h("p", { class: "message" }),
    more: h("p", { class: "more", title: iso(one.opened) }),
  };
  const title = one.object ? `${one.rule} of ${one.object}` : one.rule;
  const item = h(
    "li",
    {},
    h("h3", {}, h("button", { type: "button", on: { click: () => explain(one) } }, title), parts.state),
    parts.message,
    parts.more,
  );
  item.parts = parts;
  return item;
}

async function explain(one) {
  const dialog = byId("why");
  const body = byId("why-body");
  say(byId("why-title"), `Why “${one.rule}”?`);
  body.replaceChildren(h("p", { class: "empty" }, "Reading the event log…"));
  dialog.showModal();
  const answer = await fetch(`/api/alerts/${one.key}`);
  const told = await answer.json();
  if (!answer.ok) {
    body.replaceChildren(h("p", { class: "notice" }, told.error));
    return;
  }
  body.replaceChildren(
    h("p", { class: "headline" }, told.headline),
    h("p", { class: "more" }, told.summary),
    told.picture && h("img", { class: "strip", src: `/api/alerts/${one.key}/strip`, alt: `${plural(told.frames.length, "frame")} of the episode: ${told.frames.map((frame) => frame.moments).join("; ")}` }),
    told.frames.length > 0 && section("Frames", table("Frames of the episode", ["Moment", "When", "Measured", "Decided by"], told.frames.map((frame) => [frame.moments, frame.when, frame.measured, frame.decided]))),
    told.series.length > 1 && section("Measured over time", lineChart("What was measured", told.series)),
    told.findings.length > 0 && section("Findings", list(told.findings), told.more_findings > 0 && h("p", { class: "more" }, `and ${told.more_findings} more`)),
    section("Changes", list(told.changes.map((change) => ({ time: change.time, message: `${change.state}: ${change.message}` })))),
    Object.keys(told.settings).length > 0 && section("Settings", settings(told.settings)),
    told.notes.length > 0 && section("To know", h("ul", {}, told.notes.map((note) => h("li", {}, note)))),
    h("p", { class: "more" }, `Episode ${told.id}`),
  );
}

function section(title, ...content) {
  return h("section", {}, h("h3", {}, title), h("div", { class: "scroll" }, content));
}

function list(rows) {
  return h("ul", { class: "lines" }, rows.map((row) => h("li", {}, h("time", {}, row.time), ` ${row.message}`)));
}

function settings(values) {
  return h("dl", { class: "settings" }, Object.entries(values).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}
