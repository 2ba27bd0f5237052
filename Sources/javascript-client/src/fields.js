// Reads the fields of a response. The server may not be a ledger.

import { UnavailableError } from "./errors.js";

/** @param {unknown} value @returns {Record<string, any>} */
export function record(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw unusable("an object");
  return /** @type {Record<string, any>} */ (value);
}

/** @param {unknown} value @returns {any[]} */
export function list(value) {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw unusable("a list");
  return value;
}

/** @param {string} expected */
export function unusable(expected) {
  return new UnavailableError(`the response is not from a ledger: it lacks ${expected}`);
}

/** @param {unknown} value @returns {string | null} */
export function text(value) {
  return typeof value === "string" ? value : null;
}

/** @param {unknown} value @returns {number | null} */
export function real(value) {
  if (typeof value === "bigint") return Number(value);
  return typeof value === "number" ? value : null;
}

/** @param {unknown} value @returns {number} */
export function count(value) {
  return real(value) ?? 0;
}

/** @param {unknown} value @returns {bigint} */
export function units(value) {
  if (value === undefined || value === null) return 0n;
  if (typeof value === "bigint") return value;
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  throw unusable("an integer");
}

/** @param {unknown} value @returns {Date | null} */
export function time(value) {
  if (typeof value !== "string") return null;
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? null : date;
}

/** @param {unknown} value @returns {Record<string, string>} */
export function tags(value) {
  const found = /** @type {Record<string, string>} */ (Object.create(null));
  for (const [name, tag] of Object.entries(typeof value === "object" && value !== null ? value : {})) {
    if (typeof tag === "string") found[name] = tag;
  }
  return found;
}

/**
 * @template T
 * @param {unknown} content @param {(value: unknown) => T | null} read
 * @returns {{p10: T, p50: T, p90: T} | null}
 */
export function quantiles(content, read) {
  if (typeof content !== "object" || content === null) return null;
  const fields = /** @type {Record<string, unknown>} */ (content);
  const [p10, p50, p90] = [read(fields.p10), read(fields.p50), read(fields.p90)];
  return p10 === null || p50 === null || p90 === null ? null : { p10, p50, p90 };
}
