// JSON with integers of any size. `JSON.parse` alone rounds integers beyond 2^53.

import { digitsMax } from "./limits.js";

/** Marks an integer as a string. The ledger refuses this character in texts. */
const mark = "\u0000";
const marked = /^\u0000-?\d+$/;
const candidate = /"|-?[1-9]\d{15,}/g;

/**
 * Parses JSON. Integers that a number cannot hold exactly become bigints; all others stay numbers.
 *
 * Throws a `SyntaxError` for invalid JSON, and for an integer of more than 1,000 digits.
 * @param {string} text
 * @returns {any}
 */
export function parse(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(markIntegers(text), (_, value) =>
    typeof value === "string" && marked.test(value) ? BigInt(value.slice(1)) : value);
}

/** @param {string} text */
function markIntegers(text) {
  const pieces = [];
  let copied = 0;
  candidate.lastIndex = 0;
  for (let found = candidate.exec(text); found !== null; found = candidate.exec(text)) {
    const digits = found[0];
    const end = found.index + digits.length;
    if (digits === '"') {
      candidate.lastIndex = endOfString(text, end);
    } else if (!/[\d.eE]/.test(text[end] ?? "") && !isFraction(text, found.index) && !Number.isSafeInteger(Number(digits))) {
      if (digits.length > digitsMax) throw new SyntaxError(`an integer has ${digits.length} digits`);
      pieces.push(text.slice(copied, found.index), JSON.stringify(mark + digits));
      copied = end;
    }
  }
  return pieces.join("") + text.slice(copied);
}

/**
 * Whether the digits at this index belong to a fraction or an exponent.
 * @param {string} text @param {number} index
 */
function isFraction(text, index) {
  return /[\d.eE+]/.test(text[index - 1] ?? "");
}

/**
 * The index after the quotation mark that ends a string.
 * @param {string} text @param {number} start The index after the one that begins it.
 */
function endOfString(text, start) {
  for (let end = text.indexOf('"', start); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text[end - 1 - escapes] === "\\") escapes += 1;
    if (escapes % 2 === 0) return end + 1;
  }
  return text.length;
}

/**
 * Writes a value as JSON, bigints as integers.
 * @param {unknown} value
 * @returns {string}
 */
export function stringify(value) {
  const text = JSON.stringify(value, (_, item) => (typeof item === "bigint" ? mark + String(item) : item));
  return text === undefined ? "null" : text.replace(/"\\u0000(-?\d+)"/g, "$1");
}
