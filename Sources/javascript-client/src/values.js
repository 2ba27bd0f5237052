// Checks of values, as the ledger makes them.

import * as limits from "./limits.js";

const controls = /[\u0000-\u001f\u007f-\u009f]/;
const controlsButLineFeeds = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g;
const loneSurrogate = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
const loneSurrogates = new RegExp(loneSurrogate, "g");
/** An http or https URL without a user; its port is the group. */
const linkPattern = /^https?:\/\/(?:\[[0-9a-f:.]+\]|[^/?#@:[\]]+)(?::([0-9]{0,5}))?(?:[/?#].*)?$/i;
/** Characters that RFC 3986 does not permit; they must be percent-encoded. */
const notInLinks = /[^!-~]|["<>\\^`{|}]|%(?![0-9a-f]{2})/i;
const portMax = 65_535;

/**
 * The length of a text in Unicode scalars.
 * @param {string} text
 */
function scalars(text) {
  let count = text.length;
  for (let index = 0; index < text.length; index += 1) {
    if ((text.charCodeAt(index) & 0xfc00) === 0xdc00) count -= 1;
  }
  return count;
}

/**
 * The problem of a text; null if it can be recorded. The problem continues a sentence that begins with its field.
 * @param {unknown} text @param {number} min @param {number} max The bounds of its length, in Unicode scalars.
 * @returns {string | null}
 */
export function textProblem(text, min, max) {
  if (typeof text !== "string") return `is ${kind(text)}; expected a string`;
  if (text.length > 2 * max) return `has more than ${max} characters`;
  if (loneSurrogate.test(text)) return "contains half of a surrogate pair";
  if (text.includes("\u0000")) return "contains NUL";
  const length = scalars(text);
  if (length < min) return "is empty";
  return length > max ? `has ${length} characters; the maximum is ${max}` : null;
}

/**
 * The problem of an increment; null if it can be recorded.
 * @param {unknown} value
 * @returns {string | null}
 */
function incrementProblem(value) {
  if (typeof value !== "number" && typeof value !== "bigint") return `is ${kind(value)}; expected an integer`;
  if (value < 0) return `is ${value}; an increment must not be negative`;
  if (value > limits.incrementMax) return `is ${value}; the maximum of one increment is ${limits.incrementMax}`;
  return Number.isInteger(Number(value)) ? null : `is ${value}; expected an integer`;
}

/**
 * The increments of one call; with `isPosition`, the sums that its indicator shall reach.
 * @typedef {{total?: unknown, done?: unknown, carried?: unknown, isPosition?: boolean}} Increments
 */

/**
 * The problem of the increments of one call, with the field that has it; null if they can be recorded.
 * @param {unknown} total @param {unknown} done @param {unknown} carried
 * @returns {{field: string, problem: string} | null}
 */
export function incrementsProblem(total, done, carried) {
  const problem = incrementProblem(total) ?? incrementProblem(done);
  if (problem !== null) return { field: total === 0 ? "done" : "total", problem };
  const carriedProblem = incrementProblem(carried);
  if (carriedProblem !== null) return { field: "carried", problem: carriedProblem };
  return Number(carried) > Number(done) ? { field: "carried", problem: `is ${carried}; it must not exceed done` } : null;
}

/**
 * The problem of an attempt; null if it can be recorded.
 * @param {unknown} value
 * @returns {string | null}
 */
export function attemptProblem(value) {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= limits.attemptMax
    ? null : `is ${kind(value)}; an attempt is an integer from 1 to ${limits.attemptMax}`;
}

/**
 * Whether a value of a response is the sequence of an event.
 * @param {unknown} value
 */
export function isSequence(value) {
  return Number.isSafeInteger(value) && Number(value) >= 1;
}

/**
 * The problem of a unit; null if it can be recorded.
 * @param {unknown} unit
 * @returns {string | null}
 */
export function unitProblem(unit) {
  return textProblem(unit, 1, limits.unitLengthMax) ?? (controls.test(String(unit)) ? "contains a control character" : null);
}

/**
 * The problem of a link; null if it can be recorded. It does not contain the link, which may contain a password.
 * @param {unknown} link
 * @returns {string | null}
 */
export function linkProblem(link) {
  const problem = textProblem(link, 1, limits.linkLengthMax);
  if (problem !== null) return problem;
  const found = linkPattern.exec(String(link));
  return found !== null && Number(found[1] ?? 0) <= portMax && !notInLinks.test(String(link))
    ? null : "is not an http or https URL, percent-encoded and without a user or a password";
}

/**
 * A message as it can be recorded: at most 1,000 characters, control characters replaced. Null if it is empty.
 * @param {unknown} message A string or an error.
 * @returns {string | null}
 */
export function messageText(message) {
  const begin = reasonOf(message).slice(0, 2 * limits.messageLengthMax);
  const text = begin.replace(controlsButLineFeeds, " ").replace(loneSurrogates, "\ufffd");
  return [...text].slice(0, limits.messageLengthMax).join("") || null;
}

/**
 * An absolute URL; null if the text is none.
 * @param {string} text
 * @returns {URL | null}
 */
export function parseURL(text) {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

/**
 * The text of an error, or of anything else that was thrown. Never throws.
 * @param {unknown} error
 * @returns {string}
 */
export function reasonOf(error) {
  try {
    return String(error instanceof Error ? error.message : error);
  } catch {
    return "a value without a text";
  }
}

/**
 * A text in quotation marks for the log, or the kind of another value. Never throws.
 * @param {unknown} value
 * @returns {string}
 */
export function quoted(value) {
  return typeof value === "string" ? JSON.stringify(value.slice(0, 200)) : kind(value);
}

/**
 * The kind of a wrong value, for messages. Never throws, and never shows a long or secret text.
 * @param {unknown} value
 * @returns {string}
 */
export function kind(value) {
  if (value === null || value === undefined || typeof value === "boolean") return String(value);
  if (typeof value === "number" || typeof value === "bigint") return String(value).slice(0, 40);
  return typeof value === "string" ? "a string" : `a value of type ${typeof value}`;
}
