// One execution of a task, and its indicators.

import { Delivery } from "./delivery.js";
import { JobEndedError, SupersededError } from "./errors.js";
import { flushWaitMax, labelLengthMax, lastWaitPart } from "./limits.js";
import { notes } from "./notes.js";
import { Sender } from "./sender.js";
import { kind, quoted, reasonOf, textProblem } from "./values.js";

/** @typedef {import("./delivery.js").Outcome} Outcome */
/** @typedef {import("./reportBuffer.js").Remarks} Remarks */

/**
 * What a report can say besides its number.
 * @typedef {object} ReportOptions
 * @property {unknown} [message] What is being done, as text or as an error; cut to 1,000 characters.
 * @property {string} [link] An http or https URL of at most 2,000 characters: where to look for more.
 * @property {number | bigint} [carried] The part of these units that an earlier execution had done already, at most
 *   `n`; only for `done`. See `skip`.
 */

/**
 * The counts of an execution. 0 `dropped` and 0 `pending` mean that the ledger has everything.
 * @typedef {object} Statistics
 * @property {number} taken Accepted calls of `add`, `done`, `skip`, `setDone`, `setTotal` and `message`.
 * @property {number} refused Refused calls, which changed nothing: an invalid value, or after the end.
 * @property {number} delivered Events that the ledger has recorded, the start and the end included, without discarded
 *   ones.
 * @property {number} discarded Recorded events that never count: another process uses the name of the execution.
 * @property {number} dropped Everything lost: `refused`, `discarded`, and events that were refused by the ledger or
 *   given up.
 * @property {number} pending Events that the ledger has not recorded yet.
 * @property {number} failures Failed requests.
 * @property {number} requests All requests.
 * @property {boolean} isStarted Whether the ledger has recorded the start.
 * @property {boolean} isSuperseded Whether a newer execution counts.
 * @property {string | null} jobEnded The state in which the job has ended; null while it is running.
 * @property {number | null} attempt The attempt; null until the ledger has assigned it.
 * @property {unknown} lastError The reason of the last failure; null after a success.
 */

/**
 * Names an execution for another process; see `Client.attach`.
 * @typedef {object} ExecutionHandle
 * @property {string} job
 * @property {string} task
 * @property {string} execution
 * @property {number} [attempt] Absent until the ledger has assigned it.
 * @property {string} [url] The address of the ledger, for clients that take it from the handle.
 */

/**
 * @typedef {object} ExecutionSettings
 * @property {(execution: Execution) => unknown} [onSuperseded]
 * @property {(state: string, execution: Execution) => unknown} [onJobEnded]
 * @property {boolean} [unlessCanceled]
 * @property {string} [link]
 * @property {string} [attemptSource]
 * @property {boolean} [isAttached]
 */

/**
 * A part of a job's progress, for reports: a pair of `done` and `total` units. Its methods return at once and never
 * throw.
 */
export class Progress {
  #execution;
  #label;
  /** @type {Remarks | null} */
  #remarks;

  /** @param {Execution} execution @param {unknown} label @param {Remarks | null} remarks */
  constructor(execution, label, remarks) {
    this.#execution = execution;
    this.#label = label;
    this.#remarks = remarks;
  }

  /**
   * Declares `n` more units of work, from 0 to 2^53 − 1. Zero declares the indicator.
   * @param {number | bigint} n @param {ReportOptions} [options]
   */
  add(n, options) {
    this.#execution.report(this.#label, { total: n }, this.#remarks, options);
  }

  /**
   * Reports `n` more units as done, from 0 to 2^53 − 1.
   * @param {number | bigint} [n] @param {ReportOptions} [options]
   */
  done(n = 1, options) {
    this.#execution.report(this.#label, { done: n }, this.#remarks, options);
  }

  /**
   * Reports `n` more units as done that need no work: an earlier execution did them, or they are cached. They are
   * done and `carried`: not wasted work, and not part of the rate.
   * @param {number | bigint} [n] @param {ReportOptions} [options]
   */
  skip(n = 1, options) {
    this.#execution.report(this.#label, { done: n, carried: n }, this.#remarks, options);
  }

  /**
   * Reports a position instead of an increment: sends the difference to what this execution has reported as done. A
   * lower position than before changes nothing.
   * @param {number | bigint} n @param {ReportOptions} [options]
   */
  setDone(n, options) {
    this.#execution.report(this.#label, { done: n, isPosition: true }, this.#remarks, options);
  }

  /**
   * Declares the total: sends the difference to what this execution has declared. A lower total than before changes
   * nothing.
   * @param {number | bigint} n @param {ReportOptions} [options]
   */
  setTotal(n, options) {
    this.#execution.report(this.#label, { total: n, isPosition: true }, this.#remarks, options);
  }

  /**
   * Reports what is being done, without units.
   * @param {unknown} message @param {{link?: string}} [options]
   */
  message(message, options) {
    this.#execution.report(this.#label, {}, this.#remarks, { ...options, message });
  }
}

/**
 * One attempt to carry out a task. `Job.execution` makes it.
 *
 * No method throws or rejects, and none waits for the ledger but `started`, `flush` and `finish`, each for a limited
 * time.
 */
export class Execution {
  #client;
  #job;
  #delivery;
  /**
   * Null if the execution is silent.
   * @type {Sender | null}
   */
  #sender = null;
  #settings;
  #controller = new AbortController();

  /**
   * @param {import("./client.js").Client} client @param {string} job Empty if the execution is silent.
   * @param {import("./reportBuffer.js").Identity} identity @param {ExecutionSettings} settings
   */
  constructor(client, job, identity, settings) {
    this.#client = client;
    this.#job = job;
    this.#settings = settings;
    this.#delivery = new Delivery(identity, {
      ...client.intervals, ...(settings.isAttached ? { attachedAt: client.platform.now() } : {}),
    });
  }

  /**
   * Begins to report. Not for callers: `Job.execution` does it.
   * @param {boolean} isSilent @param {boolean} isDropped Whether all reports are dropped and counted.
   */
  begin(isSilent, isDropped) {
    const noted = this.#notes(this.#settings, ["link"]);
    if (isDropped) this.#delivery.abandon();
    if (isSilent || isDropped) return;
    const start = { ...(this.#settings.unlessCanceled ?? true ? { unless_canceled: true } : {}), ...noted };
    this.#sender = new Sender(this.#client, this.#job, this.#delivery, start, this.#describe(), {
      superseded: () => {
        this.#controller.abort(new SupersededError());
        return this.#settings.onSuperseded?.(this);
      },
      jobEnded: (state) => {
        this.#controller.abort(new JobEndedError(state));
        return this.#settings.onJobEnded?.(state, this);
      },
    });
    const predecessor = this.#client.register(this.#sender, this.#delivery.buffer.identity.task);
    this.#sender.begin(predecessor);
  }

  #describe() {
    const { task, execution, attempt } = this.#delivery.buffer.identity;
    const source = this.#settings.attemptSource ? ` from ${this.#settings.attemptSource}` : "";
    return `execution ${execution} of task ${quoted(task)}${attempt === undefined ? "" : ` (attempt ${attempt}${source})`}`;
  }

  /** The name of the task. */
  get task() {
    return this.#delivery.buffer.identity.task;
  }

  /** The name of the execution in the ledger. */
  get name() {
    return this.#delivery.buffer.identity.execution;
  }

  /** Whether a newer execution of the task counts, so that this one should stop. The client notices within 10 s. */
  get superseded() {
    return this.#delivery.isSuperseded;
  }

  /**
   * The state in which the job has ended, for example `canceled`, so that the task should stop; null while it is
   * running. The client learns it from the responses to its reports.
   */
  get jobEnded() {
    return this.#delivery.jobEnded;
  }

  /** Aborted when a newer execution counts, or when the job has ended: pass it to what should stop then. */
  get signal() {
    return this.#controller.signal;
  }

  /**
   * The counts of its reports so far.
   * @returns {Statistics}
   */
  get stats() {
    const { counts, pending, attempt, lastError, isSuperseded, jobEnded, start } = this.#delivery;
    return {
      ...counts, pending: this.#sender === null ? 0 : pending, isStarted: start === "recorded", isSuperseded, jobEnded, attempt,
      lastError,
    };
  }

  /**
   * Names the execution for another process, which reports to it by `Client.attach`.
   * @returns {ExecutionHandle}
   */
  handle() {
    const { task, execution } = this.#delivery.buffer.identity;
    const attempt = this.#delivery.attempt;
    const url = this.#client.connection?.url;
    return { job: this.#job, task, execution, ...(attempt === null ? {} : { attempt }), ...(url === undefined ? {} : { url }) };
  }

  /**
   * The same as variables of the environment, which every client and the command line read; none if nothing is
   * reported.
   * @returns {Record<string, string>}
   */
  environment() {
    const { job, task, execution, attempt, url } = this.handle();
    if (job === "" || url === undefined) return {};
    return {
      PROGRESS_LEDGER_URL: url,
      PROGRESS_LEDGER_JOB: job, PROGRESS_LEDGER_TASK: task, PROGRESS_LEDGER_EXECUTION: execution,
      ...(attempt === undefined ? {} : { PROGRESS_LEDGER_ATTEMPT: String(attempt) }),
    };
  }

  /**
   * An indicator to report to.
   * @param {string | null} [label] At most 100 characters; the default indicator without one.
   * @param {{unit?: string}} [options] `unit`: what is counted, such as `bytes` or `files`; at most 32 characters.
   * @returns {Progress}
   */
  progress(label, options) {
    return new Progress(this, label ?? "", options === undefined || options === null ? null : this.#notes(options, ["unit"]));
  }

  /**
   * Iterates over items, and reports each one done when the next is requested. A list is declared as a total first.
   * @template T
   * @param {Iterable<T>} items @param {string | null} [label]
   * @returns {Generator<T, void, undefined>}
   */
  *track(items, label) {
    const progress = this.progress(label);
    if (Array.isArray(items)) progress.add(items.length);
    for (const item of items) {
      yield item;
      progress.done(1);
    }
  }

  /**
   * Adds a report. Not for callers: `progress` does it.
   * @param {unknown} label @param {import("./values.js").Increments} increments
   * @param {Remarks | null} own @param {ReportOptions} [options]
   */
  report(label, increments, own, options) {
    const { buffer } = this.#delivery;
    const wasEmpty = buffer.count === 0;
    const refusal = this.#report(label, increments, own, options);
    if (refusal !== null) {
      const isLate = this.#delivery.isEnded;
      this.#client.health.logOnce(isLate ? "late report" : "invalid report",
        `a report of task ${quoted(this.task)} was dropped: ${refusal.field} ${refusal.problem}; further ones are only `
        + "counted");
    } else if (wasEmpty && buffer.count > 0) {
      this.#sender?.wake();
    }
  }

  /**
   * Adds a report; returns the problem of a refused one.
   * @param {unknown} label @param {import("./values.js").Increments} increments
   * @param {Remarks | null} own @param {ReportOptions} [options]
   */
  #report(label, increments, own, options) {
    if (typeof label !== "string") return this.#refuse("label", textProblem(label, 0, labelLengthMax) ?? "is invalid");
    const { now } = this.#client.platform;
    if (options === undefined || options === null) return this.#delivery.report(label, increments, own, now);
    try {
      const isDone = "done" in increments && !("carried" in increments) && !increments.isPosition;
      const all = isDone && options.carried !== undefined ? { ...increments, carried: options.carried } : increments;
      const given = this.#notes(options, ["message", "link"]);
      return this.#delivery.report(label, all, given === null ? own : { ...own, ...given }, now);
    } catch (error) {
      // The options are an object that throws when it is read.
      return this.#refuse("option", `cannot be read: ${reasonOf(error)}`);
    }
  }

  /** @param {string} field @param {string} problem */
  #refuse(field, problem) {
    this.#delivery.counts.refuse();
    return { field, problem };
  }

  /**
   * The notes of a report that can be recorded. The others are counted as dropped, and logged once.
   * @param {unknown} options @param {string[]} names
   * @returns {Remarks | null}
   */
  #notes(options, names) {
    return notes(Object.fromEntries(names.map((name) => [name, readOption(options, name)])), (name, problem) => {
      this.#delivery.counts.dropNote();
      this.#client.health.logOnce(name, `the ${name} of a report of task ${quoted(this.task)} ${problem}; it is left out`);
    });
  }

  /**
   * Waits until the ledger has recorded the start, for a minute at most; returns whether it has, and no newer execution
   * counts. Call it before the work if a zombie, or a worker of a canceled job, must not touch anything.
   * @returns {Promise<boolean>}
   */
  async started() {
    if (this.#sender === null) return !this.#delivery.isAbandoned;
    await this.#sender.until(() => this.#delivery.start !== "pending", flushWaitMax);
    return this.#delivery.start === "recorded" && !this.#delivery.isSuperseded;
  }

  /**
   * Sends everything reported so far and waits until it is recorded; returns whether it is.
   * @param {{timeout?: number}} options `timeout`: milliseconds, a minute by default.
   * @returns {Promise<boolean>}
   */
  async flush({ timeout = flushWaitMax } = {}) {
    if (this.#sender === null) return true;
    const target = this.#sender.flush();
    const isDelivered = await this.#sender.until(() => this.#delivery.isDelivered(target)
      && (!this.#delivery.isEnded || this.#delivery.isFinishSettled), timeout);
    return isDelivered && this.#delivery.counts.lost === 0;
  }

  /**
   * Ends the execution, and waits until its last reports are recorded, for 5 s at most, which all ends in one outage
   * share; returns whether they are. Later they are sent in the background for 15 minutes, while the process lives.
   * @param {Outcome} [outcome] @param {{message?: unknown, link?: string}} [options] Why it ended.
   * @returns {Promise<boolean>}
   */
  async finish(outcome = "succeeded", options) {
    if (outcome !== "succeeded" && outcome !== "failed" && outcome !== "canceled") {
      this.#delivery.counts.refuse();
      this.#client.health.logOnce("outcome", `the outcome of task ${quoted(this.task)} is ${kind(outcome)}; expected `
        + "succeeded, failed or canceled");
      return false;
    }
    if (!this.end(outcome, options)) return false;
    if (this.#sender === null) return !this.#delivery.isAbandoned;
    const { health, closeWait, platform } = this.#client;
    const began = platform.now();
    // The ends of the job and of the process get the rest.
    const wait = health.remainingWait(closeWait - (2 * closeWait) / lastWaitPart);
    const sender = this.#sender;
    const hasStopped = await sender.until(() => this.#delivery.isFinishSettled || this.#delivery.start === "rejected", wait);
    if (hasStopped) return this.#delivery.counts.lost === 0 && this.#delivery.start === "recorded";
    if (!this.#delivery.isAbandoned) health.recordTimeout(began, wait);
    if (!this.#client.mayDrain(sender)) sender.abandon();
    return false;
  }

  /**
   * Ends the execution without a wait; returns whether it had not ended before. Its last reports are sent in the
   * background.
   * @param {Outcome} outcome @param {{message?: unknown, link?: string}} [options]
   */
  end(outcome, options) {
    if (this.#delivery.isEnded) return false;
    this.#delivery.end(outcome, this.#client.platform.now(), this.#notes(options, ["message", "link"]));
    this.#sender?.wake();
    return true;
  }
}

/**
 * A property of the options of a call; undefined if they cannot be read.
 * @param {unknown} options @param {string} name
 * @returns {unknown}
 */
function readOption(options, name) {
  try {
    return /** @type {Record<string, unknown> | undefined | null} */ (options)?.[name];
  } catch {
    return undefined;
  }
}
