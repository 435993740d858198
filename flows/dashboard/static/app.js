// Sightflow's dashboard: takes the server's messages and draws what changed.

import { byId, h, keyed, mark, replace, say } from "./dom.js";
import { clock, count, iso } from "./format.js";
import { Store } from "./store.js";
import { Tiles, drawFigures, drawLegend, setTone, tone } from "./streams.js";
import { drawAlerts } from "./alerts.js";
import { drawCascade } from "./cascade.js";
import { drawEstimates } from "./estimates.js";
import { drawAudit, drawEvents, drawFindings } from "./tables.js";
import { drawBeside } from "./beside.js";

const RETRY_MS = 3000;
const SLIDE_MS = 120; // the slider asks once it has rested so long

const store = new Store();
const tiles = new Tiles(store, choose);
const chips = { mode: byId("mode"), link: byId("link") };
for (const chip of Object.values(chips)) chip.append(tone("waiting", "…"));

function choose(stream) {
  store.scope = store.scope === stream ? "" : stream;
  byId("scope").value = store.scope;
  draw();
}

function draw() {
  drawHead();
  drawFigures(store);
  tiles.draw();
  drawAlerts(store);
  drawCascade(store);
  drawEstimates(store, draw);
  drawAudit(store);
  drawFindings(store);
  drawEvents(store);
  drawBeside(store);
}

function drawHead() {
  const { about } = store;
  const name = about.name ?? "…";
  say(byId("run-name"), name);
  const open = [...store.streams.values()].reduce((sum, one) => sum + one.open_alerts, 0);
  document.title = `${open ? `(${count(open)}) ` : ""}${name} – Sightflow`;
  setTone(chips.mode.firstElementChild, about.mode === "live" ? "live" : "recorded", about.mode ?? "…");
  mark(chips.mode, "title", about.run ? `${about.run}, configuration ${about.configuration?.slice(0, 12)}` : null);
  byId("sign-out").hidden = !about.visitor;
  const names = [...store.streams.values()].map((one) => [one.key, one.name]);
  const options = [["", "All streams"], ...names];
  keyed(byId("scope"), options, (one) => one[0], ([key, text]) => h("option", { value: key }, text));
  const notices = [...(about.faults ?? []).slice(0, 5)];
  if (about.unlisted) notices.push(`${count(about.unlisted)} records of further streams are not shown.`);
  if (about.mode === "ended") notices.push("The run has ended. ‘sightflow ui’ with the run's folder shows it again.");
  replace(byId("notices"), notices, () => notices.map((text) => h("p", { class: "notice" }, text)));
}

function ready() {
  if (document.documentElement.dataset.ready) return;
  document.documentElement.dataset.ready = "true";
  performance.mark("interactive");
}

function listen() {
  const source = new EventSource("/api/events");
  source.onopen = () => setTone(chips.link.firstElementChild, "connected");
  source.onmessage = (message) => {
    store.take(JSON.parse(message.data));
    if (store.about.times) showPast();
    if (tiles.at === null) draw();
    ready();
  };
  source.addEventListener("end", () => {
    source.close();
    setTone(chips.link.firstElementChild, "over", "over");
  });
  source.onerror = () => {
    setTone(chips.link.firstElementChild, "reconnecting");
    source.close();
    setTimeout(listen, RETRY_MS);
  };
}

/** The slider over a recorded run. */
function showPast() {
  const form = byId("past");
  const slider = byId("past-at");
  const { times } = store.about;
  form.hidden = times.length < 2;
  if (Number(slider.max) === times.length - 1) return;
  slider.max = times.length - 1;
  slider.value = times.length - 1;
  showTime();
}

function showTime() {
  const time = store.about.times[Number(byId("past-at").value)];
  say(byId("past-time"), clock(time));
  mark(byId("past-at"), "aria-valuetext", iso(time));
}

let sliding = 0;
byId("past").addEventListener("submit", (event) => event.preventDefault());
byId("past-at").addEventListener("input", () => {
  showTime();
  clearTimeout(sliding);
  sliding = setTimeout(async () => {
    const { times } = store.about;
    const place = Number(byId("past-at").value);
    tiles.moveTo(place === times.length - 1 ? null : times[place]);
    const answer = await fetch(`/api/state?at=${times[place]}`);
    if (!answer.ok) return;
    store.take({ ...(await answer.json()), full: true });
    draw();
  }, SLIDE_MS);
});

byId("scope").addEventListener("change", () => {
  store.scope = byId("scope").value;
  draw();
});
byId("scope").form.addEventListener("submit", (event) => event.preventDefault());
byId("only-open").addEventListener("change", draw);
byId("why").addEventListener("click", (event) => {
  if (event.target === byId("why")) byId("why").close(); // outside of its content
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
document.addEventListener("visibilitychange", () => document.hidden || draw());

drawLegend();
listen();
