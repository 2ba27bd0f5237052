// Formats values for people, as the pages of the ledger do.

/** Characters that are invisible, or that change the order of others. */
const invisible = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * Replaces each invisible or reordering character by `\u{…}`.
 * @param {string} text
 */
export function visible(text) {
  return text.replace(invisible, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16).toUpperCase()}}`);
}

/**
 * An integer with narrow spaces between groups of three digits.
 * @param {number | bigint} value
 */
export function number(value) {
  const digits = String(value < 0 ? -value : value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  return value < 0 ? `−${digits}` : digits;
}

const prefixes = ["kB", "MB", "GB", "TB", "PB", "EB"];

/**
 * A number of units. Bytes are scaled, in steps of 1,000.
 * @param {bigint} value @param {string | null} unit
 */
export function amount(value, unit) {
  if (unit !== "bytes" || value < 1_000n) return number(value);
  let scaled = Number(value) / 1_000;
  let step = 0;
  while (scaled >= 999.95 && step < prefixes.length - 1) {
    scaled /= 1_000;
    step += 1;
  }
  return `${scaled < 99.95 ? scaled.toFixed(1) : number(Math.round(scaled))}\u202f${prefixes[step]}`;
}

/** @param {number | null} value */
export function percentage(value) {
  return value === null ? "–" : `${value}\u202f%`;
}

/**
 * A duration in its two largest units, rounded down; without seconds above one minute, because a number that changes
 * every second attracts attention.
 * @param {number} milliseconds
 */
export function age(milliseconds) {
  const seconds = Math.floor(Math.max(0, milliseconds) / 1_000);
  if (seconds < 60) return `${seconds}\u202fs`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}\u202fmin`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}\u202fh ${Math.floor(seconds / 60) % 60}\u202fmin`;
  return `${Math.floor(seconds / 86_400)}\u202fd ${Math.floor(seconds / 3_600) % 24}\u202fh`;
}

/**
 * A time in the viewer's zone; with the day unless it is today's.
 * @param {Date} time @param {Date} now
 */
export function clockTime(time, now) {
  const pad = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const hours = `${pad(time.getHours())}:${pad(time.getMinutes())}`;
  if (time.toDateString() === now.toDateString()) return hours;
  return `${time.getFullYear()}-${pad(time.getMonth() + 1)}-${pad(time.getDate())} ${hours}`;
}
