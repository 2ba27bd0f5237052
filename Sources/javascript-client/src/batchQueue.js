// The batches of one execution, from freezing to the ledger's response.

import { makeBatch, withEvents } from "./batch.js";
import * as limits from "./limits.js";

/**
 * @typedef {import("./batch.js").Batch} Batch
 * @typedef {import("./reportBuffer.js").SentEvent} SentEvent
 */

/** Batches in the order in which they are sent; only the first one is ever in flight. */
export class BatchQueue {
  /** The maximum number of events in a batch: less than the limit once a server or proxy refused a larger batch. */
  sizeMax = limits.batchSizeMax;
  /** The last generation of the buffer whose reports are settled. */
  settledGeneration = 0;
  /** @type {Batch[]} */
  #batches = [];

  /** The batch in flight, or the next one. */
  get first() {
    return this.#batches.at(0);
  }

  get isEmpty() {
    return this.#batches.length === 0;
  }

  /** The number of events, without repeated starts. */
  get eventCount() {
    return this.#batches.reduce((count, { events, isHeartbeat }) => count + (isHeartbeat ? 0 : events.length), 0);
  }

  /** @param {Batch} batch */
  push(batch) {
    this.#batches.push(batch);
  }

  clear() {
    this.#batches = [];
  }

  /** Removes a repeated start that is next. */
  dropHeartbeat() {
    if (this.first?.isHeartbeat) this.#batches.shift();
  }

  /** Records that the outcome of the batch in flight is unknown. */
  outcomeIsUnknown() {
    if (this.first !== undefined) this.first.isResent = true;
  }

  /** Removes the batch in flight, which the ledger has recorded or refused. */
  settle() {
    const batch = this.#batches.shift();
    if (batch !== undefined && batch.completedGeneration > 0) this.settledGeneration = batch.completedGeneration;
  }

  /**
   * Replaces the events of all batches, none of which the ledger has recorded.
   * @param {(event: SentEvent, position: number, isInFlight: boolean) => SentEvent} change
   */
  replaceEvents(change) {
    this.#batches = this.#batches.map((batch, index) =>
      withEvents(batch, batch.events.map((event, position) => change(event, position, index === 0))));
  }

  /** Limits later batches to half of the one in flight. */
  limitSize() {
    const half = Math.floor((this.first?.events.length ?? 0) / 2);
    if (half > 0) this.sizeMax = Math.min(this.sizeMax, half);
  }

  /**
   * Divides the batch in flight in halves; returns whether it has more than one event. The halves keep their report
   * numbers: if the whole was recorded after all, they change nothing.
   */
  divide() {
    if (this.first === undefined || this.first.events.length < 2) return false;
    const { events, completedGeneration } = this.first;
    const middle = Math.floor(events.length / 2);
    this.#batches.splice(
      0, 1, makeBatch(events.slice(0, middle), { isResent: true }),
      makeBatch(events.slice(middle), { completedGeneration, isResent: true }));
    return true;
  }

  /**
   * Removes the events at these positions from the batch in flight; returns the number of lost events.
   * @param {number[]} positions
   */
  drop(positions) {
    if (this.first === undefined) return 0;
    const { events, isHeartbeat } = this.first;
    const kept = events.filter((_, position) => !positions.includes(position));
    if (kept.length === 0) this.settle();
    else this.#batches[0] = withEvents(this.first, kept);
    return isHeartbeat ? 0 : positions.length;
  }
}
