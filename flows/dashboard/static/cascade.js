// The funnel of the cascade: what reached each stage, what it decided, what it passed on.

import { byId, h, replace } from "./dom.js";
import { STAGES, STAGE_WORDS, amount, count, percent, plural } from "./format.js";
import { together } from "./store.js";

export function drawCascade(store) {
  const streams = store.scoped();
  const stages = together(streams, (one) => one.stages);
  const audited = streams.reduce((sum, one) => sum + one.audited, 0);
  const corrected = streams.reduce((sum, one) => sum + one.corrected, 0);
  const losses = together(streams, (one) => one.losses);
  const detector = store.scope === "" ? store.about.detector : null;
  replace(byId("funnel"), [stages, audited, corrected, losses, detector, store.scope], () => {
    const frames = Object.values(stages).reduce((sum, value) => sum + value, 0);
    if (!frames) return h("p", { class: "empty" }, "No frame has been decided.");
    return [verdict(frames, stages.reference ?? 0), funnel(frames, stages), ...notes(audited, corrected, losses, detector, frames)];
  });
}

function verdict(frames, seen) {
  const told = seen
    ? `${amount(frames / seen)}× fewer calls than with the detector on every frame`
    : "the detector was not needed";
  return h("p", { class: "headline" }, `Of ${count(frames)} frames ${count(seen)} reached the detector: ${told}.`);
}

function funnel(frames, stages) {
  let left = frames;
  const rows = [];
  for (const stage of STAGES) {
    const here = stages[stage] ?? 0;
    if (!here) continue;
    const passed = left - here;
    const last = stage === "reference";
    rows.push(
      h(
        "tr",
        {},
        h("th", { scope: "row" }, h("span", { class: `stage ${stage}` }, STAGE_WORDS[stage])),
        h("td", { class: "bars" }, bar(stage, left, here, frames)),
        h("td", { class: "number" }, count(left)),
        h("td", { class: "number" }, count(here)),
        h("td", { class: "number" }, last ? "–" : percent(passed / left)),
      ),
    );
    left = passed;
  }
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Frames by stage" },
    h(
      "table",
      { class: "funnel" },
      h("caption", { class: "unseen" }, "Frames that reached each stage, what it decided, and the share it passed on"),
      h("thead", {}, h("tr", {}, ["Stage", "Share of all frames", "Reached", "Decided", "Passed on"].map((title, place) => h("th", { scope: "col", class: place > 1 ? "number" : null }, title)))),
      h("tbody", {}, rows),
    ),
  );
}

function bar(stage, reached, here, frames) {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", "0 0 100 10");
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", `${percent(reached / frames)} reached it, ${percent(here / frames)} decided by it`);
  for (const [kind, width] of [["reached", reached], [stage, here]]) {
    const box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    box.setAttribute("class", kind);
    box.setAttribute("width", Math.max((100 * width) / frames, 0.6));
    box.setAttribute("height", "10");
    drawing.append(box);
  }
  return drawing;
}

function notes(audited, corrected, losses, detector, frames) {
  const lines = [];
  if (detector?.frames) {
    const each = detector.seconds / detector.frames;
    const whole = each * frames;
    lines.push(
      `${detector.model}: ${count(detector.frames)} images in ${count(detector.calls)} calls, ${amount(1000 * each)} ms each, ${amount(detector.seconds)} s in all. ` +
        `On every frame it would have taken ${amount(whole)} s: ${amount(whole / Math.max(detector.seconds, 1e-9))}× as long.`,
    );
  }
  if (audited) lines.push(`Drawn for the audit: ${plural(audited, "frame")}.`);
  if (corrected) lines.push(`Changed by corrections: ${plural(corrected, "answer")}.`);
  const lost = Object.entries(losses).map(([reason, number]) => `${count(number)} ${reason}`);
  if (lost.length) lines.push(`Not looked at: ${lost.join(", ")}.`);
  return lines.map((line) => h("p", { class: "more" }, line));
}
