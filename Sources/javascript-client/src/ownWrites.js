// This client's last event of each job, so that its reads include what it has written.

import { ownWritesMax } from "./limits.js";

export class OwnWrites {
  /** @type {Map<string, {written: number, folded: number}>} */
  #jobs = new Map();

  /**
   * Records an event of this client.
   * @param {string} job @param {number} sequence
   */
  wrote(job, sequence) {
    const key = job.toLowerCase();
    const position = this.#jobs.get(key) ?? { written: 0, folded: 0 };
    if (!(sequence > position.written)) return;
    position.written = sequence;
    // The job that was written to last is evicted last.
    this.#jobs.delete(key);
    this.#jobs.set(key, position);
    if (this.#jobs.size > ownWritesMax) this.#jobs.delete(/** @type {string} */ (this.#jobs.keys().next().value));
  }

  /**
   * Records a snapshot that this client has read.
   * @param {string} job @param {number} sequence
   */
  saw(job, sequence) {
    const position = this.#jobs.get(job.toLowerCase());
    if (position !== undefined) position.folded = Math.max(position.folded, sequence);
  }

  /**
   * This client's last event, 0 if there is none.
   * @param {string} job
   */
  last(job) {
    return this.#jobs.get(job.toLowerCase())?.written ?? 0;
  }

  /**
   * Whether a snapshot with this client's last event was read.
   * @param {string} job
   */
  isFolded(job) {
    const position = this.#jobs.get(job.toLowerCase());
    return position === undefined || position.folded >= position.written;
  }

  /**
   * Removes a job, after a restore to a state without these events.
   * @param {string} job
   */
  forget(job) {
    this.#jobs.delete(job.toLowerCase());
  }

  /** The jobs with events that were not seen in a snapshot. */
  unfolded() {
    return [...this.#jobs].filter(([, position]) => position.folded < position.written).map(([job]) => job);
  }
}
