// The unsent increments of one execution. No clock, no network.

import { incrementMax, labelLengthMax, labelsMax } from "./limits.js";
import { textProblem } from "./values.js";

/**
 * The name of an execution in its events.
 * @typedef {object} Identity
 * @property {string} task
 * @property {string} execution
 * @property {number} [attempt] Absent if the ledger assigns it.
 * @property {string} [part] The part of a process of its own within the execution.
 */

/**
 * An event as sent. An absent increment is 0; an absent label is the default indicator.
 * @typedef {object} SentEvent
 * @property {string} type
 * @property {string} task
 * @property {string} execution
 * @property {number} [attempt]
 * @property {string} [part]
 * @property {number} [report]
 * @property {string} [label]
 * @property {number} [total]
 * @property {number} [done]
 * @property {number} [carried]
 * @property {string} [outcome]
 * @property {string} [message]
 * @property {string} [link]
 * @property {string} [unit]
 */

/**
 * What a report can say besides its increments; checked values.
 * @typedef {object} Remarks
 * @property {string} [message]
 * @property {string} [link]
 * @property {string} [unit]
 */

/** A sum of increments: `full` times the largest increment, plus a rest. One event carries one increment. */
class Amount {
  full = 0;
  rest = 0;

  /** @param {number} n */
  add(n) {
    // The sum of two increments is beyond 2^53, so it is not computed.
    if (this.rest > incrementMax - n) {
      this.rest -= incrementMax - n;
      this.full += 1;
    } else {
      this.rest += n;
    }
  }

  /**
   * Removes and returns the units that one event can contain.
   * @param {number} max
   */
  take(max = incrementMax) {
    if (this.full === 0) {
      const n = Math.min(this.rest, max);
      this.rest -= n;
      return n;
    }
    this.full -= 1;
    this.add(incrementMax - max);
    return max;
  }

  get isZero() {
    return this.full === 0 && this.rest === 0;
  }
}

/** The unsent increments of one indicator. */
export class PendingIndicator {
  total = new Amount();
  done = new Amount();
  carried = new Amount();
  /**
   * The newest message and link that are not sent.
   * @type {Remarks | null}
   */
  remarks = null;
  /**
   * The first unit that was given. Others are ignored, as the ledger does.
   * @type {string | null}
   */
  unit = null;
  isUnitSent = false;
  /** Whether an event has named it. */
  isDeclared = false;
  /** Whether there is something to send, which may be just that the indicator exists. */
  isDirty = false;
  /** The sums of all reports, up to the largest increment; `setDone` and `setTotal` compare with them. */
  reportedDone = 0;
  reportedTotal = 0;

  /** @param {string} label */
  constructor(label) {
    this.label = label;
  }

  get isZero() {
    return this.total.isZero && this.done.isZero && this.carried.isZero;
  }
}

/**
 * Sums up the increments of one execution, and makes numbered events.
 *
 * It is bounded: increments of the same indicator are added up, and there are at most 1,000 indicators.
 */
export class ReportBuffer {
  /** @type {Map<string, PendingIndicator>} */
  #indicators = new Map();
  /**
   * The indicators with something to send, in the order of their first report: the ledger shows indicators in the order
   * in which events first name them.
   * @type {PendingIndicator[]}
   */
  #dirty = [];
  /** The last report number in use. */
  #report = 0;

  /** @param {Identity} identity */
  constructor(identity) {
    this.identity = identity;
  }

  /** The number of indicators with something to send. */
  get count() {
    return this.#dirty.length;
  }

  /**
   * The entry of a label, or the problem of the label.
   * @param {string} label Empty for the default indicator.
   * @returns {PendingIndicator | string}
   */
  indicator(label) {
    const known = this.#indicators.get(label);
    if (known !== undefined) return known;
    const problem = textProblem(label, 0, labelLengthMax);
    if (problem !== null) return problem;
    if (this.#indicators.size >= labelsMax) return `exceeds the limit of ${labelsMax} labels per execution`;
    const pending = new PendingIndicator(label);
    this.#indicators.set(label, pending);
    return pending;
  }

  /**
   * Adds increments, which were checked, to an indicator.
   * @param {PendingIndicator} pending @param {number} total @param {number} done @param {number} carried
   * @param {Remarks | null} remarks
   */
  add(pending, total, done, carried, remarks) {
    this.#add(pending, total, done, carried, remarks, true);
  }

  /**
   * Adds the differences to a position, which was checked. It never goes backwards: a lower one adds nothing, and one
   * that does not change has nothing to send.
   * @param {PendingIndicator} pending @param {number} total @param {number} done @param {Remarks | null} remarks
   */
  moveTo(pending, total, done, remarks) {
    const [moreTotal, moreDone] = [Math.max(0, total - pending.reportedTotal), Math.max(0, done - pending.reportedDone)];
    this.#add(pending, moreTotal, moreDone, 0, remarks, moreTotal > 0 || moreDone > 0 || !pending.isDeclared);
  }

  /**
   * @param {PendingIndicator} pending @param {number} total @param {number} done @param {number} carried
   * @param {Remarks | null} remarks @param {boolean} hasUnits Whether there is something to send without remarks.
   */
  #add(pending, total, done, carried, remarks, hasUnits) {
    if (total > 0) {
      pending.total.add(total);
      pending.reportedTotal = Math.min(incrementMax, pending.reportedTotal + total);
    }
    if (done > 0) {
      pending.done.add(done);
      pending.reportedDone = Math.min(incrementMax, pending.reportedDone + done);
    }
    if (carried > 0) pending.carried.add(carried);
    if (remarks !== null) {
      const { unit, ...others } = remarks;
      pending.unit ??= unit ?? null;
      if (Object.keys(others).length > 0) pending.remarks = { ...pending.remarks, ...others };
    }
    if ((hasUnits || pending.remarks !== null) && !pending.isDirty) {
      pending.isDirty = true;
      this.#dirty.push(pending);
    }
  }

  /**
   * Removes at most this number of events from the buffer and numbers them. The caller must send them until they are
   * settled: their numbers belong to this content for good.
   * @param {number} max
   * @returns {SentEvent[]}
   */
  take(max) {
    /** @type {SentEvent[]} */
    const events = [];
    let settled = 0;
    while (settled < this.#dirty.length && events.length < max) {
      const pending = this.#dirty[settled];
      this.#report += 1;
      const event = this.event("progress");
      event.report = this.#report;
      if (pending.label !== "") event.label = pending.label;
      const total = pending.total.take();
      const done = pending.done.take();
      // The units of `carried` are part of those of `done`.
      const carried = pending.carried.take(done);
      if (total > 0) event.total = total;
      if (done > 0) event.done = done;
      if (carried > 0) event.carried = carried;
      if (pending.unit !== null && !pending.isUnitSent) event.unit = pending.unit;
      if (pending.remarks !== null) Object.assign(event, pending.remarks);
      pending.isUnitSent = pending.unit !== null;
      pending.isDeclared = true;
      pending.remarks = null;
      events.push(event);
      if (pending.isZero) {
        pending.isDirty = false;
        settled += 1;
      }
    }
    this.#dirty.splice(0, settled);
    return events;
  }

  /** Drops everything unsent. */
  clear() {
    this.#dirty = [];
  }

  /**
   * An event of the execution.
   * @param {string} type
   * @returns {SentEvent}
   */
  event(type) {
    const { task, execution, attempt, part } = this.identity;
    return {
      type, task, execution,
      ...(attempt === undefined ? {} : { attempt }),
      // Only progress has parts.
      ...(part === undefined || type !== "progress" ? {} : { part }),
    };
  }
}
