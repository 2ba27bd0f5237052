// A frozen group of numbered events that one request carries.

/** @typedef {import("./reportBuffer.js").SentEvent} SentEvent */

/**
 * A batch. It is sent again with the same numbers and the same content until the ledger has responded.
 * @typedef {object} Batch
 * @property {SentEvent[]} events
 * @property {string} body
 * @property {number} completedGeneration The generation of the buffer that ends with this batch; 0 if it was not
 *   emptied.
 * @property {boolean} isResent Whether the ledger may have recorded the batch, or one that contained its events, because
 *   a response was lost.
 * @property {boolean} isHeartbeat Whether it only repeats the start: nothing counts it, and no end waits for it.
 */

/**
 * The events of a batch with their text.
 * @param {SentEvent[]} events
 * @param {{completedGeneration?: number, isResent?: boolean, isHeartbeat?: boolean}} properties
 * @returns {Batch}
 */
export function makeBatch(events, { completedGeneration = 0, isResent = false, isHeartbeat = false }) {
  return { events, body: JSON.stringify(events), completedGeneration, isResent, isHeartbeat };
}

/**
 * The batch with other events, which has the other properties of this one.
 * @param {Batch} batch @param {SentEvent[]} events
 */
export function withEvents(batch, events) {
  return makeBatch(events, batch);
}

/**
 * Whether a verdict discards an event of a batch. Reports of one sender never collide, so that another reporter uses the
 * same execution name. A duplicate is expected if the batch may have been recorded before.
 * @param {unknown} verdict @param {Batch} batch
 */
export function isDiscarded(verdict, batch) {
  return verdict === "conflict" || verdict === "over_limit" || (verdict === "duplicate" && !batch.isResent);
}
