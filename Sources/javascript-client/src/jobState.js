// Whether a job has ended, as far as one execution knows.

export class JobState {
  /**
   * The state in which the job has ended; null while it is running.
   * @type {string | null}
   */
  ended = null;
  /** @type {string | null} */
  #newEnd = null;

  /**
   * Records the state of the job in a response; none changes nothing.
   * @param {unknown} state
   */
  hasState(state) {
    if (typeof state !== "string" || state === "") return;
    const ended = state === "running" ? null : state;
    if (ended !== this.ended) this.#newEnd = ended;
    this.ended = ended;
  }

  /** The end of the job that the task must be told of, once for each end; null if there is none. */
  takeEnd() {
    const ended = this.#newEnd;
    this.#newEnd = null;
    return ended;
  }
}
