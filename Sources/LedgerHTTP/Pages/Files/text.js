// How values are written for people. Pages/PageText.swift writes the same.

const hidden = /[\u0000-\u001f\u007f-\u009f\u200b\u2028\u2029\ufeff\ufffe\uffff\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/gu;

/** Text with all that is not to be seen, or would show the rest in another order, written as `\u{…}`. */
export function visible(text) {
  return text.replace(hidden, (character) => `\\u{${character.codePointAt(0).toString(16).toUpperCase()}}`);
}

/** One less the other, exactly, whether numbers or bigints. */
export function less(value, other) {
  return typeof value === typeof other ? value - other : BigInt(value) - BigInt(other);
}

/** A number, or a bigint, with narrow spaces between groups of three digits. */
export function number(value) {
  const digits = String(value < 0 ? -value : value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  return value < 0 ? `−${digits}` : digits;
}

export function percent(value) {
  return value === null ? "–" : `${value}\u202f%`;
}

/** A length of time in its two largest units, rounded down. */
export function duration(milliseconds) {
  const seconds = Math.floor(Math.max(0, milliseconds) / 1000);
  if (seconds < 60) return `${seconds}\u202fs`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}\u202fmin ${seconds % 60}\u202fs`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}\u202fh ${Math.floor(seconds / 60) % 60}\u202fmin`;
  return `${Math.floor(seconds / 86400)}\u202fd ${Math.floor(seconds / 3600) % 24}\u202fh`;
}

/** Units a second, or seconds a unit where that is the better figure. */
export function rate(perSecond) {
  if (!(perSecond > 0)) return "";
  if (perSecond >= 1) return `${number(Math.round(perSecond * (perSecond < 10 ? 10 : 1)) / (perSecond < 10 ? 10 : 1))}/s`;
  return `${duration(1000 / perSecond)} each`;
}

/** The time of day in UTC. */
export function clock(date) {
  return date.toISOString().slice(11, 19);
}

/** A run of a task, in words. */
export function run(execution) {
  return execution.execution === null
    ? `attempt ${execution.attempt}` : `attempt ${execution.attempt}, ${visible(execution.execution)}`;
}

/** JSON whose integers stay exact: those that a double cannot hold become bigints. */
export function parse(text) {
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? BigInt(context.source) : value);
}
