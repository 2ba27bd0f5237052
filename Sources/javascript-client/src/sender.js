// Sends the reports of one execution until all are delivered or given up.
//
// At most one request is in flight, so reports arrive in order. Nothing here keeps the process alive.

import { ConflictError, ProblemError, UnavailableError } from "./errors.js";
import { jobPath, retryAfter, withQuery } from "./http.js";
import { isSequence, reasonOf } from "./values.js";

/** @typedef {import("./delivery.js").Delivery} Delivery */
/** @typedef {import("./delivery.js").Step} Step */

/**
 * What the sender tells its execution.
 * @typedef {object} Listener
 * @property {() => void} superseded A newer execution counts; called once.
 * @property {(state: string) => void} jobEnded
 */

/**
 * Whether this is the refusal of a start because the job is canceled.
 * @param {unknown} error
 */
export function isJobCanceled(error) {
  return error instanceof ConflictError && error.problem.jobState === "canceled";
}

export class Sender {
  #client;
  #connection;
  #health;
  #job;
  #delivery;
  #listener;
  #start;
  #description;
  /**
   * Ends a pause.
   * @type {(() => void) | null}
   */
  #wake = null;
  /** Aborted when everything is given up. */
  #life = new AbortController();
  /** @type {Set<() => void>} */
  #waiters = new Set();
  #isStartDone = false;
  /** @type {() => void} */
  #resolveStart = () => {};
  /** @type {() => void} */
  #resolveStopped = () => {};

  /**
   * @param {import("./client.js").Client} client @param {string} job @param {Delivery} delivery
   * @param {{unless_canceled?: boolean, link?: string}} start Further fields of the start.
   * @param {string} description Names the execution in the log. @param {Listener} listener
   */
  constructor(client, job, delivery, start, description, listener) {
    this.#client = client;
    this.#connection = /** @type {import("./connection.js").Connection} */ (client.connection);
    this.#health = client.health;
    this.#job = job;
    this.#delivery = delivery;
    this.#start = start;
    this.#description = description;
    this.#listener = listener;
    /**
     * Resolves once the start is recorded or refused, or once nothing more is sent.
     * @type {Promise<void>}
     */
    this.startDone = new Promise((resolve) => { this.#resolveStart = resolve; });
    /**
     * Resolves once nothing more is sent.
     * @type {Promise<void>}
     */
    this.stopped = new Promise((resolve) => { this.#resolveStopped = resolve; });
    // An execution that runs elsewhere is not started here.
    if (delivery.start !== "pending") this.#startIsDone();
  }

  get job() {
    return this.#job;
  }

  get delivery() {
    return this.#delivery;
  }

  #now() {
    return this.#connection.platform.now();
  }

  /**
   * Begins to send, after the start of an earlier execution of the same task.
   * @param {Promise<void> | null} predecessor
   */
  begin(predecessor) {
    void this.#run();
    if (predecessor === null) this.#allowStart();
    else void predecessor.then(() => this.#allowStart());
  }

  #allowStart() {
    this.#delivery.isStartAllowed = true;
    this.wake();
  }

  /** Lets the sender decide again. */
  wake() {
    this.#wake?.();
  }

  /** Lets the sender try again at once, unless the ledger asked for a pause. */
  skipPause() {
    this.#delivery.skipPause();
    this.wake();
  }

  /** Makes everything due; returns the generation to wait for. */
  flush() {
    const target = this.#delivery.flush();
    this.wake();
    return target;
  }

  /** Drops everything undelivered, and returns the count. */
  abandon() {
    const count = this.#delivery.abandon();
    this.#life.abort();
    this.wake();
    return count;
  }

  /**
   * Waits until a condition holds, nothing more is sent, or a time has passed; returns whether it holds.
   * @param {() => boolean} condition @param {number} milliseconds
   * @returns {Promise<boolean>}
   */
  async until(condition, milliseconds) {
    if (condition()) return true;
    if (this.#delivery.isAbandoned) return false;
    const release = this.#connection.platform.holdOpen();
    await new Promise((resolve) => {
      const done = () => {
        cancel();
        this.#waiters.delete(check);
        resolve(undefined);
      };
      const check = () => { if (condition() || this.#delivery.isAbandoned) done(); };
      const cancel = this.#connection.platform.schedule(done, milliseconds);
      this.#waiters.add(check);
    });
    release();
    return condition();
  }

  /** Lets all waiters evaluate their conditions again. */
  #changed() {
    for (const check of [...this.#waiters]) check();
  }

  async #run() {
    try {
      for (;;) {
        const step = this.#delivery.next(this.#now());
        if (step.kind === "stop") return;
        if (step.kind === "wait") await this.#pause(step.until ?? null);
        else if (step.kind === "start") await this.#sendStart();
        else if (step.kind === "check") await this.#check();
        else await this.#send(step);
        this.#changed();
      }
    } catch (error) {
      // A defect of this package ends the reports of this execution, never the task.
      this.#health.logOnce("defect", `the sender failed (please report this defect): ${reasonOf(error)}`);
    } finally {
      this.#stop();
    }
  }

  /** @param {number | null} until */
  #pause(until) {
    return new Promise((resolve) => {
      let cancel = () => {};
      this.#wake = () => {
        this.#wake = null;
        cancel();
        resolve(undefined);
      };
      if (until === null) return;
      cancel = this.#connection.platform.schedule(this.#wake, Math.max(0, Math.ceil(until - this.#now())));
    });
  }

  /** Releases all waiters, and lets the task's next execution start. */
  #stop() {
    const isRefused = this.#delivery.start === "rejected";
    const cause = this.#delivery.lastError;
    const lost = this.#delivery.abandon();
    if (lost > 0 && !isRefused) this.#health.logLoss(lost, cause);
    this.#startIsDone();
    this.#client.unregister(this);
    this.#resolveStopped();
    this.#changed();
  }

  #startIsDone() {
    if (this.#isStartDone) return;
    this.#isStartDone = true;
    this.#resolveStart();
  }

  /**
   * @param {import("./http.js").Request} request
   */
  async #exchange(request) {
    const { response, disposition } = await this.#connection.report(request, this.#life.signal);
    if (disposition.kind === "accepted" && (typeof disposition.content !== "object" || disposition.content === null)) {
      const error = new UnavailableError("the response is no object");
      return { response, kind: /** @type {const} */ ("retryable"), content: null, error };
    }
    return { response, ...disposition };
  }

  /** @param {unknown} error @param {import("./http.js").Response | null} response */
  #failed(error, response) {
    this.#delivery.requestFailed(error, this.#now(), retryAfter(response), this.#connection.platform.random());
    if (!this.#life.signal.aborted) this.#health.recordFailure(error);
  }

  /** Sends the start. Its execution name makes it safe to repeat. */
  async #sendStart() {
    const { type: _, ...identity } = this.#delivery.buffer.event("execution_started");
    const body = JSON.stringify({ ...identity, ...this.#start });
    const path = jobPath(this.#job, "/executions");
    let { response, kind, content, error } = await this.#exchange({ method: "POST", path, body });
    let last = null;
    if (kind === "rejected" && response?.status === 409) {
      // A start that is already superseded is recorded, and refused with the execution that superseded it.
      const fields = fieldsOf(response);
      if (typeof fields.last === "object" && fields.last !== null && !isJobCanceled(error)) {
        [last, content] = [fields.last, fields];
      }
    }
    if ((kind === "accepted" || last !== null) && !isSequence(content.sequence)) {
      [kind, error, last] = ["retryable", new UnavailableError("the response to a start has no sequence"), null];
    }
    if (kind === "retryable") {
      this.#failed(error, response);
      return;
    }
    if (kind === "rejected" && last === null && this.#start.link !== undefined && refusesLink(error)) {
      this.#start = { ...this.#start, link: undefined };
      this.#delivery.startLinkWasRefused(error);
      return;
    }
    if (kind === "accepted" || last !== null) {
      this.#client.ownWrites.wrote(this.#job, content.sequence);
      const attempt = Number.isInteger(content.attempt) ? content.attempt : null;
      this.#delivery.startWasRecorded(attempt, content.sequence, this.#now());
      this.#delivery.job.hasState(content.job_state);
    } else {
      this.#delivery.startWasRejected(error);
    }
    this.#startIsDone();
    this.#health.recordSuccess();
    if (last !== null) {
      this.#health.logOnce("superseded start", `${this.#description} is superseded from its start by attempt `
        + `${Number(last.attempt)}: its reports do not count. If it is no zombie, give it a higher attempt`);
      this.#markSuperseded(true);
    } else if (isJobCanceled(error)) {
      this.#health.logOnce("canceled", `the job is canceled, so ${this.#description} does not start`);
    } else if (kind !== "accepted") {
      this.#health.logOnce("start", `the ledger refused the start of ${this.#description}, so its progress is not reported: `
        + reasonOf(error));
    }
    this.#tellJobEnd();
  }

  /**
   * Delivers a batch.
   * @param {Step} step
   */
  async #send({ batch, isCheck = false }) {
    if (batch === undefined) return;
    const path = withQuery(jobPath(this.#job, "/events"), {
      wait: isCheck ? "folded" : undefined, unless_canceled: this.#delivery.mayStart ? true : undefined,
    });
    let { response, kind, content, error } = await this.#exchange({ method: "POST", path, body: batch.body });
    if (kind === "accepted" && !isSequence(content.last_sequence)) {
      [kind, error] = ["retryable", new UnavailableError("the response to an append has no sequence")];
    }
    if (kind === "retryable" || (kind === "rejected" && this.#delivery.isPartUncertain(error))) {
      this.#failed(error, response);
      return;
    }
    this.#health.recordSuccess();
    if (kind === "rejected" && isJobCanceled(error)) {
      this.#delivery.startWasRejected(error);
      this.#health.logOnce("canceled", `the job is canceled, so reports to ${this.#description} are dropped`);
      this.#tellJobEnd();
      return;
    }
    if (kind === "accepted") {
      this.#client.ownWrites.wrote(this.#job, content.last_sequence);
      const { isSuperseded, collision } = this.#delivery.accepted(content.verdicts, this.#now(), isCheck);
      this.#delivery.job.hasState(content.job_state);
      if (collision !== null) {
        this.#health.logOnce("discarded", `reports of ${this.#description} are discarded with the verdict ${collision}: another `
          + "reporter may use the same execution name");
      }
      if (isSuperseded) this.#markSuperseded(false);
      this.#tellJobEnd();
      return;
    }
    const known = this.#delivery.unknownFields;
    const lost = kind === "oversized" ? this.#delivery.tooLarge(error) : this.#delivery.rejected(error);
    if (this.#delivery.unknownFields !== known) {
      this.#health.logOnce("unknown fields", `the ledger is older than this client: it gets no ${this.#delivery.unknownFields}`);
    }
    if (lost > 0) {
      this.#health.logOnce("refused", `the ledger refused ${lost} reports of ${this.#description}, which are dropped: `
        + reasonOf(error));
    }
  }

  /**
   * Checks for a newer execution when there is nothing to report. The verdict of its start is then `superseded`. The
   * event is read by its sequence, which costs the ledger next to nothing however long the history is.
   */
  async #check() {
    const sequence = this.#delivery.startSequence;
    const path = withQuery(jobPath(this.#job, "/events"), { after: sequence - 1, limit: 1 });
    const { response, kind, content, error } = await this.#exchange({ method: "GET", path });
    if (kind === "retryable") {
      this.#failed(error, response);
      return;
    }
    this.#health.recordSuccess();
    if (kind !== "accepted") {
      this.#delivery.checkWasRejected(error, this.#now());
      return;
    }
    const event = Array.isArray(content.events) ? content.events[0] : undefined;
    const { task, execution } = this.#delivery.buffer.identity;
    if (event?.sequence !== sequence || event.task !== task || event.execution !== execution) {
      // A restore or a failover has lost the start.
      this.#delivery.startWasLost(this.#now());
      return;
    }
    this.#delivery.checked(this.#now());
    if (event.verdict === "superseded") this.#markSuperseded(false);
  }

  /** @param {boolean} isLogged */
  #markSuperseded(isLogged) {
    if (this.#delivery.isSuperseded) return;
    this.#delivery.isSuperseded = true;
    if (!isLogged && !this.#delivery.isEnded) {
      this.#health.logOnce("superseded", `${this.#description} is superseded: a newer execution counts, and this one should `
        + "stop");
    }
    this.#tell(() => this.#listener.superseded());
  }

  #tellJobEnd() {
    const ended = this.#delivery.takeJobEnd();
    if (ended !== null) this.#tell(() => this.#listener.jobEnded(ended));
  }

  /**
   * Calls the task beside the sender: it cannot delay or fail the reports.
   * @param {() => unknown} call
   */
  #tell(call) {
    void Promise.resolve().then(call).catch((error) => {
      this.#health.logOnce("callback", `a callback of ${this.#description} failed: ${reasonOf(error)}`);
    });
  }
}

/**
 * Whether the link of a start was refused, which an older ledger does not know.
 * @param {unknown} error
 */
function refusesLink(error) {
  return error instanceof ProblemError && error.problem.errors.some(({ pointer }) => pointer === "/link");
}

/** @param {import("./http.js").Response} response @returns {Record<string, any>} */
function fieldsOf(response) {
  try {
    return JSON.parse(response.body) ?? {};
  } catch {
    return {};
  }
}
