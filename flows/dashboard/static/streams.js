// The tiles of the streams, their pictures, and the figures above them.

import { byId, h, keyed, mark, say, svg } from "./dom.js";
import { STAGES, STAGE_LETTERS, STAGE_WORDS, TONES, amount, clock, count, percent, plural } from "./format.js";
import { decided, together } from "./store.js";

const COMPACT_FROM = 13; // tiles get smaller from so many streams on
const FEW = 2; // and larger up to so many
const PICTURES_A_SECOND = 8; // over all tiles together
const AT_ONCE = 3;
const BAR = 4; // width of one decision, units of the drawing
const DECISIONS = 60;

export function tone(name, text = name) {
  const [icon, kind] = TONES[name] ?? ["○", "idle"];
  return h("span", { class: `tone ${kind}` }, h("span", { "aria-hidden": "true" }, icon), ` ${text}`);
}

export function setTone(element, name, text = name) {
  const [icon, kind] = TONES[name] ?? ["○", "idle"];
  mark(element, "class", `tone ${kind}`);
  say(element.firstElementChild, icon);
  if (element.lastChild.data !== ` ${text}`) element.lastChild.data = ` ${text}`;
}

export function stageChip(stage) {
  return h("span", { class: `stage ${stage}` }, STAGE_WORDS[stage] ?? stage);
}

export function drawLegend() {
  byId("stage-legend").replaceChildren("Decided by: ", ...STAGES.map(stageChip));
}

/** The figures of what is shown. */
export function drawFigures(store) {
  const streams = store.scoped();
  const states = together(streams, (one) => ({ [one.status]: 1 }));
  const stages = together(streams, (one) => one.stages);
  const frames = Object.values(stages).reduce((sum, value) => sum + value, 0);
  const rates = streams.map((one) => store.rate(one)).filter((rate) => rate !== null);
  const rate = rates.reduce((sum, value) => sum + value, 0);
  const seen = stages.reference ?? 0;
  const open = streams.reduce((sum, one) => sum + one.open_alerts, 0);
  const alerts = streams.reduce((sum, one) => sum + one.alerts, 0);
  const contracts = together(streams, (one) => ({ [one.contract.status]: 1 }));
  const kept = (contracts.kept ?? 0) + (contracts.reference ?? 0);
  const troubled = (states.lost ?? 0) + (states.unreadable ?? 0);
  const lows = streams.map((one) => one.audit.recall?.low).filter((low) => low !== undefined);
  const figures = [
    ["Streams", store.about.mode === "live" ? `${count(states.running ?? 0)} / ${count(streams.length)}` : count(streams.length), `${store.about.mode === "live" ? "running, " : ""}${troubled ? `▲ ${count(troubled)} lost` : "none lost"}`, troubled > 0],
    ["Frames decided", count(frames), rates.length ? `${amount(rate)} a second` : "", false],
    ["Frames per detector call", seen ? `${amount(frames / seen)}×` : "–", frames ? `${percent(seen / frames)} reached the detector` : "", false],
    ["Open alerts", count(open), `${plural(alerts, "alert")} in all`, open > 0],
    ["Accuracy contract", contracts.broken ? `▲ ${count(contracts.broken)} broken` : kept ? "✓ kept" : "none", lows.length ? `recall at least ${percent(Math.min(...lows))}` : "nothing audited", Boolean(contracts.broken)],
  ];
  keyed(
    byId("figures"),
    figures,
    (one) => one[0],
    ([title]) => h("div", {}, h("dt", {}, title), h("dd", { class: "value" }), h("dd", { class: "more" })),
    (child, [, value, more, alarming]) => {
      say(child.children[1], value);
      say(child.children[2], more);
      mark(child, "class", alarming ? "alarming" : null);
    },
  );
}

export class Tiles {
  constructor(store, choose) {
    this.store = store;
    this.choose = choose;
    this.list = byId("tiles");
    this.visible = new Set();
    this.asked = new Map();
    this.loading = 0;
    this.at = null; // the event time that is looked at; null for the latest
    this.watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) this.visible.add(entry.target);
        else this.visible.delete(entry.target);
      }
    });
    byId("find").addEventListener("input", () => this.draw());
    setInterval(() => this.load(), 1000 / PICTURES_A_SECOND);
  }

  draw() {
    const wanted = byId("find").value.trim().toLowerCase();
    const all = [...this.store.streams.values()];
    const shown = all.filter((one) => `${one.name} ${one.status}`.toLowerCase().includes(wanted));
    mark(this.list, "class", all.length >= COMPACT_FROM ? "tiles compact" : all.length <= FEW ? "tiles few" : "tiles");
    byId("no-streams").hidden = shown.length > 0;
    keyed(this.list, shown, (one) => one.key, (one) => this.make(one), (tile, one) => this.update(tile, one));
  }

  make(one) {
    const picture = h("img", { alt: "", class: "picture", hidden: true });
    const button = h("button", { type: "button", on: { click: () => this.choose(one.key) } }, one.name);
    const parts = {
      picture,
      button,
      blank: h("span", { class: "blank" }),
      status: tone(one.status),
      open: h("span", { class: "badge", hidden: true }),
      latest: h("p", { class: "latest" }),
      strip: svg("svg", { class: "decisions", role: "img", viewBox: `0 0 ${BAR * DECISIONS} 8`, preserveAspectRatio: "none" }, STAGES.map((stage) => svg("path", { class: stage }))),
      rate: h("p", { class: "rate" }),
    };
    const tile = h(
      "li",
      { class: "tile" },
      h("div", { class: "frame" }, parts.blank, picture),
      h("div", { class: "text" }, h("h3", {}, button), h("p", { class: "state" }, parts.status, parts.open), parts.latest, parts.strip, parts.rate),
    );
    tile.parts = parts;
    tile.key = one.key;
    this.watcher.observe(tile);
    return tile;
  }

  update(tile, one) {
    const { parts } = tile;
    mark(parts.button, "aria-pressed", String(this.store.scope === one.key));
    setTone(parts.status, one.status);
    mark(parts.status, "title", one.detail || null);
    parts.open.hidden = one.open_alerts === 0;
    say(parts.open, `▲ ${plural(one.open_alerts, "alert")}`);
    say(parts.blank, one.windows ? one.label : one.latest ? "no picture" : "nothing seen yet");
    say(parts.latest, latest(one));
    mark(parts.latest, "class", one.latest ? `latest stage ${one.latest.stage}` : "latest");
    drawStrip(parts.strip, one.recent);
    const rate = this.store.rate(one);
    const pace = rate === null ? "" : `${amount(rate)} frames/s`;
    say(parts.rate, [pace, one.time ? clock(one.time) : ""].filter(Boolean).join(" · "));
  }

  /** Ask for the picture that is oldest, of a tile that can be seen. */
  load() {
    if (document.hidden || this.loading >= AT_ONCE || this.store.about.mode === "ended") return;
    const least = this.store.about.mode === "live" ? 1000 : Infinity;
    const now = performance.now();
    let due = null;
    for (const tile of this.visible) {
      const before = this.asked.get(tile.key) ?? -Infinity;
      if (now - before >= least || before === -Infinity) {
        if (!due || before < (this.asked.get(due.key) ?? -Infinity)) due = tile;
      }
    }
    if (due && this.store.streams.get(due.key)?.latest) this.fetch(due, now);
    else if (due) this.asked.set(due.key, now);
  }

  fetch(tile, now) {
    this.asked.set(tile.key, now);
    this.loading += 1;
    const next = new Image();
    const past = this.at === null ? "" : `&at=${this.at}`;
    const large = this.store.streams.size <= FEW ? "&large" : "";
    const done = () => {
      this.loading -= 1;
    };
    next.onload = () => {
      done();
      tile.parts.picture.src = next.src;
      tile.parts.picture.alt = `Latest frame of ${tile.parts.button.textContent}`;
      tile.parts.picture.hidden = false;
    };
    next.onerror = done; // there is none yet
    next.src = `/api/streams/${tile.key}/thumbnail?n=${Math.round(now)}${past}${large}`;
  }

  /** Look at another event time. */
  moveTo(at) {
    this.at = at;
    this.asked.clear();
  }
}

function latest(one) {
  if (one.windows) return `${one.label} · ${plural(one.windows, "window")}`;
  const last = one.latest;
  if (!last) return "";
  const answer = last.positive === null ? plural(last.objects, "object") : last.positive ? "yes" : "no";
  return `${STAGE_WORDS[last.stage] ?? last.stage}: ${answer}${last.audited ? ", audited" : ""}`;
}

function drawStrip(strip, recent) {
  if (strip.recent === recent) return;
  strip.recent = recent;
  const start = DECISIONS - recent.length;
  const paths = {};
  const seen = {};
  [...recent].forEach((letter, place) => {
    const stage = STAGE_LETTERS[letter.toLowerCase()];
    paths[stage] = `${paths[stage] ?? ""}M${BAR * (start + place)} 0h${BAR - 0.6}v8h${0.6 - BAR}z`;
    seen[stage] = (seen[stage] ?? 0) + 1;
  });
  STAGES.forEach((stage, place) => mark(strip.children[place], "d", paths[stage] ?? "M0 0"));
  const told = Object.entries(seen).map(([stage, times]) => `${times} ${stage}`);
  mark(strip, "aria-label", recent ? `Latest ${recent.length} decisions: ${told.join(", ")}` : "No decisions yet");
}
