// Delivers the end of a job, after the job's executions that ended before.

import { AbortedError, UnavailableError } from "./errors.js";
import { backoff } from "./pause.js";
import { isUnauthorized, jobPath, retryAfter } from "./http.js";
import { drainMax } from "./limits.js";
import { isSequence, reasonOf } from "./values.js";

export class JobEnd {
  #client;
  #connection;
  #life = new AbortController();
  #pause = new AbortController();
  /**
   * The error of the last try.
   * @type {unknown}
   */
  #error = null;
  #isRecorded = false;
  #isRefused = false;
  #hasCallerLeft = false;
  #body;

  /**
   * @param {import("./client.js").Client} client @param {string} job
   * @param {"completed" | "failed" | "canceled"} outcome @param {{message?: string}} remarks
   * @param {Promise<void>[]} predecessors Resolve when the executions that ended before are delivered or given up.
   */
  constructor(client, job, outcome, remarks, predecessors) {
    this.#client = client;
    this.#connection = /** @type {import("./connection.js").Connection} */ (client.connection);
    this.job = job;
    this.#body = JSON.stringify([{ type: "job_finished", outcome, ...remarks }]);
    /** Resolves once the end is recorded, refused or given up. */
    this.settled = this.#run(predecessors);
  }

  /** @param {Promise<void>[]} predecessors */
  async #run(predecessors) {
    const { platform } = this.#connection;
    const cancel = platform.schedule(() => this.#life.abort(), drainMax);
    /** @type {Promise<void>} */
    const isOver = new Promise((resolve) => this.#life.signal.addEventListener("abort", () => resolve()));
    await Promise.race([Promise.all(predecessors), isOver]);
    for (let tries = 1; !this.#life.signal.aborted; tries += 1) {
      const request = { method: /** @type {const} */ ("POST"), path: jobPath(this.job, "/events"), body: this.#body };
      let { response, disposition: { kind, content, error } } = await this.#connection.report(request, this.#life.signal);
      if (kind === "accepted" && !isSequence(content?.last_sequence)) {
        [kind, error] = ["retryable", new UnavailableError("the response to an append has no sequence")];
      }
      this.#error = error instanceof AbortedError ? this.#error : error ?? null;
      this.#isRecorded = kind === "accepted";
      // A refused token is final only for a waiting caller: the operator may correct it later.
      this.#isRefused = kind === "rejected" || kind === "oversized" || (isUnauthorized(response) && !this.#hasCallerLeft);
      if (this.#isRecorded) {
        this.#client.ownWrites.wrote(this.job, content.last_sequence);
        this.#client.health.recordSuccess();
      }
      if (this.#isRecorded || this.#isRefused) break;
      if (this.#life.signal.aborted) break;
      this.#client.health.recordFailure(error);
      this.#pause = new AbortController();
      await this.#sleep(backoff(tries, platform.random()) + retryAfter(response));
    }
    cancel();
    if (this.#hasCallerLeft && !this.#isRecorded) {
      const reason = reasonOf(this.#error ?? "no response yet");
      this.#client.health.logOnce("job end", `the end of job ${this.job} is not recorded: ${reason}`);
    }
    this.#client.unregisterEnd(this);
  }

  /** @param {number} milliseconds */
  async #sleep(milliseconds) {
    const stop = () => this.#pause.abort();
    this.#life.signal.addEventListener("abort", stop);
    try {
      await this.#connection.sleep(milliseconds, this.#pause.signal);
    } catch {
      // A shorter pause was asked for.
    }
    this.#life.signal.removeEventListener("abort", stop);
  }

  /** The error of the last try; null if there is none. */
  get error() {
    return this.#error;
  }

  get isRecorded() {
    return this.#isRecorded;
  }

  /** Tries again at once. */
  skipPause() {
    this.#pause.abort();
  }

  /** Continues without the caller. */
  leave() {
    this.#hasCallerLeft = true;
  }

  /** Stops the delivery. */
  giveUp() {
    this.#life.abort();
  }
}
