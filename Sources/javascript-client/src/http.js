// The meaning of responses.

import { Problem, UnavailableError } from "./errors.js";
import { parse } from "./json.js";
import { retryAfterMax } from "./limits.js";

/**
 * A request that can be sent any number of times.
 * @typedef {object} Request
 * @property {"GET" | "POST"} method
 * @property {string} path Begins with a slash, is escaped, and includes the query.
 * @property {Record<string, string>} [headers]
 * @property {string} [body] JSON.
 * @property {number} [wait] The limit of one try, in milliseconds.
 * @property {boolean} [isLagFinal] Whether a 504 is final: the ledger has waited as long as it ever does.
 */

/**
 * A complete response.
 * @typedef {object} Response
 * @property {number} status
 * @property {(name: string) => string | null} header Takes a name in lower case.
 * @property {string} body
 * @property {number} receivedAt The time of the monotonic clock at which its header arrived.
 */

/**
 * The meaning of a response, or of its absence.
 *
 * - `accepted`: the ledger has done it.
 * - `retryable`: the ledger may or may not have done it; send the same request again.
 * - `oversized`: the ledger has not done it, because the request is too large.
 * - `rejected`: the ledger has not done it, and never will.
 * @typedef {object} Disposition
 * @property {"accepted" | "retryable" | "oversized" | "rejected"} kind
 * @property {any} [content] The parsed body of an accepted request.
 * @property {unknown} [error]
 */

/**
 * The disposition of a request.
 *
 * Only the ledger itself refuses for good, with problem details. The response of a proxy, such as a 404 during a
 * deployment, is temporary. A refused token is temporary as well: the operator may correct it.
 * @param {Response} response
 * @returns {Disposition}
 */
export function classify(response) {
  const { status } = response;
  if (status >= 200 && status < 300) {
    if (!isType(response, "application/json")) {
      return { kind: "retryable", error: new UnavailableError(`the response with status ${status} is not from a ledger`) };
    }
    try {
      return { kind: "accepted", content: parse(response.body) };
    } catch (error) {
      return { kind: "retryable", error: new UnavailableError("the response is not valid JSON", { cause: error }) };
    }
  }
  const isProblem = isType(response, "application/problem+json");
  const error = problemOf(response, isProblem).toError();
  if (status === 413) return { kind: "oversized", error };
  const isTemporary = status === 401 || status === 403 || status === 408 || status === 429;
  if (status >= 400 && status < 500 && isProblem && !isTemporary) return { kind: "rejected", error };
  return { kind: "retryable", error };
}

/** @param {Response} response @param {boolean} isProblem */
function problemOf(response, isProblem) {
  if (!isProblem) return new Problem(response.status);
  try {
    return new Problem(response.status, parse(response.body));
  } catch {
    return new Problem(response.status, { detail: "its details cannot be read" });
  }
}

/** @param {Pick<Response, "header">} response @param {string} type */
export function isType(response, type) {
  return (response.header("content-type") ?? "").split(";")[0].trim().toLowerCase() === type;
}

/**
 * The milliseconds that a response asks to wait, five minutes at most. A date is ignored, because both clocks would
 * have to be right.
 * @param {Pick<Response, "header"> | null} response
 */
export function retryAfter(response) {
  const text = response?.header("retry-after") ?? "";
  return /^\d{1,9}$/.test(text) ? Math.min(Number(text) * 1000, retryAfterMax) : 0;
}

/**
 * Whether the token was refused.
 * @param {Response | null} response
 */
export function isUnauthorized(response) {
  return response !== null && (response.status === 401 || response.status === 403);
}

/**
 * The path of a job's resource.
 * @param {string} job @param {string} rest
 */
export function jobPath(job, rest) {
  return `/v1/jobs/${encodeURIComponent(job)}${rest}`;
}

/**
 * A path with a query. Undefined and null values are left out.
 * @param {string} path @param {Record<string, unknown>} query
 */
export function withQuery(path, query) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text === "" ? path : `${path}?${text}`;
}
