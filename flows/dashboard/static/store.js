// What the page knows: the server's messages, merged.

const MOST_ALERTS = 200;
const MOST_EVENTS = 300;
const MOST_POINTS = 240;
const RATE_MS = 10_000;

export class Store {
  constructor() {
    this.clear();
    this.about = {};
    this.background = {};
    this.scope = "";
  }

  clear() {
    this.streams = new Map();
    this.series = new Map();
    this.alerts = new Map();
    this.events = [];
    this.opened = []; // alerts that opened with the latest message
    this.totals = []; // [arrival, frames decided by stream], for rates
  }

  /** Take a message; a full one takes the place of all there is. */
  take(told) {
    const first = this.streams.size === 0;
    if (told.full) this.clear();
    this.about = told.about;
    this.background = told.background;
    for (const one of told.streams) this.streams.set(one.key, one);
    for (const one of told.series) this.#points(one);
    this.opened = [];
    for (const one of told.alerts) {
      const known = this.alerts.get(one.key);
      if (!known && one.state === "open" && !first && !told.full) this.opened.push(one);
      this.alerts.delete(one.key); // the latest change comes last
      this.alerts.set(one.key, one);
    }
    while (this.alerts.size > MOST_ALERTS) this.alerts.delete(this.alerts.keys().next().value);
    this.events = [...this.events, ...told.events].slice(-MOST_EVENTS);
    this.#note();
  }

  #points({ stream, name, points }) {
    const key = `${stream} ${name}`;
    const known = this.series.get(key) ?? { key, stream, name, points: [] };
    const byEnd = new Map(known.points.map((point) => [point[0], point]));
    for (const point of points) byEnd.set(point[0], point);
    known.points = [...byEnd.values()].sort((a, b) => a[0] - b[0]).slice(-MOST_POINTS);
    this.series.set(key, known);
  }

  #note() {
    const now = performance.now();
    this.totals.push([now, new Map([...this.streams].map(([key, one]) => [key, decided(one)]))]);
    while (this.totals.length > 2 && now - this.totals[1][0] > RATE_MS) this.totals.shift();
  }

  /** Streams that are shown now. */
  scoped() {
    const chosen = this.streams.get(this.scope);
    return chosen ? [chosen] : [...this.streams.values()];
  }

  inScope(stream) {
    return this.scope === "" || this.scope === stream;
  }

  name(stream) {
    return this.streams.get(stream)?.name ?? "?";
  }

  /** Frames a second: by the clock while it runs, by event time of a recording. */
  rate(one) {
    if (this.about.mode === "live") {
      const [then, before] = this.totals[0];
      const [now, after] = this.totals[this.totals.length - 1];
      const seconds = (now - then) / 1000;
      return seconds < 0.5 ? null : (after.get(one.key) - (before.get(one.key) ?? 0)) / seconds;
    }
    const seconds = (one.time - (one.first ?? one.time)) / 1000;
    return seconds > 0 ? decided(one) / seconds : null;
  }

  /** The latest event time of all. */
  get now() {
    return Math.max(0, ...[...this.streams.values()].map((one) => one.time));
  }
}

export function decided(one) {
  return Object.values(one.stages).reduce((sum, value) => sum + value, 0);
}

export function together(streams, counts) {
  const sum = {};
  for (const one of streams) {
    for (const [name, value] of Object.entries(counts(one))) sum[name] = (sum[name] ?? 0) + value;
  }
  return sum;
}
