// The decisions of the sender of one execution. No clock, no network: callers pass the time, in milliseconds, and the
// result of each request, so that every rule can be tested without waiting.
//
// Batches make the numbers exact. Increments taken from the buffer are numbered and frozen, and a batch is sent again
// with the same numbers and the same content until the ledger has responded. It does not matter whether an earlier try
// was recorded, because the ledger ignores a number that it has seen. New increments are collected in the buffer and
// never join a batch that may already have arrived.

import * as limits from "./limits.js";
import { ProblemError } from "./errors.js";
import { ReportBuffer } from "./reportBuffer.js";
import { incrementProblem } from "./values.js";

/**
 * @typedef {import("./reportBuffer.js").SentEvent} SentEvent
 * @typedef {import("./reportBuffer.js").Identity} Identity
 */
/**
 * @typedef {import("./reportBuffer.js").Remarks} Remarks
 * @typedef {"succeeded" | "failed" | "canceled"} Outcome
 */

/**
 * A frozen group of numbered events that one request carries.
 * @typedef {object} Batch
 * @property {SentEvent[]} events
 * @property {string} body
 * @property {number} completedGeneration The generation of the buffer that ends with this batch; 0 if it was not
 *   emptied.
 * @property {boolean} isResent Whether the batch, or one that contained its events, was sent before.
 * @property {boolean} isHeartbeat Whether it only repeats the start: nothing counts it, and no end waits for it.
 */

/**
 * The sender's next action: record the start, send the batch, check whether the execution is superseded, wait until
 * `until` (null: until something happens), or stop because everything is delivered or abandoned.
 * @typedef {object} Step
 * @property {"start" | "send" | "check" | "wait" | "stop"} kind
 * @property {Batch} [batch]
 * @property {boolean} [isCheck] Whether the batch requests the verdicts.
 * @property {number | null} [until]
 */

/**
 * The increments of one call; with `isPosition`, the sums that its indicator shall reach.
 * @typedef {{total?: unknown, done?: unknown, carried?: unknown, isPosition?: boolean}} Increments
 */

/** The fields without which an event is still worth recording. Older ledgers refuse those that they do not know. */
const optionalFields = ["message", "link", "unit", "part", "carried"];
/** Half of all numbers of reports. A process without a part of its own takes random ones above it. */
const upperHalf = 2 ** 52;

/**
 * The events of a batch with their text.
 * @param {SentEvent[]} events @param {number} completedGeneration @param {boolean} [isResent]
 * @returns {Batch}
 */
function makeBatch(events, completedGeneration, isResent = false) {
  return { events, body: JSON.stringify(events), completedGeneration, isResent, isHeartbeat: false };
}

/**
 * The pause after this number of consecutive failures. It doubles with each one; a random part of it, at least half,
 * is taken.
 * @param {number} failures @param {number} random From 0 to 1.
 */
export function backoff(failures, random) {
  const pause = Math.min(limits.pauseMax, limits.pauseMin * 2 ** (failures - 1));
  return pause * (0.5 + random / 2);
}

export class Delivery {
  /** False while an earlier execution of the same task is about to start: the ledger orders them by arrival. */
  isStartAllowed = false;
  /**
   * The state of the start. `pending`: not sent, or with unknown outcome; becomes `recorded` or `rejected`. `recorded`:
   * becomes `pending` if the ledger went back to a state without it. `rejected`: final; nothing else is sent.
   * @type {"pending" | "recorded" | "rejected"}
   */
  start = "pending";
  /** The sequence of the start; 0 if unknown. */
  startSequence = 0;
  isSuperseded = false;
  isEnded = false;
  /** Whether nothing more will be sent. */
  isAbandoned = false;
  isFinishQueued = false;
  /**
   * The state in which the job has ended; null while it is running.
   * @type {string | null}
   */
  jobEnded = null;
  /**
   * The error of the last request; null if it succeeded.
   * @type {unknown}
   */
  lastError = null;
  counts = { taken: 0, refused: 0, delivered: 0, discarded: 0, dropped: 0, failures: 0, requests: 0 };
  /**
   * The attempt, as far as it is known.
   * @type {number | null}
   */
  attempt;

  #interval;
  #checkInterval;
  #isAttached;
  /** Whether the ledger has recorded a batch. */
  #isKnown = false;
  /**
   * Frozen, the oldest first; only the first one is ever in flight.
   * @type {Batch[]}
   */
  #batches = [];
  /** Less than the limit once a server or proxy refused a larger batch. */
  #batchSizeMax = limits.batchSizeMax;
  #dueAt = 0;
  #checkAt = 0;
  #heartbeatAt = 0;
  // The number of times that the buffer was emptied, the last of these whose reports are settled, and the last that a
  // flush waits for.
  #generation = 0;
  #deliveredGeneration = 0;
  #flushGeneration = 0;
  #failures = 0;
  /** The end of the client's own pause after a failure. */
  #retryAt = 0;
  /** The end of the pause that the ledger requested. */
  #notBefore = 0;
  #drainUntil = 0;
  /** @type {{outcome: Outcome, remarks: Remarks | null} | null} */
  #end = null;
  /** The optional fields that the ledger has accepted, and those that it does not know. */
  #knownFields = new Set();
  #unknownFields = new Set();
  #droppedNotes = 0;
  #random;
  /**
   * The end of the job that the task must be told of.
   * @type {string | null}
   */
  #newJobEnd = null;

  /**
   * @param {Identity} identity
   * @param {{interval?: number, checkInterval?: number, attachedAt?: number, random?: () => number}} options With
   *   `attachedAt`, the time of now, the execution is one that runs elsewhere: it is neither started nor ended.
   */
  constructor(identity, {
    interval = limits.intervalDefault, checkInterval = limits.checkIntervalDefault, attachedAt, random = Math.random,
  } = {}) {
    this.#random = random;
    this.buffer = new ReportBuffer(identity);
    this.attempt = identity.attempt ?? null;
    this.#interval = interval;
    this.#checkInterval = checkInterval;
    this.#isAttached = attachedAt !== undefined;
    if (attachedAt !== undefined) {
      this.start = "recorded";
      this.isStartAllowed = true;
      this.#checkAt = attachedAt + checkInterval;
      this.#heartbeatAt = attachedAt + limits.heartbeatInterval;
    }
  }

  /**
   * The next action. It is asked for only while no request is in flight.
   * @param {number} now
   * @returns {Step}
   */
  next(now) {
    if (this.isAbandoned || this.start === "rejected" || (this.isEnded && now >= this.#drainUntil)) return { kind: "stop" };
    if (!this.isStartAllowed) return this.#wait([]);
    if (now < this.#notBefore || now < this.#retryAt) return this.#wait([Math.max(this.#notBefore, this.#retryAt)]);
    if (this.start === "pending") return { kind: "start" };
    if (this.isEnded && this.#batches[0]?.isHeartbeat) this.#batches.shift();
    const isCheck = !this.isSuperseded && now >= this.#checkAt;
    this.#sealBatch(now);
    // A check that is due is part of the next batch, if there is one within the interval.
    if (this.#batches.length > 0) return { kind: "send", batch: this.#batches[0], isCheck };
    if (this.isEnded) return { kind: "stop" };
    if (this.buffer.count > 0) return this.#wait([this.#dueAt]);
    // The process that started an execution shows that it lives, as long as there is something to live for.
    const repeatsStart = !this.isSuperseded && this.jobEnded === null && !this.#isAttached;
    if (repeatsStart && now >= this.#heartbeatAt) {
      const heartbeat = { ...makeBatch([this.buffer.event("execution_started")], 0), isHeartbeat: true };
      this.#batches.push(heartbeat);
      return { kind: "send", batch: heartbeat, isCheck };
    }
    const times = repeatsStart ? [this.#heartbeatAt] : [];
    // Without the sequence of the start only verdicts tell.
    if (this.isSuperseded || this.startSequence === 0) return this.#wait(times);
    return isCheck ? { kind: "check" } : this.#wait([this.#checkAt, ...times]);
  }

  /** Whether a report may be the first event of the execution, which must not reopen a canceled job. */
  get mayStart() {
    return this.#isAttached && !this.#isKnown;
  }

  /**
   * A wait until the first of these times. An ended execution waits at most until it gives up.
   * @param {number[]} times
   * @returns {Step}
   */
  #wait(times) {
    const all = this.isEnded ? [...times, this.#drainUntil] : times;
    return { kind: "wait", until: all.length > 0 ? Math.min(...all) : null };
  }

  /**
   * Freezes the contents of the buffer if they are due.
   * @param {number} now
   */
  #sealBatch(now) {
    const isFinishing = this.isEnded && !this.isFinishQueued;
    if (this.#batches.length > 0 || (this.buffer.count === 0 && !isFinishing)) return;
    if (!this.isEnded && this.#flushGeneration <= this.#generation && now < this.#dueAt) return;
    const events = this.buffer.take(this.#batchSizeMax).map((event) => this.#without(event, this.#unknownFields));
    let completedGeneration = 0;
    if (this.buffer.count === 0) {
      this.#generation += 1;
      completedGeneration = this.#generation;
    }
    if (isFinishing && this.buffer.count === 0 && (this.#isAttached || events.length < this.#batchSizeMax)) {
      this.isFinishQueued = true;
      const finish = this.#finishEvent();
      if (finish !== null) events.push(finish);
    }
    if (events.length > 0) this.#batches.push(makeBatch(events, completedGeneration));
    else this.#deliveredGeneration = this.#generation;
  }

  /** The event that ends the execution; null if it runs elsewhere. */
  #finishEvent() {
    if (this.#isAttached || this.#end === null) return null;
    const event = { ...this.buffer.event("execution_finished"), outcome: this.#end.outcome, ...this.#end.remarks };
    return this.#without(event, this.#unknownFields);
  }

  /**
   * Adds increments, and returns the problem of a refused call.
   *
   * Unless the clock is needed, it is not read: `now` is a function.
   * @param {string} label @param {Increments} increments @param {Remarks | null} remarks @param {() => number} now
   * @returns {{field: string, problem: string} | null}
   */
  report(label, increments, remarks, now) {
    const total = "total" in increments ? increments.total : 0;
    const done = "done" in increments ? increments.done : 0;
    const { carried = 0, isPosition = false } = increments;
    if (this.isEnded) return this.#refuse("report", "comes after the end of the execution");
    const problem = incrementProblem(total) ?? incrementProblem(done);
    if (problem !== null) return this.#refuse(total === 0 ? "done" : "total", problem);
    const carriedProblem = incrementProblem(carried);
    if (carriedProblem !== null) return this.#refuse("carried", carriedProblem);
    if (Number(carried) > Number(done)) return this.#refuse("carried", `is ${carried}; it must not exceed done`);
    const indicator = this.buffer.indicator(label);
    if (typeof indicator === "string") return this.#refuse("label", indicator);
    this.counts.taken += 1;
    if (this.isAbandoned) {
      this.counts.dropped += 1;
      return null;
    }
    // A position never goes backwards: a lower one adds nothing.
    const moreTotal = isPosition ? Math.max(0, Number(total) - indicator.reportedTotal) : Number(total);
    const moreDone = isPosition ? Math.max(0, Number(done) - indicator.reportedDone) : Number(done);
    const wasEmpty = this.buffer.count === 0;
    this.buffer.add(indicator, moreTotal, moreDone, Number(carried), remarks, isPosition);
    if (wasEmpty) this.#dueAt = now() + this.#interval;
    return null;
  }

  /**
   * Counts a refused call.
   * @param {string} field @param {string} problem
   */
  #refuse(field, problem) {
    this.refused();
    return { field, problem };
  }

  /** The optional fields that the ledger does not know, for the log. */
  get unknownFields() {
    return [...this.#unknownFields].join(", ");
  }

  /** Counts a call that was refused, and changed nothing. */
  refused() {
    this.counts.refused += 1;
    this.counts.dropped += 1;
  }

  /** The number of events that the ledger has not recorded yet. */
  get pending() {
    if (this.isAbandoned) return 0;
    let count = this.buffer.count;
    for (const batch of this.#batches) if (!batch.isHeartbeat) count += batch.events.length;
    if (this.start !== "recorded" && !this.#isAttached) count += 1;
    if (this.isEnded && !this.isFinishQueued && !this.#isAttached) count += 1;
    return count;
  }

  /** The number of lost events that the ledger has not recorded. */
  get lost() {
    return this.counts.dropped - this.counts.refused - this.counts.discarded - this.#droppedNotes;
  }

  /** Counts a message, a link or a unit that was left out, while its units count. */
  noteWasDropped() {
    this.counts.dropped += 1;
    this.#droppedNotes += 1;
  }

  /**
   * An event without some optional fields. Without a part of its own, a process must not use the numbers of another
   * one.
   * @param {SentEvent} event @param {Set<string>} fields
   * @returns {SentEvent}
   */
  #without(event, fields) {
    if (fields.size === 0) return event;
    const kept = Object.fromEntries(Object.entries(event).filter(([name]) => !fields.has(name)));
    if (event.part !== undefined && fields.has("part")) kept.report = upperHalf + Math.floor(this.#random() * (upperHalf - 1));
    return /** @type {SentEvent} */ (/** @type {unknown} */ (kept));
  }

  /** Makes all reports due now; returns the generation to wait for. */
  flush() {
    const target = this.#generation + (this.buffer.count > 0 ? 1 : 0);
    this.#flushGeneration = Math.max(this.#flushGeneration, target);
    return target;
  }

  /** Ends the client's own pause after a failure. */
  skipPause() {
    this.#retryAt = 0;
  }

  /**
   * Whether everything up to a generation is settled.
   * @param {number} target
   */
  isDelivered(target) {
    return this.start !== "pending" && this.#deliveredGeneration >= target;
  }

  /** Whether the end of the execution is settled. */
  get isFinishSettled() {
    return this.isFinishQueued && this.#batches.length === 0;
  }

  /**
   * Records that nothing more will be reported. One try follows at once, even during a pause.
   * @param {Outcome} outcome @param {number} now @param {Remarks | null} [remarks]
   */
  end(outcome, now, remarks = null) {
    this.isEnded = true;
    this.#end = { outcome, remarks };
    this.#drainUntil = now + limits.drainMax;
    this.skipPause();
    if (this.isAbandoned && !this.#isAttached) this.counts.dropped += 1;
  }

  /** Drops everything undelivered, counts it, and returns the count. */
  abandon() {
    if (this.isAbandoned) return 0;
    const count = this.pending;
    this.counts.dropped += count;
    this.isAbandoned = true;
    this.#batches = [];
    this.buffer.clear();
    return count;
  }

  // Results of requests

  /**
   * Records a successful start.
   * @param {number | null} attempt Null if the response does not contain it. @param {number} sequence @param {number}
   *   now
   */
  startWasRecorded(attempt, sequence, now) {
    this.#requestSucceeded();
    this.counts.delivered += 1;
    this.startSequence = sequence;
    this.start = "recorded";
    this.#checkAt = now + this.#checkInterval;
    this.#heartbeatAt = now + limits.heartbeatInterval;
    this.attempt = attempt ?? this.attempt;
  }

  /**
   * Schedules the start again, which the ledger has lost.
   * @param {number} now
   */
  startWasLost(now) {
    this.checked(now);
    this.start = "pending";
  }

  /**
   * Ends the delivery, because the ledger refused the start, or the first report to an execution of a canceled job.
   * @param {unknown} error
   */
  startWasRejected(error) {
    this.#countFailure(error);
    this.start = "rejected";
    if (error instanceof ProblemError) this.jobHasState(error.problem.jobState);
  }

  /**
   * Records the state of the job in a response; none changes nothing.
   * @param {unknown} state
   */
  jobHasState(state) {
    if (typeof state !== "string" || state === "") return;
    const ended = state === "running" ? null : state;
    if (ended !== this.jobEnded) this.#newJobEnd = ended;
    this.jobEnded = ended;
  }

  /**
   * The end of the job that the task must be told of; null if there is none. Each end is returned once, and none after
   * the end of the execution: nothing is left to stop then.
   */
  takeJobEnd() {
    const ended = this.#newJobEnd;
    this.#newJobEnd = null;
    return this.isEnded ? null : ended;
  }

  /**
   * Records a check for a newer execution.
   * @param {number} now
   */
  checked(now) {
    this.#requestSucceeded();
    this.#checkAt = now + this.#checkInterval;
  }

  /**
   * Records a check that the ledger refused; the next one follows after the usual interval.
   * @param {unknown} error @param {number} now
   */
  checkWasRejected(error, now) {
    this.#countFailure(error);
    this.#checkAt = now + this.#checkInterval;
  }

  /** @param {unknown} error */
  #countFailure(error) {
    this.counts.requests += 1;
    this.counts.failures += 1;
    this.lastError = error;
  }

  #requestSucceeded() {
    this.counts.requests += 1;
    this.lastError = null;
    this.#endOutage();
  }

  #endOutage() {
    this.#failures = 0;
    this.#retryAt = 0;
    this.#notBefore = 0;
  }

  /**
   * Schedules the next try. The random fraction keeps executions that failed together from returning together.
   * @param {unknown} error @param {number} now @param {number} retryAfter @param {number} random From 0 to 1.
   */
  requestFailed(error, now, retryAfter, random) {
    this.#countFailure(error);
    this.#failures += 1;
    if (this.#batches.length > 0) this.#batches[0].isResent = true;
    this.#retryAt = now + backoff(this.#failures, random);
    // Never earlier than the ledger asks for, and spread beyond it, because all executions are asked for the same.
    this.#notBefore = now + retryAfter * (1 + random * limits.retryAfterSpread);
  }

  /** Removes the batch in flight, which the ledger has recorded or refused. */
  #settle() {
    const batch = this.#batches.shift();
    if (batch !== undefined && batch.completedGeneration > 0) this.#deliveredGeneration = batch.completedGeneration;
  }

  /**
   * Records that the ledger has recorded the batch in flight.
   *
   * Reports of one sender never collide. A verdict that discards one means that another reporter uses the same
   * execution name. A duplicate is expected if the batch was sent before.
   * @param {unknown} verdicts Null if they were not requested or are not known. @param {number} now @param {boolean}
   *   isCheck
   * @returns {{isSuperseded: boolean, collision: string | null}}
   */
  accepted(verdicts, now, isCheck) {
    this.#requestSucceeded();
    this.#isKnown = true;
    const batch = this.#batches[0];
    if (batch !== undefined && !batch.isHeartbeat) this.counts.delivered += batch.events.length;
    for (const event of batch?.events ?? []) {
      for (const field of optionalFields) if (field in event) this.#knownFields.add(field);
    }
    this.#settle();
    this.#heartbeatAt = now + limits.heartbeatInterval;
    let isSuperseded = false;
    /** @type {string | null} */
    let collision = null;
    for (const verdict of Array.isArray(verdicts) && batch !== undefined ? verdicts.slice(0, batch.events.length) : []) {
      if (verdict === "superseded") isSuperseded = true;
      if (batch.isHeartbeat) continue;
      if (verdict === "conflict" || verdict === "over_limit" || (verdict === "duplicate" && !batch.isResent)) {
        this.counts.delivered -= 1;
        this.counts.discarded += 1;
        this.counts.dropped += 1;
        collision = verdict;
      }
    }
    // Even if the projection was too slow for verdicts: to wait for it each time would delay every report.
    if (isCheck) this.#checkAt = now + this.#checkInterval;
    return { isSuperseded, collision };
  }

  /**
   * Records that the ledger has refused the batch in flight for good; returns the number of lost events.
   *
   * A message, a link or another optional field that it names is left out; if the ledger has never accepted such a
   * field, it does not know it, and later events are sent without it too. Other events that it names are dropped,
   * because they would block the others. If it names none, the batch is divided to find them. If the job does not
   * exist, or was retired, everything is given up.
   * @param {unknown} error
   */
  rejected(error) {
    const problem = error instanceof ProblemError ? error.problem : null;
    if (this.#batches.length === 0 || problem?.status === 404 || problem?.status === 410) {
      this.#requestWasFinal(error);
      return this.#batches.length === 0 ? 0 : this.abandon();
    }
    const [batch] = this.#batches;
    const refused = [...(problem?.refusedFields(batch.events.length) ?? [])];
    const isRefused = (/** @type {string} */ field) => refused.some(([, fields]) => fields.has(field));
    const unknown = optionalFields.filter((field) => !this.#knownFields.has(field) && isRefused(field));
    if (unknown.length > 0) {
      for (const field of unknown) this.#unknownFields.add(field);
      this.#replace(batch.events.map((event) => this.#without(event, new Set(unknown))));
      this.#requestWasFinal(error);
      return 0;
    }
    const isNote = (/** @type {Set<string>} */ fields) =>
      [...fields].every((field) => optionalFields.includes(field) && field !== "part");
    const noted = new Map(refused.filter(([, fields]) => isNote(fields)));
    for (const _ of noted) this.noteWasDropped();
    if (noted.size > 0) {
      this.#replace(batch.events.map((event, position) => this.#without(event, noted.get(position) ?? new Set())));
    }
    const positions = refused.map(([position]) => position).filter((position) => !noted.has(position));
    return refused.length === 0 ? this.#divide(error) : this.#drop(error, positions);
  }

  /**
   * Replaces the events of the batch in flight, which the ledger has refused and not recorded.
   * @param {SentEvent[]} events
   */
  #replace(events) {
    const { completedGeneration, isResent, isHeartbeat } = this.#batches[0];
    this.#batches[0] = { ...makeBatch(events, completedGeneration, isResent), isHeartbeat };
  }

  /**
   * Records that the ledger does not know the link of a start.
   * @param {unknown} error
   */
  startLinkWasRefused(error) {
    this.#requestWasFinal(error);
    this.#unknownFields.add("link");
  }

  /**
   * Divides the batch in flight, which is too large, and limits later ones; returns the number of lost events.
   * @param {unknown} error
   */
  tooLarge(error) {
    if (this.#batches.length === 0) {
      this.#requestWasFinal(error);
      return 0;
    }
    const half = Math.floor(this.#batches[0].events.length / 2);
    if (half > 0) this.#batchSizeMax = Math.min(this.#batchSizeMax, half);
    return this.#divide(error);
  }

  /**
   * Sends the batch in flight in halves, or drops it if it has one event. The halves keep their report numbers: if the
   * whole was recorded after all, they change nothing.
   * @param {unknown} error
   */
  #divide(error) {
    const { events, completedGeneration } = this.#batches[0];
    if (events.length < 2) return this.#drop(error, [0]);
    this.#requestWasFinal(error);
    const middle = Math.floor(events.length / 2);
    this.#batches.splice(
      0, 1, makeBatch(events.slice(0, middle), 0, true), makeBatch(events.slice(middle), completedGeneration, true));
    return 0;
  }

  /**
   * Removes the events at these positions from the batch in flight; returns the number of lost events.
   * @param {unknown} error @param {number[]} positions
   */
  #drop(error, positions) {
    this.#requestWasFinal(error);
    const { events, completedGeneration, isResent, isHeartbeat } = this.#batches[0];
    const lost = isHeartbeat ? 0 : positions.length;
    this.counts.dropped += lost;
    const kept = events.filter((_, position) => !positions.includes(position));
    if (kept.length === 0) this.#settle();
    else this.#batches[0] = makeBatch(kept, completedGeneration, isResent);
    return lost;
  }

  /**
   * Records a failure that ends an outage: the ledger has responded.
   * @param {unknown} error
   */
  #requestWasFinal(error) {
    this.#countFailure(error);
    this.#endOutage();
  }
}
