// One job: to report to, and to read.

import { attemptFromEngine } from "./attempt.js";
import { InvalidValueError } from "./errors.js";
import { Execution } from "./execution.js";
import { list, record } from "./fields.js";
import { jobPath, withQuery } from "./http.js";
import { JobEnd } from "./jobEnd.js";
import { executionLengthMax, taskLengthMax } from "./limits.js";
import { Answer, Explanation, HistoryPoint, LedgerEvent, Snapshot, TaskRecord } from "./model.js";
import { messageOfError } from "./notes.js";
import { catchUp, pages, readSnapshot } from "./reading.js";
import { attemptProblem, kind, messageText, quoted, reasonOf, textProblem } from "./values.js";
import { Watch } from "./watch.js";

/** @typedef {import("./model.js").JobState} JobState */
/** @typedef {{signal?: AbortSignal}} WaitOptions */

/**
 * @typedef {object} ExecutionOptions
 * @property {number} [attempt] Orders the executions of the task: a higher one supersedes the lower ones, whichever
 *   arrives first. By default the engine provides it (see `attemptFromEngine`), and without an engine the ledger.
 * @property {boolean} [attemptFromEngine] Whether the variables of the workflow engine provide the attempt; true by
 *   default.
 * @property {string} [name] The name of the execution; by default a random one. Each execution needs one of its own.
 * @property {boolean} [unlessCanceled] Whether a canceled job refuses the start; true by default. Otherwise the start
 *   reopens the job.
 * @property {string} [link] An http or https URL: where to look for more, such as the log.
 * @property {(execution: Execution) => unknown} [onSuperseded] Called once if a newer execution counts.
 * @property {(state: string, execution: Execution) => unknown} [onJobEnded] Called at each end of the job that the
 *   client notices before the end of the execution.
 */

export class Job {
  #client;
  /** @type {Snapshot | null} */
  #snapshot;

  /**
   * @param {import("./client.js").Client} client @param {string} id Empty if the job is silent.
   * @param {Snapshot | null} snapshot
   */
  constructor(client, id, snapshot) {
    this.#client = client;
    this.#snapshot = snapshot;
    /** The job's id; pass it to the workers. Empty if the client is silent. */
    this.id = id;
  }

  /** The last snapshot that was read of this object; null if none was. */
  get snapshot() {
    return this.#snapshot;
  }

  /** The indicators as of `snapshot`. */
  get progress() {
    return this.#snapshot?.progress ?? [];
  }

  /** The estimate as of `snapshot`; null if there is none. */
  get estimate() {
    return this.#snapshot?.estimate ?? null;
  }

  get name() {
    return this.#snapshot?.name ?? "";
  }

  get key() {
    return this.#snapshot?.key ?? null;
  }

  get tags() {
    return this.#snapshot?.tags ?? {};
  }

  /** The state as of `snapshot`; null if none was read. */
  get state() {
    return this.#snapshot?.state ?? null;
  }

  /** The percentage as of `snapshot`. */
  get percent() {
    return this.#snapshot?.percent ?? null;
  }

  // Reports

  /**
   * Starts an execution of a task, which supersedes all earlier ones. Never throws and never waits: the start is sent
   * in the background, and repeated until it is recorded. A client records the starts of one task in the order of the
   * calls.
   *
   * End it with `execution.finish(outcome)`, or use `run`.
   * @param {string} [task] 1 to 200 characters; by default `PROGRESS_LEDGER_TASK`.
   * @param {ExecutionOptions} [options]
   * @returns {Execution}
   */
  execution(task, options = {}) {
    try {
      return this.#start(task, options ?? {});
    } catch (error) {
      // The options are an object that throws when it is read.
      this.#client.health.logOnce("invalid start", `cannot report an execution: ${reasonOf(error)}`);
      const dropped = new Execution(this.#client, this.id, { task: "", execution: "" }, {});
      dropped.begin(true, true);
      return dropped;
    }
  }

  /** @param {string | undefined} task @param {ExecutionOptions} options */
  #start(task, options) {
    const client = this.#client;
    const name = task ?? client.platform.environment("PROGRESS_LEDGER_TASK") ?? "";
    let { attempt } = options;
    const taskProblem = textProblem(name, 1, taskLengthMax);
    let problem = taskProblem === null ? null : `the name of the task ${taskProblem}`;
    let source = "";
    if (attempt !== undefined && attempt !== null) {
      const wrong = attemptProblem(attempt);
      if (wrong !== null) problem ??= `the attempt of task ${quoted(name)} ${wrong}`;
    } else if (options.attemptFromEngine ?? true) {
      const found = attemptFromEngine(client.platform.environment, task === undefined || task === null);
      ({ attempt, source } = found);
      if (found.problem) client.health.logOnce("attempt", `${found.problem}; the ledger assigns the attempt`);
    }
    const execution = options.name ?? client.platform.randomName();
    const nameProblem = textProblem(execution, 1, executionLengthMax);
    if (nameProblem !== null) problem ??= `the name of an execution ${nameProblem}`;
    if (problem !== null) client.health.logOnce("invalid start", `cannot report an execution: ${problem}`);
    if (client.isClosed) client.health.logOnce("closed", `cannot report task ${quoted(name)}: the client is closed`);
    const given = attempt === undefined || attempt === null ? {} : { attempt };
    const identity = { task: typeof name === "string" ? name : "", execution, ...given };
    const made = new Execution(client, this.id, identity, { ...options, attemptSource: source });
    made.begin(client.isSilent || this.id === "", problem !== null || client.isClosed);
    return made;
  }

  /**
   * Does the work as an execution of a task, and returns its result. The execution fails if the work throws, with the
   * name of the error as message; it is canceled if the work throws because a signal was aborted. Problems of
   * reporting never prevent the work.
   *
   * In Node, `progress(label)` of this package reports to the execution in all functions that the work calls.
   * @template T
   * @param {string} task @param {(execution: Execution) => T | PromiseLike<T>} work
   * @param {ExecutionOptions & {errorMessages?: boolean}} [options] `errorMessages`: whether the message has the text
   *   of the error too, and not only its name. It stays in the ledger for ever.
   * @returns {Promise<T>}
   */
  async run(task, work, options = {}) {
    const execution = this.execution(task, options);
    try {
      const result = await this.#client.platform.runIn(execution, () => work(execution));
      await execution.finish("succeeded");
      return result;
    } catch (error) {
      const isCanceled = error instanceof Error && error.name === "AbortError";
      const message = messageOfError(error, options.errorMessages === true);
      await execution.finish(isCanceled ? "canceled" : "failed", { message });
      throw error;
    }
  }

  /**
   * Ends the job; returns whether the end is recorded, and never throws. End the executions first: a newer one
   * reopens the job. It waits, behind the reports of the executions that ended before, for 5 s at most, which all
   * ends in one outage share. Later it is sent in the background for 15 minutes, while the process lives. It is safe
   * to repeat.
   * @param {"completed" | "failed" | "canceled"} [outcome] @param {{message?: unknown}} [options] Why it ended.
   * @returns {Promise<boolean>}
   */
  async finish(outcome = "completed", options) {
    const client = this.#client;
    if (outcome !== "completed" && outcome !== "failed" && outcome !== "canceled") {
      client.health.logOnce("job outcome", `the outcome of a job is ${kind(outcome)}; expected completed, failed or canceled`);
      return false;
    }
    if (this.id === "" || client.isSilent) return true;
    if (client.isClosed) {
      client.health.logOnce("closed", `cannot end job ${this.id}: the client is closed`);
      return false;
    }
    const message = options?.message === undefined || options.message === null ? null : messageText(options.message);
    const end = new JobEnd(client, this.id, outcome, message === null ? {} : { message }, client.endedExecutions(this.id));
    client.registerEnd(end);
    const release = client.platform.holdOpen();
    const began = client.platform.now();
    const wait = client.lastWait();
    let cancel = () => {};
    const isSettled = await Promise.race([
      end.settled.then(() => true),
      new Promise((resolve) => { cancel = client.platform.schedule(() => resolve(false), wait); }),
    ]);
    cancel();
    release();
    if (!isSettled) {
      client.health.recordTimeout(began, wait);
      end.leave();
      if (!client.mayDrainEnd) end.giveUp();
    } else if (!end.isRecorded) {
      client.health.logOnce("job end", `the ledger refused the end of job ${this.id}: ${reasonOf(end.error)}`);
    }
    return end.isRecorded;
  }

  // Reads. They include everything that the same client has written before, unless the ledger lags for more than 5 s.
  // They throw `NotFoundError`, `InvalidValueError`, `UnauthorizedError`, `UnavailableError` after 10 s, and
  // `NotConfiguredError`.

  /**
   * Reads the job again, and returns its snapshot.
   * @param {WaitOptions} options
   * @returns {Promise<Snapshot>}
   */
  async refresh({ signal } = {}) {
    this.#snapshot = await readSnapshot(this.#client, this.id, {}, signal);
    return this.#snapshot;
  }

  /**
   * A snapshot of the past, or by another counting policy.
   * @param {{sequence?: number, at?: Date, policy?: "last" | "last_successful" | "all", signal?: AbortSignal}} options
   * @returns {Promise<Snapshot>}
   */
  async snapshotAt({ sequence, at, policy, signal }) {
    /** @type {Record<string, unknown>} */
    const query = {};
    if (sequence !== undefined) query.at_sequence = sequence;
    if (at !== undefined) query.at = at.toISOString();
    if (policy !== undefined) query.policy = policy;
    return readSnapshot(this.#client, this.id, query, signal);
  }

  /**
   * Iterates over the changing snapshots until the job has finished; the last one is that of the finished job. It
   * begins with the current one, and leaves out some of those in quick succession. Each is the job's `snapshot`, too.
   *
   * It uses server-sent events, or polls if the ledger or a proxy does not support them, and continues after outages
   * of up to an hour each. To end it early, leave the loop, or abort the signal, which throws `AbortedError`.
   * @param {WaitOptions} options
   * @returns {AsyncGenerator<Snapshot, void, undefined>}
   */
  async *watch({ signal } = {}) {
    const watch = new Watch(this.#client, this.id, { signal });
    try {
      for await (const update of watch.updates()) {
        if (update.kind !== "snapshot") continue;
        this.#snapshot = update.snapshot;
        yield update.snapshot;
      }
    } finally {
      watch.close();
    }
  }

  /**
   * Waits until the job has finished, and returns its last snapshot. Outages are handled as by `watch`.
   * @param {WaitOptions} [options]
   * @returns {Promise<Snapshot>}
   */
  async wait(options) {
    let last = null;
    for await (const snapshot of this.watch(options)) last = snapshot;
    return last ?? this.refresh(options);
  }

  /**
   * The contribution of each execution to an indicator.
   * @param {string | null} [label] @param {WaitOptions} options
   * @returns {Promise<Explanation>}
   */
  async explain(label, { signal } = {}) {
    await catchUp(this.#client, this.id, signal);
    /** @type {Record<string, unknown>} */
    const query = { label: label ?? "" };
    /** @type {Explanation | null} */
    let whole = null;
    for (;;) {
      const fields = record(await this.#get("/explain", query, signal));
      if (whole === null) whole = new Explanation(fields);
      else whole.add(fields);
      const next = fields.next_cursor;
      if (typeof next !== "string" || next === "" || next === query.cursor) return whole;
      query.cursor = next;
      // All pages must be of the same moment, or the sums would not match.
      query.at_sequence = whole.sequence;
    }
  }

  /**
   * The history of an indicator, thinned to a number of points; every decrease is among them, with its cause.
   * @param {string | null} [label] @param {{points?: number, signal?: AbortSignal}} options
   * @returns {Promise<HistoryPoint[]>}
   */
  async history(label, { points, signal } = {}) {
    await catchUp(this.#client, this.id, signal);
    const content = await this.#get("/history", { label: label ?? "", points }, signal);
    return list(record(content).points).map((point) => new HistoryPoint(point));
  }

  /**
   * One short text for a person: how far, when, is it true, what holds it up; and the facts behind it.
   * @param {WaitOptions} options
   * @returns {Promise<Answer>}
   */
  async answer({ signal } = {}) {
    await catchUp(this.#client, this.id, signal);
    return new Answer(await this.#get("/answer", {}, signal));
  }

  /**
   * The tasks with their executions, in the order of their first events, page after page.
   * @param {{state?: string, silent?: boolean, signal?: AbortSignal}} filter `silent`: only tasks with an execution
   *   that has sent nothing for longer than plausible.
   * @returns {AsyncGenerator<TaskRecord, void, undefined>}
   */
  async *tasks({ state, silent, signal } = {}) {
    await catchUp(this.#client, this.id, signal);
    const path = withQuery(this.#path("/tasks"), { state, silent: silent === true ? "true" : undefined });
    for await (const { items } of pages(this.#client, path, "tasks", "next_cursor", "cursor", signal)) {
      for (const item of items) yield new TaskRecord(item);
    }
  }

  /**
   * The history, event by event, page after page.
   * @param {object} filter
   * @param {number} [filter.after] Only later events; with `descending`, only earlier ones.
   * @param {boolean} [filter.descending]
   * @param {string} [filter.task] @param {string} [filter.execution] @param {string} [filter.type] @param {string}
   *   [filter.verdict]
   * @param {string | null} [filter.label] Null is the default indicator.
   * @param {AbortSignal} [filter.signal]
   * @returns {AsyncGenerator<LedgerEvent, void, undefined>}
   */
  async *events({ after, descending, task, execution, type, verdict, label, signal } = {}) {
    await catchUp(this.#client, this.id, signal);
    const path = withQuery(this.#path("/events"), {
      task, execution, type, verdict, label: label === null ? "" : label, order: descending === true ? "desc" : undefined,
    });
    for await (const { items } of pages(this.#client, path, "events", "next_after", "after", signal, after)) {
      for (const item of items) yield new LedgerEvent(item);
    }
  }

  /** @param {string} rest */
  #path(rest) {
    // Throws if there is no ledger to read.
    void this.#client.reading;
    if (this.id === "") throw new InvalidValueError("job", "is silent: it has no id");
    return jobPath(this.id, rest);
  }

  /** @param {string} rest @param {Record<string, unknown>} query @param {AbortSignal} [signal] @returns {Promise<any>} */
  async #get(rest, query, signal) {
    const { content } = await this.#client.reading.call({ method: "GET", path: withQuery(this.#path(rest), query) }, signal);
    return content;
  }
}
