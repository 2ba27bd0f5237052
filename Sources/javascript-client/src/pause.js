// The pauses after failed requests. No clock: callers pass the time, in milliseconds.

import * as limits from "./limits.js";

/**
 * The pause after this number of consecutive failures. It doubles with each one; a random part of it, at least half,
 * is taken.
 * @param {number} failures @param {number} random From 0 to 1.
 */
export function backoff(failures, random) {
  const pause = Math.min(limits.pauseMax, limits.pauseMin * 2 ** (failures - 1));
  return pause * (0.5 + random / 2);
}

/** The pause of one sender. */
export class Pause {
  #failures = 0;
  /** The end of the client's own pause after a failure. */
  #retryAt = 0;
  /** The end of the pause that the ledger requested. */
  #notBefore = 0;

  /** The time before which no request is sent. */
  get end() {
    return Math.max(this.#notBefore, this.#retryAt);
  }

  /**
   * Begins a pause. The random fraction keeps executions that failed together from returning together.
   * @param {number} now @param {number} retryAfter @param {number} random From 0 to 1.
   */
  begin(now, retryAfter, random) {
    this.#failures += 1;
    this.#retryAt = now + backoff(this.#failures, random);
    // Never earlier than the ledger asks for, and spread beyond it, because all executions are asked for the same.
    this.#notBefore = now + retryAfter * (1 + random * limits.retryAfterSpread);
  }

  /** Ends the client's own pause, and not the one that the ledger requested. */
  skip() {
    this.#retryAt = 0;
  }

  /** Ends the outage: the ledger has responded. */
  clear() {
    this.#failures = 0;
    this.#retryAt = 0;
    this.#notBefore = 0;
  }
}
