// What happens beside the flow: retraining queue, training, versions of models, the trainer's plan.

import { byId, h, replace, svg, table } from "./dom.js";
import { amount, clock, count, duration, iso, plural, words } from "./format.js";

const STEP_WORDS = { select: "Select", label: "Label", plan: "Plan", train: "Train", evaluate: "Evaluate", register: "Register", done: "Done" };
const CHANGE_ICONS = { added: "+", proposed: "◇", promoted: "▲", rejected: "✕", rolled_back: "↩", removed: "–" };
const ROW = 18;
const LABEL = 90;
const WIDE = 700;
const MOST_LINES = 10;

export function drawBeside(store) {
  const { queue, training, models, plan } = store.background;
  const swaps = store.events.filter((one) => one.kind === "model" && store.inScope(one.stream));
  replace(byId("beside"), [store.background, swaps], () => {
    const parts = [
      queue && box("Retraining queue", told(queue, showQueue)),
      training && box("Training", told(training, showTraining)),
      ...(models ? (models.error ? [box("Models", told(models))] : models.models.map((one) => box(one.name, showModel(one, store)))) : []),
      swaps.length > 0 && box("Versions on the streams", showSwaps(swaps, store)),
      plan && box("Plan of a training step", told(plan, showPlan)),
    ].filter(Boolean);
    if (!parts.length) return h("p", { class: "empty" }, "No queue, training or registry is named in the configuration, or this token may not see them.");
    return h("div", { class: "boxes" }, parts);
  });
}

function box(title, content) {
  return h("div", { class: title.startsWith("Plan") ? "box whole" : "box" }, h("h3", {}, title), content);
}

function told(part, show) {
  return part.error ? h("p", { class: "notice" }, part.error) : show(part);
}

function showQueue(queue) {
  const tally = Object.entries(queue.tally);
  return [
    h("p", { class: "headline" }, `${plural(queue.waiting, "item")} wait for a label`),
    tally.length > 0 && table("What became of items", ["What", "#Items"], tally.map(([reason, number]) => [words(reason.replaceAll(".", ": ")), count(number)])),
  ];
}

function showTraining(training) {
  if (training.round === null) return h("p", { class: "empty" }, "No round has begun.");
  const place = training.steps.indexOf(training.step);
  const labels = Object.entries(training.labels).map(([source, number]) => `${count(number)} ${source}`);
  const gains = Object.entries(training.difference).map(([name, metric]) => `${words(name)} ${metric.value >= 0 ? "+" : ""}${amount(metric.value)}${metric.low === null || metric.low === undefined ? "" : ` (${amount(metric.low)} to ${amount(metric.high)})`}`);
  return [
    h("p", { class: "headline" }, `Round ${training.round}, begun ${clock(training.began, training.began)} by ${words(training.trigger)}`),
    h(
      "ol",
      { class: "steps" },
      training.steps.map((step, at) => h("li", { class: at < place || training.step === "done" ? "over" : at === place ? "now" : null, "aria-current": at === place && training.step !== "done" ? "step" : null }, STEP_WORDS[step] ?? step)),
    ),
    h("p", { class: "more" }, [plural(training.items, "item"), labels.length ? `labels: ${labels.join(", ")}` : "", `${duration(1000 * training.seconds)} of work`, training.paused_seconds ? `${duration(1000 * training.paused_seconds)} waited for the flow` : "", training.plan ? `plan ${training.plan}` : ""].filter(Boolean).join(" · ")),
    gains.length > 0 && h("p", {}, `Against the version before: ${gains.join("; ")}`),
    training.reason && h("p", { class: "more" }, training.version === null ? training.reason : `Version ${training.version}: ${training.reason}`),
  ];
}

function showModel(model, store) {
  const metrics = Object.entries(model.metrics).map(([name, one]) => `${words(name)} ${amount(one.value)}${one.low === null ? "" : ` (${amount(one.low)} to ${amount(one.high)})`}`);
  return [
    h("p", { class: "headline" }, model.current === null ? "no version in force" : `version ${model.current} in force`, model.candidate === null ? null : `, ${model.candidate} on trial`),
    metrics.length > 0 && h("p", { class: "more" }, metrics.join(" · ")),
    h(
      "ol",
      { class: "lines" },
      [...model.history].reverse().slice(0, MOST_LINES).map((one) => h("li", {}, h("span", { "aria-hidden": "true" }, `${CHANGE_ICONS[one.what] ?? "·"} `), h("time", { datetime: iso(one.time) }, iso(one.time).slice(0, 16).replace("T", " ")), ` ${words(one.what)} ${one.number}`, one.previous === null ? null : ` after ${one.previous}`, one.reason ? h("span", { class: "more" }, ` ${one.reason}`) : null)),
    ),
  ];
}

function showSwaps(swaps, store) {
  return h("ol", { class: "lines" }, [...swaps].reverse().slice(0, MOST_LINES).map((one) => h("li", {}, h("span", { "aria-hidden": "true" }, "⇄ "), h("time", { datetime: iso(one.time) }, clock(one.time, store.now)), ` ${store.name(one.stream)}: ${words(one.reason)}`, h("span", { class: "more" }, ` ${one.detail}`))));
}

/** The timeline of a step: a row for each device or link, a bar for each task. */
function showPlan(plan) {
  const places = [...new Set(plan.tasks.map((task) => task.place))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const end = Math.max(...plan.tasks.map((task) => task.end), 1e-12);
  const x = (seconds) => LABEL + ((WIDE - LABEL) * seconds) / end;
  const busy = (place) => plan.tasks.filter((task) => task.place === place).reduce((sum, task) => sum + task.end - task.start, 0);
  const drawing = svg(
    "svg",
    { class: "gantt", role: "img", viewBox: `0 0 ${WIDE} ${ROW * places.length + 18}`, "aria-label": `One step takes ${amount(1000 * end)} ms. ${places.map((place) => `${place} is busy ${Math.round((100 * busy(place)) / end)} per cent`).join(", ")}` },
    places.map((place, row) => svg("text", { x: 0, y: ROW * row + 13 }, place)),
    plan.tasks.map((task) => svg("rect", { class: task.kind, x: x(task.start), y: ROW * places.indexOf(task.place) + 3, width: Math.max(x(task.end) - x(task.start), 0.5), height: ROW - 5 }, svg("title", {}, `${task.kind} of ${task.node}: ${amount(1000 * (task.end - task.start))} ms`))),
    svg("text", { x: LABEL, y: ROW * places.length + 14 }, "0"),
    svg("text", { x: WIDE, y: ROW * places.length + 14, "text-anchor": "end" }, `${amount(1000 * end)} ms`),
  );
  const kinds = [...new Set(plan.tasks.map((task) => task.kind))];
  return [
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Timeline of a training step" }, drawing),
    h("p", { class: "legend" }, kinds.map((kind) => h("span", { class: `task ${kind}` }, words(kind)))),
    plan.left_out > 0 && h("p", { class: "more" }, `${count(plan.left_out)} short tasks are left out.`),
  ];
}
