// Numbers, times and states in words.

export const STAGES = ["packets", "skip", "difference", "specialised", "reference"];
export const STAGE_WORDS = {
  packets: "By packet sizes",
  skip: "Skipped",
  difference: "Difference detector",
  specialised: "Specialised model",
  reference: "Reference detector",
};
export const STAGE_LETTERS = { p: "packets", k: "skip", d: "difference", s: "specialised", r: "reference" };

// What a state looks like: an icon and a tone, always beside its word.
export const TONES = {
  running: ["●", "good"],
  waiting: ["○", "idle"],
  ended: ["■", "idle"],
  lost: ["▲", "bad"],
  unreadable: ["✕", "bad"],
  kept: ["✓", "good"],
  broken: ["✕", "bad"],
  reference: ["▲", "warn"],
  none: ["–", "idle"],
  open: ["▲", "bad"],
  closed: ["■", "idle"],
  live: ["●", "good"],
  recorded: ["■", "idle"],
  connected: ["✓", "good"],
  reconnecting: ["▲", "warn"],
  over: ["■", "idle"],
};

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export function count(value) {
  return whole.format(value);
}

export function amount(value) {
  return Math.abs(value) >= 1000 ? whole.format(value) : fine.format(value);
}

/** A share of 1 as per cent; more digits near the ends, where they matter. */
export function percent(share) {
  const digits = share > 0.985 && share < 1 ? 2 : share >= 0.1 || share === 0 ? 1 : 2;
  return `${(100 * share).toFixed(digits)} %`;
}

function two(value) {
  return String(value).padStart(2, "0");
}

/** An event time for people, UTC: the clock, and the date where it is another day than `today`. */
export function clock(ms, today = null) {
  const time = new Date(ms);
  const text = `${two(time.getUTCHours())}:${two(time.getUTCMinutes())}:${two(time.getUTCSeconds())}`;
  const day = time.toISOString().slice(0, 10);
  return today !== null && day !== new Date(today).toISOString().slice(0, 10) ? `${day} ${text}` : text;
}

export function iso(ms) {
  return new Date(ms).toISOString();
}

export function duration(ms) {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export function plural(number, noun, many = `${noun}s`) {
  return `${count(number)} ${number === 1 ? noun : many}`;
}

export function words(name) {
  return name.replaceAll("_", " ");
}
