// The connection to one ledger.

import { Connection } from "./connection.js";
import { InvalidValueError, NotConfiguredError } from "./errors.js";
import { Execution } from "./execution.js";
import { Health } from "./health.js";
import { Job } from "./job.js";
import { Jobs } from "./jobs.js";
import * as limits from "./limits.js";
import { OwnWrites } from "./ownWrites.js";
import { currentPlatform } from "./platform.js";
import { attemptProblem, kind, parseURL, reasonOf, textProblem } from "./values.js";

/**
 * @typedef {object} ClientOptions
 * @property {string} [url] Such as `http://127.0.0.1:8080`; by default `PROGRESS_LEDGER_URL`. A path is kept.
 * @property {string} [token] The bearer token; by default `PROGRESS_LEDGER_TOKEN`, or the content of the file that
 *   `PROGRESS_LEDGER_TOKEN_FILE` names.
 * @property {string} [tokenFile] A file with the token, which is read again when it changes. Not in browsers.
 * @property {string} [caFile] The certificates to trust instead of the system's; by default
 *   `PROGRESS_LEDGER_CA_FILE`. Not in browsers.
 * @property {string} [certificateFile] The client's own certificate; by default
 *   `PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE`.
 * @property {string} [keyFile] Its key; by default `PROGRESS_LEDGER_CLIENT_KEY_FILE`. These files are read again when
 *   they change.
 * @property {number} [interval] The milliseconds for which increments are collected; 1,000 by default and at most.
 * @property {number} [checkInterval] The milliseconds between two checks whether an execution is superseded; 10,000 by
 *   default, 100 at least.
 * @property {number} [closeWait] The longest wait of an end for the last reports, in milliseconds; 5,000 by default.
 *   With 0 nothing waits.
 * @property {(line: string) => void} [log] Receives each kind of warning once; `console.warn` by default.
 */

/** @typedef {import("./sender.js").Sender} Sender */

/**
 * A client of one ledger; make one per process.
 *
 * Without a URL it is silent: reports do nothing, so that a task runs in a unit test unchanged. The same holds, after a
 * line in the log, for a URL or another option that cannot be used. Only reads, and the creation of jobs, throw then.
 */
export class Client {
  /**
   * Null if the client is silent.
   * @type {Connection | null}
   */
  connection = null;
  /**
   * The problem of the options; null if there is none.
   * @type {InvalidValueError | null}
   */
  problem = null;
  intervals;
  closeWait;
  ownWrites = new OwnWrites();
  /**
   * The senders with undelivered reports, and those of open executions.
   * @type {Set<Sender>}
   */
  #senders = new Set();
  /**
   * The pending start of each task.
   * @type {Map<string, Promise<void>>}
   */
  #starts = new Map();
  /** @type {Set<import("./jobEnd.js").JobEnd>} */
  #ends = new Set();
  /** @type {Set<Sender>} */
  #draining = new Set();
  #isClosed = false;
  #hasTriedAtExit = false;

  /**
   * @param {ClientOptions | string} [options] The options, or the URL alone.
   */
  constructor(options = {}) {
    this.platform = currentPlatform();
    /** Creates, finds and lists jobs. */
    this.jobs = new Jobs(this);
    /** @type {ClientOptions} */
    let given = {};
    let url = "";
    try {
      given = typeof options === "string" ? { url: options } : { ...options };
      url = given.url ?? this.platform.environment("PROGRESS_LEDGER_URL") ?? "";
      if (typeof url !== "string") throw new InvalidValueError("url", `is ${kind(url)}; expected a string`);
    } catch (error) {
      this.problem = asInvalid(error);
      url = "";
    }
    const log = typeof given.log === "function" ? given.log : this.platform.log;
    this.health = new Health(log, this.platform.now, withoutPassword(url));
    this.closeWait = this.#milliseconds("closeWait", given.closeWait, limits.closeWaitDefault, 0, Infinity);
    this.intervals = {
      interval: this.#milliseconds("interval", given.interval, limits.intervalDefault, 1, limits.intervalDefault),
      checkInterval: this.#milliseconds(
        "checkInterval", given.checkInterval, limits.checkIntervalDefault, limits.checkIntervalMin, Infinity),
    };
    try {
      if (url !== "") this.connection = this.#connect(url, given);
    } catch (error) {
      this.problem = asInvalid(error);
    }
    if (this.problem !== null) this.health.logOnce("options", `nothing is reported: ${this.problem.message}`);
  }

  /**
   * An option, or its default instead of a value that cannot be used.
   * @param {string} name @param {unknown} value @param {number} otherwise @param {number} min @param {number} max
   */
  #milliseconds(name, value, otherwise, min, max) {
    if (value === undefined || value === null) return otherwise;
    if (typeof value === "number" && value >= min && value <= max) return value;
    this.health.logOnce(`option ${name}`, `the option ${name} is ${kind(value)}; it is ${otherwise} instead`);
    return otherwise;
  }

  /** @param {string} text @param {ClientOptions} given */
  #connect(text, given) {
    const { environment } = this.platform;
    const field = given.url === undefined ? "PROGRESS_LEDGER_URL" : "url";
    const url = parseURL(text);
    if (url === null || url.host === "" || (url.protocol !== "http:" && url.protocol !== "https:")) {
      throw new InvalidValueError(field, "is not a URL such as http://HOST:PORT");
    }
    if (url.search !== "" || url.hash !== "") throw new InvalidValueError(field, "must not have a query or a fragment");
    const transport = this.platform.transport(url, url.protocol !== "https:" ? {} : {
      ca: given.caFile ?? (environment("PROGRESS_LEDGER_CA_FILE") || undefined),
      certificate: given.certificateFile ?? (environment("PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE") || undefined),
      key: given.keyFile ?? (environment("PROGRESS_LEDGER_CLIENT_KEY_FILE") || undefined),
    }, (problem) => this.health.logOnce("certificates", problem));
    return new Connection({
      url: url.href.replace(/\/+$/, ""), address: withoutPassword(text), platform: this.platform, transport,
      token: this.#token(given),
    });
  }

  /** @param {ClientOptions} given @returns {() => string} */
  #token(given) {
    const { environment, tokenFile } = this.platform;
    if (given.token === undefined && given.tokenFile !== undefined) return tokenFile(given.tokenFile);
    const token = given.token ?? environment("PROGRESS_LEDGER_TOKEN") ?? "";
    if (typeof token !== "string" || !/^[\x20-\x7e]*$/.test(token)) {
      throw new InvalidValueError("token", "contains a character that a header cannot hold");
    }
    const file = environment("PROGRESS_LEDGER_TOKEN_FILE");
    if (token === "" && file) return tokenFile(file);
    return () => token;
  }

  /** Whether reports do nothing. */
  get isSilent() {
    return this.connection === null;
  }

  /** The connection for a read. Throws if there is none. */
  get reading() {
    if (this.connection === null) throw this.problem ?? new NotConfiguredError();
    return this.connection;
  }

  /**
   * The job with this id without a request, for a worker. If it does not exist, reads throw, and the first refused
   * report is logged.
   * @param {string} [id] `PROGRESS_LEDGER_JOB` by default; without either the job is silent.
   * @returns {Job}
   */
  job(id) {
    const text = id ?? this.platform.environment("PROGRESS_LEDGER_JOB") ?? "";
    return new Job(this, typeof text === "string" ? text : "", null);
  }

  /**
   * Reports to an execution that runs elsewhere, under a part of its own, exactly: it neither starts nor ends it.
   *
   * `finish` ends the reports of this process only. If the ledger does not know the execution, the first report
   * starts it.
   * @param {import("./execution.js").ExecutionHandle} [handle] By default `PROGRESS_LEDGER_JOB`, `_TASK`,
   *   `_EXECUTION` and `_ATTEMPT`.
   * @param {object} [options]
   * @param {string} [options.part] A name that no other process of the execution uses, and none used before; by
   *   default a random one.
   * @param {(execution: Execution) => unknown} [options.onSuperseded]
   * @param {(state: string, execution: Execution) => unknown} [options.onJobEnded]
   * @returns {Execution}
   */
  attach(handle, options = {}) {
    try {
      return this.#attach(handle, options ?? {});
    } catch (error) {
      // The options are an object that throws when it is read.
      this.health.logOnce("handle", `cannot report to an execution: ${reasonOf(error)}`);
      const dropped = new Execution(this, "", { task: "", execution: "" }, {});
      dropped.begin(true, true);
      return dropped;
    }
  }

  /**
   * @param {import("./execution.js").ExecutionHandle | undefined} handle
   * @param {{part?: string, onSuperseded?: (execution: Execution) => unknown, onJobEnded?: (state: string, execution:
   *   Execution) => unknown}} options
   */
  #attach(handle, options) {
    const { environment, randomName } = this.platform;
    const attempt = handle === undefined ? Number(environment("PROGRESS_LEDGER_ATTEMPT") || NaN) : handle.attempt ?? NaN;
    const job = (handle === undefined ? environment("PROGRESS_LEDGER_JOB") : handle.job) ?? "";
    const task = (handle === undefined ? environment("PROGRESS_LEDGER_TASK") : handle.task) ?? "";
    const name = (handle === undefined ? environment("PROGRESS_LEDGER_EXECUTION") : handle.execution) ?? "";
    const part = options.part ?? randomName();
    const isSilent = this.isSilent || job === "";
    const problem = isSilent ? null : problemOf({
      task: textProblem(task, 1, limits.taskLengthMax), execution: textProblem(name, 1, limits.executionLengthMax),
      attempt: Number.isNaN(attempt) ? null : attemptProblem(attempt), part: textProblem(part, 1, limits.partLengthMax),
    });
    if (problem !== null) this.health.logOnce("handle", `cannot report to an execution: its ${problem}`);
    const identity = { task, execution: name, part, ...(Number.isNaN(attempt) ? {} : { attempt }) };
    const execution = new Execution(this, String(job), identity, { ...options, isAttached: true });
    execution.begin(isSilent, problem !== null || this.#isClosed);
    return execution;
  }

  /**
   * Sends everything reported so far, the reports of ended executions and the ends of jobs included, and waits until
   * it is recorded; returns whether it is.
   * @param {{timeout?: number}} options `timeout`: milliseconds, a minute by default.
   * @returns {Promise<boolean>}
   */
  async flush({ timeout = limits.flushWaitMax } = {}) {
    if (this.connection === null) return true;
    const release = this.platform.holdOpen();
    const cancels = /** @type {(() => void)[]} */ ([]);
    const senders = [...this.#senders].map(async (sender) => {
      const target = sender.flush();
      const { delivery } = sender;
      const isDelivered = await sender.until(
        () => delivery.isDelivered(target) && (!delivery.isEnded || delivery.isFinishSettled), timeout);
      return isDelivered && delivery.counts.lost === 0;
    });
    const ends = [...this.#ends].map((end) => Promise.race([
      end.settled.then(() => end.isRecorded),
      new Promise((resolve) => cancels.push(this.platform.schedule(() => resolve(false), timeout))),
    ]));
    const results = await Promise.all([...senders, ...ends]);
    for (const cancel of cancels) cancel();
    release();
    return results.every((result) => result === true);
  }

  /**
   * Sends the last reports, waits for them as the end of an execution does, and gives up the rest; returns whether
   * all are recorded. Afterwards nothing is sent: reports of open executions are dropped and counted.
   * @returns {Promise<boolean>}
   */
  async close() {
    if (this.#isClosed || this.connection === null) return true;
    this.#isClosed = true;
    const isDelivered = await this.#flushLast();
    let lost = 0;
    /** @type {unknown} */
    let cause = null;
    for (const sender of [...this.#senders]) {
      cause = sender.delivery.lastError ?? cause;
      lost += sender.abandon();
    }
    for (const end of [...this.#ends]) {
      end.giveUp();
      lost += 1;
    }
    if (lost > 0) this.health.logLoss(lost, cause);
    this.platform.forget(this);
    return isDelivered;
  }

  /** Sends everything at once, unless the ledger asked for a pause. */
  sendNow() {
    for (const sender of this.#senders) {
      sender.flush();
      sender.skipPause();
    }
    for (const end of this.#ends) end.skipPause();
  }

  /** Tries once more at once, and waits for the rest of the wait of all ends. */
  async #flushLast() {
    const began = this.platform.now();
    const wait = this.lastWait();
    this.sendNow();
    const isDelivered = await this.flush({ timeout: wait });
    if (!isDelivered && this.platform.now() - began >= wait) this.health.recordTimeout(began, wait);
    return isDelivered;
  }

  /** The wait of the end of a job or of the process. It suffices for one try even if an outage has used up the rest. */
  lastWait() {
    const least = this.closeWait / limits.lastWaitPart;
    return Math.max(least, this.health.remainingWait(this.closeWait - least));
  }

  /** Ends all open executions as canceled, without a wait. */
  cancelAll() {
    for (const { delivery } of this.#senders) if (!delivery.isEnded) delivery.end("canceled", this.platform.now());
  }

  // For senders and ends of jobs, not for callers

  /**
   * Adds a sender; returns the pending start of an earlier execution of the same task.
   * @param {Sender} sender @param {string} task
   * @returns {Promise<void> | null}
   */
  register(sender, task) {
    this.#senders.add(sender);
    this.#registerExit();
    const key = JSON.stringify([sender.job, task]);
    const predecessor = this.#starts.get(key) ?? null;
    this.#starts.set(key, sender.startDone);
    void sender.startDone.then(() => {
      if (this.#starts.get(key) === sender.startDone) this.#starts.delete(key);
    });
    return predecessor;
  }

  /** @param {Sender} sender */
  unregister(sender) {
    this.#senders.delete(sender);
    this.#draining.delete(sender);
  }

  /**
   * Whether an ended execution may be delivered in the background.
   * @param {Sender} sender
   */
  mayDrain(sender) {
    if (!this.#senders.has(sender)) return true;
    if (this.#draining.size >= limits.drainingMax || this.#isClosed) return false;
    this.#draining.add(sender);
    return true;
  }

  /**
   * The executions of a job that have ended and are not delivered yet.
   * @param {string} job
   */
  endedExecutions(job) {
    const ended = [...this.#senders].filter((sender) => sender.job === job && sender.delivery.isEnded);
    return ended.map(({ stopped }) => stopped);
  }

  /** @param {import("./jobEnd.js").JobEnd} end */
  registerEnd(end) {
    this.#ends.add(end);
    this.#registerExit();
  }

  /** @param {import("./jobEnd.js").JobEnd} end */
  unregisterEnd(end) {
    this.#ends.delete(end);
  }

  /** Whether the end of a job may be delivered in the background. */
  get mayDrainEnd() {
    return this.#ends.size <= limits.drainingMax && !this.#isClosed;
  }

  get isClosed() {
    return this.#isClosed;
  }

  #registerExit() {
    this.#hasTriedAtExit = false;
    this.platform.atExit(this);
  }

  /** The number of events that the ledger has not recorded. */
  pending() {
    if (this.#isClosed) return 0;
    let count = this.#ends.size;
    for (const { delivery } of this.#senders) count += delivery.pending;
    return count;
  }

  /** Sends the last reports at the end of the process; not again after a failure, so that the process ends. */
  async flushAtExit() {
    if (this.#hasTriedAtExit) return;
    this.#hasTriedAtExit = true;
    this.#hasTriedAtExit = !(await this.#flushLast());
  }

  logLossAtExit() {
    const count = this.pending();
    const cause = [...this.#senders].map(({ delivery }) => delivery.lastError).find((error) => error !== null);
    if (count > 0) this.health.logLoss(count, cause ?? "the process ends");
  }
}

/** @param {Record<string, string | null>} problems @returns {string | null} */
function problemOf(problems) {
  const found = Object.entries(problems).find(([, problem]) => problem !== null);
  return found === undefined ? null : found.join(" ");
}

/** @param {unknown} error */
function asInvalid(error) {
  return error instanceof InvalidValueError ? error : new InvalidValueError("option", `cannot be used: ${reasonOf(error)}`);
}

/** @param {string} text */
function withoutPassword(text) {
  const url = parseURL(String(text));
  if (url === null) return "(no URL)";
  if (url.password !== "") url.password = "xxxxx";
  return url.href.replace(/\/+$/, "");
}
