// Whether the ledger responds, and which problems were logged.

import { failureMemory, logPauseMin, outageWaitMin } from "./limits.js";
import { reasonOf } from "./values.js";

export class Health {
  #log;
  #now;
  #address;
  /**
   * The time of the first failure since the last success; null without an outage.
   * @type {number | null}
   */
  #failingSince = null;
  #failedAt = 0;
  #respondedAt = -Infinity;
  #loggedAt = -Infinity;
  #isLogged = false;
  /** @type {Set<string>} */
  #loggedKinds = new Set();

  /**
   * @param {(line: string) => void} log @param {() => number} now A monotonic clock in milliseconds.
   * @param {string} address The URL of the ledger without a password.
   */
  constructor(log, now, address) {
    this.#log = log;
    this.#now = now;
    this.#address = address;
  }

  /**
   * Records a failed request, and logs the first one of an outage.
   * @param {unknown} error
   */
  recordFailure(error) {
    const now = this.#now();
    this.#failingSince ??= now;
    this.#failedAt = now;
    if (this.#isLogged || now - this.#loggedAt < logPauseMin) return;
    this.#isLogged = true;
    this.#loggedAt = now;
    this.#write(`${this.#address}: ${reasonOf(error)}; the work goes on, and its progress is sent if the ledger responds `
      + "before the process ends");
  }

  /** Records a response, and logs the end of an outage that was logged. */
  recordSuccess() {
    const now = this.#now();
    const seconds = Math.round((now - (this.#failingSince ?? now)) / 1000);
    if (this.#isLogged) this.#write(`${this.#address}: is back after ${seconds} s`);
    this.#isLogged = false;
    this.#respondedAt = now;
    this.#failingSince = null;
  }

  /**
   * Records a wait for the last reports that timed out. It begins an outage if no response arrived during the wait.
   * @param {number} began @param {number} wait
   */
  recordTimeout(began, wait) {
    if (wait < outageWaitMin || this.#failingSince !== null || this.#respondedAt >= began) return;
    this.#failingSince = began;
    this.recordFailure(new Error(`no response in ${wait / 1000} s`));
  }

  /**
   * The rest of the wait that all ends share in an outage.
   * @param {number} wait
   */
  remainingWait(wait) {
    const now = this.#now();
    if (this.#failingSince === null || now - this.#failedAt > failureMemory) return wait;
    return Math.max(0, wait - (now - this.#failingSince));
  }

  /**
   * Logs that reports were given up, unless the outage was logged in the last minute.
   * @param {number} count @param {unknown} cause
   */
  logLoss(count, cause) {
    if (this.#isLogged && this.#now() - this.#loggedAt < logPauseMin) return;
    const reason = reasonOf(cause ?? "no response yet");
    this.logOnce("given up", `${this.#address}: ${count} reports were given up undelivered: ${reason}`);
  }

  /**
   * Logs the first problem of each kind.
   * @param {string} kind @param {string} text
   */
  logOnce(kind, text) {
    if (this.#loggedKinds.has(kind)) return;
    this.#loggedKinds.add(kind);
    this.#write(text);
  }

  /** @param {string} text */
  #write(text) {
    try {
      this.#log(`progress ledger: ${text}`);
    } catch {
      // The caller's own function failed: the task goes on.
    }
  }
}
