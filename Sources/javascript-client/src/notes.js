// The notes of reports: messages, links and units, and the messages of errors.

import { kind, linkProblem, messageText, reasonOf, unitProblem } from "./values.js";

/** @typedef {import("./reportBuffer.js").Remarks} Remarks */

/** The maximum length of the message of an error. */
const errorLengthMax = 200;
/** A URL with user information, up to the last "@" of the word: a password may contain any character. */
const users = /\b([A-Za-z][A-Za-z0-9+.-]*:\/\/)\S*@/g;
/** The query of a URL, which may contain a signature or a token. */
const queries = /\b([A-Za-z][A-Za-z0-9+.-]*:\/\/[^\s?]*)\?\S*/g;

/**
 * The notes that can be recorded; null without any. The others are refused one by one: no units are lost because of a
 * bad note. An empty one counts as absent.
 * @param {Record<string, unknown>} given `message`, `link` and `unit`; may be an object that throws when it is read.
 * @param {(name: string, problem: string) => void} refuse
 * @returns {Remarks | null}
 */
export function notes(given, refuse) {
  /** @type {Record<string, string>} */
  const found = {};
  for (const name of ["message", "link", "unit"]) {
    try {
      const value = given[name];
      if (value === undefined || value === null || value === "") continue;
      const problem = name === "link" ? linkProblem(value) : name === "unit" ? unitProblem(value) : messageProblem(value);
      const text = name === "message" ? messageText(value) : value;
      if (problem === null && typeof text === "string") found[name] = text;
      else if (problem !== null) refuse(name, problem);
    } catch (error) {
      refuse(name, `cannot be read: ${reasonOf(error)}`);
    }
  }
  return Object.keys(found).length === 0 ? null : found;
}

/** @param {unknown} value */
function messageProblem(value) {
  return typeof value === "string" || value instanceof Error ? null : `is ${kind(value)}; expected a string or an error`;
}

/**
 * The message of an error: its name, and with its text the first line of at most 200 characters, without users,
 * passwords and queries of URLs.
 * @param {unknown} error @param {boolean} hasText
 */
export function messageOfError(error, hasText) {
  const name = error instanceof Error ? String(error.name) : "thrown value";
  const line = hasText ? reasonOf(error).trim().split("\n", 1)[0] : "";
  const text = line === "" ? name : `${name}: ${line.replace(users, "$1").replace(queries, "$1?…")}`;
  return text.length <= errorLengthMax ? text : `${text.slice(0, errorLengthMax - 1)}…`;
}
