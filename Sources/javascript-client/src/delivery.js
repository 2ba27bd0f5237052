// The decisions of the sender of one execution. No clock, no network: callers pass the time, in milliseconds, and the
// result of each request, so that every rule can be tested without waiting.
//
// Batches make the numbers exact. Increments taken from the buffer are numbered and frozen, and a batch is sent again
// with the same numbers and the same content until the ledger has responded. It does not matter whether an earlier try
// was recorded, because the ledger ignores a number that it has seen. New increments are collected in the buffer and
// never join a batch that may already have arrived.

import { isDiscarded, makeBatch } from "./batch.js";
import { BatchQueue } from "./batchQueue.js";
import { Counts } from "./counts.js";
import { ProblemError } from "./errors.js";
import { JobState } from "./jobState.js";
import * as limits from "./limits.js";
import { OptionalFields, refusedOptionalFields } from "./optionalFields.js";
import { Pause } from "./pause.js";
import { ReportBuffer } from "./reportBuffer.js";
import { incrementsProblem } from "./values.js";

/**
 * @typedef {import("./batch.js").Batch} Batch
 * @typedef {import("./reportBuffer.js").Identity} Identity
 * @typedef {import("./reportBuffer.js").Remarks} Remarks
 * @typedef {"succeeded" | "failed" | "canceled"} Outcome
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
   * The error of the last request; null if it succeeded.
   * @type {unknown}
   */
  lastError = null;
  counts = new Counts();
  job = new JobState();
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
  #batches = new BatchQueue();
  #dueAt = 0;
  #checkAt = 0;
  #heartbeatAt = 0;
  // The number of times that the buffer was emptied, and the last of these that a flush waits for.
  #generation = 0;
  #flushGeneration = 0;
  #pause = new Pause();
  #drainUntil = 0;
  /** @type {{outcome: Outcome, remarks: Remarks | null} | null} */
  #end = null;
  #optionalFields;

  /**
   * @param {Identity} identity
   * @param {{interval?: number, checkInterval?: number, attachedAt?: number, random?: () => number}} options With
   *   `attachedAt`, the time of now, the execution is one that runs elsewhere: it is neither started nor ended.
   */
  constructor(identity, {
    interval = limits.intervalDefault, checkInterval = limits.checkIntervalDefault, attachedAt, random = Math.random,
  } = {}) {
    this.#optionalFields = new OptionalFields(random);
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
    if (now < this.#pause.end) return this.#wait([this.#pause.end]);
    if (this.start === "pending") return { kind: "start" };
    if (this.isEnded) this.#batches.dropHeartbeat();
    const isCheck = !this.isSuperseded && now >= this.#checkAt;
    this.#sealBatch(now);
    // A check that is due is part of the next batch, if there is one within the interval.
    if (this.#batches.first !== undefined) return { kind: "send", batch: this.#batches.first, isCheck };
    if (this.isEnded) return { kind: "stop" };
    if (this.buffer.count > 0) return this.#wait([this.#dueAt]);
    // The process that started an execution shows that it lives, as long as there is something to live for.
    const repeatsStart = !this.isSuperseded && this.jobEnded === null && !this.#isAttached;
    if (repeatsStart && now >= this.#heartbeatAt) {
      const heartbeat = makeBatch([this.buffer.event("execution_started")], { isHeartbeat: true });
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
    if (!this.#batches.isEmpty || (this.buffer.count === 0 && !isFinishing)) return;
    if (!this.isEnded && this.#flushGeneration <= this.#generation && now < this.#dueAt) return;
    const events = this.buffer.take(this.#batches.sizeMax).map((event) => this.#optionalFields.stripped(event));
    let completedGeneration = 0;
    if (this.buffer.count === 0) {
      this.#generation += 1;
      completedGeneration = this.#generation;
    }
    if (isFinishing && this.buffer.count === 0 && (this.#isAttached || events.length < this.#batches.sizeMax)) {
      this.isFinishQueued = true;
      const finish = this.#finishEvent();
      if (finish !== null) events.push(finish);
    }
    if (events.length > 0) this.#batches.push(makeBatch(events, { completedGeneration }));
    else this.#batches.settledGeneration = this.#generation;
  }

  /** The event that ends the execution; null if it runs elsewhere. */
  #finishEvent() {
    if (this.#isAttached || this.#end === null) return null;
    const event = { ...this.buffer.event("execution_finished"), outcome: this.#end.outcome, ...this.#end.remarks };
    return this.#optionalFields.stripped(event);
  }

  /**
   * Adds increments, and returns the problem of a refused call.
   *
   * Unless the clock is needed, it is not read: `now` is a function.
   * @param {string} label @param {import("./values.js").Increments} increments @param {Remarks | null} remarks @param {() => number} now
   * @returns {{field: string, problem: string} | null}
   */
  report(label, increments, remarks, now) {
    if (this.isEnded) return this.#refuse("report", "comes after the end of the execution");
    const total = "total" in increments ? increments.total : 0;
    const done = "done" in increments ? increments.done : 0;
    const { carried = 0, isPosition = false } = increments;
    const invalid = incrementsProblem(total, done, carried);
    if (invalid !== null) return this.#refuse(invalid.field, invalid.problem);
    const indicator = this.buffer.indicator(label);
    if (typeof indicator === "string") return this.#refuse("label", indicator);
    this.counts.taken += 1;
    if (this.isAbandoned) {
      this.counts.dropped += 1;
      return null;
    }
    const wasEmpty = this.buffer.count === 0;
    if (isPosition) this.buffer.moveTo(indicator, Number(total), Number(done), remarks);
    else this.buffer.add(indicator, Number(total), Number(done), Number(carried), remarks);
    if (wasEmpty) this.#dueAt = now() + this.#interval;
    return null;
  }

  /**
   * Counts a refused call.
   * @param {string} field @param {string} problem
   */
  #refuse(field, problem) {
    this.counts.refuse();
    return { field, problem };
  }

  /** The optional fields that the ledger does not know, for the log. */
  get unknownFields() {
    return this.#optionalFields.unknown;
  }

  /** The number of events that the ledger has not recorded yet. */
  get pending() {
    if (this.isAbandoned) return 0;
    let count = this.buffer.count + this.#batches.eventCount;
    if (this.start !== "recorded" && !this.#isAttached) count += 1;
    if (this.isEnded && !this.isFinishQueued && !this.#isAttached) count += 1;
    return count;
  }

  /** Makes all reports due now; returns the generation to wait for. */
  flush() {
    const target = this.#generation + (this.buffer.count > 0 ? 1 : 0);
    this.#flushGeneration = Math.max(this.#flushGeneration, target);
    return target;
  }

  /** Ends the client's own pause after a failure. */
  skipPause() {
    this.#pause.skip();
  }

  /**
   * Whether everything up to a generation is settled.
   * @param {number} target
   */
  isDelivered(target) {
    return this.start !== "pending" && this.#batches.settledGeneration >= target;
  }

  /** Whether the end of the execution is settled. */
  get isFinishSettled() {
    return this.isFinishQueued && this.#batches.isEmpty;
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
    this.#batches.clear();
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
    if (error instanceof ProblemError) this.job.hasState(error.problem.jobState);
  }

  /** The state in which the job has ended; null while it is running. */
  get jobEnded() {
    return this.job.ended;
  }

  /**
   * The end of the job that the task must be told of; null if there is none. None is returned after the end of the
   * execution: nothing is left to stop then.
   */
  takeJobEnd() {
    const ended = this.job.takeEnd();
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
    this.#pause.clear();
  }

  /**
   * Schedules the next try of a request whose outcome is unknown.
   * @param {unknown} error @param {number} now @param {number} retryAfter @param {number} random From 0 to 1.
   */
  requestFailed(error, now, retryAfter, random) {
    this.#countFailure(error);
    this.#batches.outcomeIsUnknown();
    this.#pause.begin(now, retryAfter, random);
  }

  /**
   * Records that the ledger has recorded the batch in flight.
   * @param {unknown} verdicts Null if they were not requested or are not known. @param {number} now @param {boolean}
   *   isCheck
   * @returns {{isSuperseded: boolean, collision: string | null}}
   */
  accepted(verdicts, now, isCheck) {
    this.#requestSucceeded();
    this.#isKnown = true;
    const batch = this.#batches.first;
    if (batch !== undefined && !batch.isHeartbeat) this.counts.delivered += batch.events.length;
    this.#optionalFields.recorded(batch?.events ?? []);
    this.#batches.settle();
    this.#heartbeatAt = now + limits.heartbeatInterval;
    const known = Array.isArray(verdicts) && batch !== undefined ? verdicts.slice(0, batch.events.length) : [];
    const discarding = batch === undefined || batch.isHeartbeat ? [] : known.filter((verdict) => isDiscarded(verdict, batch));
    this.counts.discard(discarding.length);
    // Even if the projection was too slow for verdicts: to wait for it each time would delay every report.
    if (isCheck) this.#checkAt = now + this.#checkInterval;
    return { isSuperseded: known.includes("superseded"), collision: discarding.at(-1) ?? null };
  }

  /**
   * Records that the ledger has refused the batch in flight for good; returns the number of lost events.
   *
   * A message, a link or another optional field that it names is left out; if the ledger does not know the field, later
   * events are sent without it too. Other events that it names are dropped, because they would block the others. If it
   * names none, the batch is divided to find them. If the job does not exist, or was retired, everything is given up.
   * @param {unknown} error
   */
  rejected(error) {
    const problem = error instanceof ProblemError ? error.problem : null;
    const batch = this.#batches.first;
    if (batch === undefined || problem?.status === 404 || problem?.status === 410) {
      this.#requestWasFinal(error);
      return batch === undefined ? 0 : this.abandon();
    }
    const { events } = batch;
    const refused = problem?.refusedFields(events.length) ?? new Map();
    const optional = refusedOptionalFields(refused, events);
    if (optional.size > 0) {
      this.#strip(optional, events);
      this.#requestWasFinal(error);
      return 0;
    }
    return refused.size === 0 ? this.#divide(error) : this.#drop(error, [...refused.keys()]);
  }

  /**
   * Whether the part of a batch was refused that an earlier request may have recorded. During an upgrade, servers of
   * both versions respond at one address. With another number the reports would count twice, so the batch is repeated
   * until a newer server responds.
   * @param {unknown} error
   */
  isPartUncertain(error) {
    const batch = this.#batches.first;
    if (!batch?.isResent || !(error instanceof ProblemError)) return false;
    const refused = refusedOptionalFields(error.problem.refusedFields(batch.events.length), batch.events);
    return [...refused.values()].some((fields) => fields.has("part"));
  }

  /**
   * Removes refused optional fields from the batches: the units of an event must not be lost because of its message.
   * @param {Map<number, Set<string>>} refused @param {import("./reportBuffer.js").SentEvent[]} events Those in flight.
   */
  #strip(refused, events) {
    const unknown = this.#optionalFields.refused(refused, events);
    for (const fields of refused.values()) {
      // Without its part, a report has another number, and nothing is lost.
      for (const field of fields) if (field !== "part" && !unknown.has(field)) this.counts.dropNote();
    }
    this.#batches.replaceEvents((event, position, isInFlight) => {
      const invalid = isInFlight ? refused.get(position) ?? [] : [];
      return this.#optionalFields.without(event, new Set([...unknown, ...invalid]));
    });
  }

  /**
   * Records that the ledger does not know the link of a start.
   * @param {unknown} error
   */
  startLinkWasRefused(error) {
    this.#requestWasFinal(error);
    this.#optionalFields.exclude(["link"]);
  }

  /**
   * Divides the batch in flight, which is too large, and limits later ones; returns the number of lost events.
   * @param {unknown} error
   */
  tooLarge(error) {
    if (this.#batches.isEmpty) {
      this.#requestWasFinal(error);
      return 0;
    }
    this.#batches.limitSize();
    return this.#divide(error);
  }

  /**
   * Sends the batch in flight in halves, or drops it if it has one event.
   * @param {unknown} error
   */
  #divide(error) {
    if (!this.#batches.divide()) return this.#drop(error, [0]);
    this.#requestWasFinal(error);
    return 0;
  }

  /**
   * Removes the events at these positions from the batch in flight; returns the number of lost events.
   * @param {unknown} error @param {number[]} positions
   */
  #drop(error, positions) {
    this.#requestWasFinal(error);
    const lost = this.#batches.drop(positions);
    this.counts.dropped += lost;
    return lost;
  }

  /**
   * Records a failure that ends an outage: the ledger has responded.
   * @param {unknown} error
   */
  #requestWasFinal(error) {
    this.#countFailure(error);
    this.#pause.clear();
  }
}
