// The answers of the ledger as objects.
//
// Units are bigints, because their sums are exact at any size. Everything else that counts is a number. Times are
// `Date`s of the ledger's clock. What does not apply is null.

import { Estimate } from "./estimate.js";
import { count, list, quantiles, real, record, tags, text, time, units, unusable } from "./fields.js";

/** @typedef {"running" | "completed" | "failed" | "canceled"} JobState */

/** Units of work. */
export class Units {
  /** @param {unknown} content */
  constructor(content) {
    const fields = record(content ?? {});
    this.total = units(fields.total);
    this.done = units(fields.done);
  }
}

/** A part of a job's progress: a pair of done and total units, identified by its label. */
export class Indicator {
  /** @param {unknown} content */
  constructor(content) {
    const fields = record(content);
    /** Null for the default indicator. */
    this.label = text(fields.label);
    /** The counted units. `done` may exceed `total`, which may be 0. */
    this.done = units(fields.done);
    this.total = units(fields.total);
    /** Rounded down, may exceed 100; null while `total` is 0. */
    this.percent = real(fields.percent);
    /** The units of all executions, also of superseded ones. */
    this.attemptedDone = units(fields.attempted_done);
    this.attemptedTotal = units(fields.attempted_total);
    /** The units of superseded executions, which had to be done again. */
    this.wastedDone = units(fields.wasted_done);
    this.wastedTotal = units(fields.wasted_total);
    /** The units that a resumed execution did not do itself. */
    this.carriedDone = units(fields.carried_done);
    /** What is counted, such as `bytes`; null if no report says it. */
    this.unit = text(fields.unit);
    /** The newest message. */
    this.message = text(fields.message);
    this.updatedAt = time(fields.updated_at);
    /** The time of its last advance, if that is longer ago than plausible. */
    this.stalledSince = time(fields.stalled_since);
    /** The recent number of units per second; null before anything is done, and after the job has ended. */
    this.rate = real(fields.rate);
    this.remainingSeconds = real(fields.remaining_seconds);
  }

  toString() {
    return `${this.label ?? "(default)"}: ${this.done}/${this.total}`;
  }
}

/** The numbers of a job's tasks by state, and of their executions. */
export class TaskCounts {
  /** @param {unknown} content */
  constructor(content) {
    const fields = record(content ?? {});
    this.total = count(fields.total);
    this.running = count(fields.running);
    this.succeeded = count(fields.succeeded);
    this.failed = count(fields.failed);
    this.canceled = count(fields.canceled);
    /** Tasks without an outcome in a job that has ended. */
    this.abandoned = count(fields.abandoned);
    this.executions = count(fields.executions);
    this.supersededExecutions = count(fields.superseded_executions);
    /** Running executions that have sent nothing for longer than plausible: their workers may be lost. */
    this.silent = count(fields.silent);
  }
}

/** The state of a job at one sequence. */
export class Snapshot {
  #receivedAt;
  #monotonic;

  /**
   * @param {unknown} content @param {number} [receivedAt] The time of the monotonic clock at which it arrived.
   * @param {() => number} [monotonic] That clock; without it, ages do not grow.
   */
  constructor(content, receivedAt = 0, monotonic = () => receivedAt) {
    const fields = record(content);
    this.#receivedAt = receivedAt;
    this.#monotonic = monotonic;
    const job = text(fields.job);
    const state = text(fields.state);
    if (job === null || state === null || !Number.isSafeInteger(fields.sequence)) {
      throw unusable("the job, its state or its sequence");
    }
    /** The id of the job. */
    this.job = job;
    this.name = text(fields.name) ?? "";
    this.key = text(fields.key);
    this.tags = tags(fields.tags);
    this.state = /** @type {JobState} */ (state);
    /** The percentage of the whole job, rounded down; null if it is unknown. */
    this.percent = real(fields.percent);
    /** The last event in the snapshot. */
    this.sequence = /** @type {number} */ (fields.sequence);
    /** The last event in the ledger; the difference is the lag. */
    this.ledgerSequence = count(fields.ledger_sequence);
    this.createdAt = time(fields.created_at);
    this.startedAt = time(fields.started_at);
    this.updatedAt = time(fields.updated_at);
    this.finishedAt = time(fields.finished_at);
    /** The ledger's clock at the time of the response; `since` computes ages from it. */
    this.now = time(fields.now);
    /** The time of the last event, if all tasks have ended and the job has not. */
    this.idleSince = time(fields.idle_since);
    /** The time of the last advance, if that is longer ago than plausible. */
    this.stalledSince = time(fields.stalled_since);
    /** The newest message. */
    this.message = text(fields.message);
    this.tasks = new TaskCounts(fields.tasks);
    this.estimate = Estimate.read(fields.estimate);
    /** The indicators, in the order in which events first named them. */
    this.progress = list(fields.progress).map((entry) => new Indicator(entry));
  }

  /** Whether the job has ended. */
  get isFinished() {
    return this.state !== "running";
  }

  /**
   * The indicator with this label; undefined if no counted event names it.
   * @param {string | null} [label] Without one, the default indicator.
   */
  indicator(label) {
    return this.progress.find((indicator) => (indicator.label ?? "") === (label ?? ""));
  }

  /**
   * The ledger's clock now, whatever the local clock shows; null without `now`. Takes the monotonic clock, in
   * milliseconds.
   * @param {number} [clock]
   * @returns {Date | null}
   */
  clock(clock = this.#monotonic()) {
    if (this.now === null) return null;
    return new Date(this.now.getTime() + Math.max(0, clock - this.#receivedAt));
  }

  /**
   * The milliseconds since a time of the ledger's clock, such as `updatedAt`, whatever the local clock shows; null if
   * that is unknown.
   * @param {Date | null} moment
   */
  since(moment) {
    const clock = this.clock();
    return clock === null || moment === null ? null : Math.max(0, clock.getTime() - moment.getTime());
  }

  toString() {
    return [`${this.name}: ${this.state}`, ...this.progress.map(String)].join("  ");
  }
}

/** Another execution of a task. */
export class ExecutionReference {
  /** @param {unknown} content */
  constructor(content) {
    const fields = record(content);
    /** Its name; null if it has none. */
    this.execution = text(fields.execution);
    this.attempt = count(fields.attempt);
    /** Its first event. */
    this.sequence = count(fields.sequence);
  }
}

/** @param {unknown} content */
function reference(content) {
  return content === undefined || content === null ? null : new ExecutionReference(content);
}

/** One execution of a task, as recorded in the ledger. */
export class ExecutionRecord {
  /** @param {unknown} content */
  constructor(content) {
    const fields = record(content);
    this.execution = text(fields.execution);
    this.attempt = count(fields.attempt);
    /** Null while it is running. */
    this.outcome = text(fields.outcome);
    this.firstSequence = count(fields.first_sequence);
    this.lastSequence = count(fields.last_sequence);
    this.startedAt = time(fields.started_at);
    this.lastAt = time(fields.last_at);
    /** Whether it is the last execution of its task: the one that counts. */
    this.counted = fields.counted === true;
    /** Whether it failed and counts only until a newer execution starts. */
    this.provisional = fields.provisional === true;
    /** The token or subject that started it; null without authentication. */
    this.reporter = text(fields.reporter);
    /** The time of its last event, if that is longer ago than plausible. */
    this.silentSince = time(fields.silent_since);
    /** What it was doing, or why it ended. */
    this.message = text(fields.message);
    this.link = text(fields.link);
    /** Its reported units, by label. */
    this.progress = list(fields.progress).map((entry) => ({ label: text(record(entry).label), ...new Units(entry) }));
  }
}

/** A task with its executions. */
export class TaskRecord {
  /** @param {unknown} content */
  constructor(content) {
    const fields = record(content);
    this.task = text(fields.task) ?? "";
    /** The outcome of its last execution, `running`, or `abandoned` if the job has ended without one. */
    this.state = text(fields.state) ?? "";
    this.executions = list(fields.executions).map((entry) => new ExecutionRecord(entry));
  }
}

/** One entry of a job's history. What does not apply is null. */
export class LedgerEvent {
  /** @param {unknown} content */
  constructor(content) {
    const fields = record(content);
    this.sequence = count(fields.sequence);
    this.type = text(fields.type) ?? "";
    this.task = text(fields.task);
    this.execution = text(fields.execution);
    this.attempt = real(fields.attempt);
    /** The process of its own within the execution. */
    this.part = text(fields.part);
    this.report = real(fields.report);
    this.label = text(fields.label);
    /** The increments; null if absent, which means 0. */
    this.total = fields.total === undefined || fields.total === null ? null : units(fields.total);
    this.done = fields.done === undefined || fields.done === null ? null : units(fields.done);
    this.carried = fields.carried === undefined || fields.carried === null ? null : units(fields.carried);
    this.outcome = text(fields.outcome);
    this.message = text(fields.message);
    this.link = text(fields.link);
    this.unit = text(fields.unit);
    /** The token or subject that appended it; null without authentication. */
    this.reporter = text(fields.reporter);
    this.name = text(fields.name);
    this.key = text(fields.key);
    this.tags = fields.tags === undefined || fields.tags === null ? null : tags(fields.tags);
    /** The time by the reporter's clock. */
    this.at = time(fields.at);
    this.recordedAt = time(fields.recorded_at);
    /** The fields that are shown but not part of the event. */
    this.inferred = list(fields.inferred).filter((name) => typeof name === "string");
    /** Null until the projection has reached the event. */
    this.verdict = text(fields.verdict);
    /** Whether the execution was superseded before the event arrived. */
    this.late = fields.late === true;
    this.supersededBy = reference(fields.superseded_by);
    /** The event that it repeats. */
    this.duplicateOf = real(fields.duplicate_of);
    /** Its hash in the job's chain, in hexadecimal. */
    this.hash = text(fields.hash);
  }
}

/** The units of one execution in an indicator, by verdict. */
export class Contribution {
  /** @param {string} task @param {unknown} content */
  constructor(task, content) {
    const fields = record(content);
    this.task = task;
    this.execution = text(fields.execution);
    this.attempt = count(fields.attempt);
    this.counted = new Units(fields.counted);
    this.superseded = new Units(fields.superseded);
    this.discarded = new Units(fields.discarded);
    this.supersededBy = reference(fields.superseded_by);
  }
}

/** Where each unit of an indicator went. */
export class Explanation {
  /** @param {unknown} content */
  constructor(content) {
    const fields = record(content);
    this.label = text(fields.label);
    /** The last event included. */
    this.sequence = count(fields.sequence);
    /** @type {Contribution[]} */
    this.contributions = [];
    this.add(fields);
    const sums = record(fields.conservation ?? {});
    /** The sums of all: received = counted + superseded + discarded; attempted = counted + superseded. */
    this.conservation = {
      received: new Units(sums.received), counted: new Units(sums.counted), superseded: new Units(sums.superseded),
      discarded: new Units(sums.discarded), attempted: new Units(sums.attempted),
    };
  }

  /**
   * Adds the contributions of a page.
   * @param {Record<string, any>} page
   */
  add(page) {
    for (const task of list(page.tasks)) {
      const name = text(record(task).task) ?? "";
      for (const entry of list(task.executions)) this.contributions.push(new Contribution(name, entry));
    }
  }
}

/** An indicator at one event. */
export class HistoryPoint {
  /** @param {unknown} content */
  constructor(content) {
    const fields = record(content);
    this.sequence = count(fields.sequence);
    this.at = time(fields.at);
    this.total = units(fields.total);
    this.done = units(fields.done);
    const cause = fields.cause === undefined || fields.cause === null ? null : record(fields.cause);
    /** The newer execution that caused a decrease, the one that it superseded, and the lost units; null otherwise. */
    this.cause = cause === null ? null : {
      task: text(cause.task) ?? "", ...new ExecutionReference(cause), superseded: reference(cause.superseded),
      lost: new Units(cause.lost),
    };
  }
}

/** A short text about a job and the facts behind it. */
export class Answer {
  /** @param {unknown} content */
  constructor(content) {
    const fields = record(content);
    /** How far, when, is it true, what holds it up. Names that a job chose are in quotation marks. */
    this.text = text(fields.text) ?? "";
    this.state = text(fields.state) ?? "";
    this.percent = real(fields.percent);
    this.remainingSeconds = quantiles(fields.remaining_seconds, real);
    this.finishAt = quantiles(fields.finish_at, time);
    this.stalledSince = time(fields.stalled_since);
    this.failedTasks = count(fields.failed_tasks);
    const waiting = fields.waiting_for === undefined || fields.waiting_for === null ? null : record(fields.waiting_for);
    this.waitingFor = waiting === null ? null : {
      label: text(waiting.label), tasks: list(waiting.tasks).filter((task) => typeof task === "string"),
    };
    this.askAgainSeconds = count(fields.ask_again_seconds);
  }
}
