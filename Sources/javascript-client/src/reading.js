// Reads that include what the same client has written.

import { AbortedError, InvalidValueError, ProblemError } from "./errors.js";
import { list, record } from "./fields.js";
import { jobPath, withQuery } from "./http.js";
import { callRetryMax, pageSize } from "./limits.js";
import { Snapshot } from "./model.js";

/** @typedef {import("./client.js").Client} Client */

/**
 * A snapshot that contains all earlier events of this client.
 *
 * The ledger waits for its projection for 5 s at most. If that does not suffice, or if the ledger was restored to a
 * state without these events, it is the current snapshot.
 * @param {Client} client @param {string} job @param {Record<string, unknown>} query @param {AbortSignal} [signal]
 */
export async function readSnapshot(client, job, query, signal) {
  const connection = client.reading;
  if (job === "") throw new InvalidValueError("job", "is silent: it has no id");
  const read = async (/** @type {Record<string, unknown>} */ parameters, /** @type {boolean} */ isLagFinal) => {
    const path = withQuery(jobPath(job, "/progress"), parameters);
    const { content, response } = await connection.call({ method: "GET", path, isLagFinal }, signal);
    return new Snapshot(content, response.receivedAt, client.platform.now);
  };
  // A moment of the past needs no wait, or has its own.
  const isPast = "at_sequence" in query || "min_sequence" in query || "at" in query;
  const written = isPast ? 0 : client.ownWrites.last(job);
  if (written > 0) {
    try {
      const snapshot = await read({ ...query, min_sequence: written }, true);
      client.ownWrites.saw(job, snapshot.sequence);
      return snapshot;
    } catch (error) {
      if (!(error instanceof ProblemError) || (error.problem.status !== 504 && error.problem.status !== 422)) throw error;
    }
  }
  const snapshot = await read(query, false);
  if (snapshot.ledgerSequence < written) client.ownWrites.forget(job);
  if (!isPast) client.ownWrites.saw(job, snapshot.sequence);
  return snapshot;
}

/**
 * Waits until the projection contains this client's events, for routes without `min_sequence`. The read that follows
 * meets all other problems too.
 * @param {Client} client @param {string} job @param {AbortSignal} [signal]
 */
export async function catchUp(client, job, signal) {
  if (client.isSilent || client.ownWrites.isFolded(job)) return;
  try {
    await readSnapshot(client, job, {}, signal);
  } catch (error) {
    if (error instanceof AbortedError) throw error;
  }
}

/**
 * Waits for the projection of all jobs of this client, for 10 s at most.
 * @param {Client} client @param {AbortSignal} [signal]
 */
export async function catchUpAll(client, signal) {
  const until = client.platform.now() + callRetryMax;
  for (const job of client.ownWrites.unfolded()) {
    if (client.platform.now() >= until) return;
    await catchUp(client, job, signal);
  }
}

/**
 * The pages of a list.
 * @param {Client} client @param {string} path @param {string} name The field of the items.
 * @param {string} next The field of the next page's cursor. @param {string} parameter The query's name of it.
 * @param {AbortSignal} [signal] @param {number} [start] The cursor of the first page.
 * @returns {AsyncGenerator<{items: any[], receivedAt: number}, void, undefined>}
 */
export async function* pages(client, path, name, next, parameter, signal, start) {
  const separator = path.includes("?") ? "&" : "?";
  let cursor = start === undefined ? "" : String(start);
  for (;;) {
    const page = `${path}${separator}limit=${pageSize}${cursor === "" ? "" : `&${parameter}=${encodeURIComponent(cursor)}`}`;
    const { content, response } = await client.reading.call({ method: "GET", path: page }, signal);
    const fields = record(content);
    yield { items: list(fields[name]), receivedAt: response.receivedAt };
    const following = fields[next] === undefined || fields[next] === null ? "" : String(fields[next]);
    if (following === "" || following === cursor) return;
    cursor = following;
  }
}
