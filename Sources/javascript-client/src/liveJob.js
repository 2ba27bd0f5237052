// The snapshots of a job for all elements of a page that show it.

import { Client } from "./browser.js";
import { AbortedError, LedgerError } from "./errors.js";
import { Watch } from "./watch.js";

/** @typedef {import("./model.js").Snapshot} Snapshot */

/**
 * What an element shows.
 * @typedef {object} LiveState
 * @property {Snapshot | null} snapshot
 * @property {"connecting" | "live" | "lost" | "ended" | "refused"} connection
 * @property {LedgerError | null} error
 */

/**
 * The maximum number of streams: a browser has six connections to a server that speaks HTTP/1.1. Further jobs are
 * polled.
 */
const streamsMax = 4;
/** The milliseconds between two polls of a job without a stream. */
const pollPause = 5_000;
/** The milliseconds between two reads of a finished job, which may be reopened. */
const endedPause = 30_000;

/** @type {Map<string, LiveJob>} */
const jobs = new Map();
let streams = 0;

/**
 * Follows a job until the returned function is called. All followers of one job share a connection.
 * @param {{src: string, job: string, token: string}} address @param {(state: LiveState) => void} listener
 * @returns {() => void}
 */
export function follow({ src, job, token }, listener) {
  const key = JSON.stringify([src, job, token]);
  let live = jobs.get(key);
  if (live === undefined) {
    live = new LiveJob(src, job, token);
    jobs.set(key, live);
    void live.run();
  }
  const followed = live;
  followed.listeners.add(listener);
  listener(followed.state);
  return () => {
    followed.listeners.delete(listener);
    if (followed.listeners.size > 0 || jobs.get(key) !== followed) return;
    jobs.delete(key);
    followed.stop();
  };
}

class LiveJob {
  /** @type {Set<(state: LiveState) => void>} */
  listeners = new Set();
  /** @type {LiveState} */
  state = { snapshot: null, connection: "connecting", error: null };
  #controller = new AbortController();
  #client;
  #job;

  /** @param {string} src @param {string} job @param {string} token */
  constructor(src, job, token) {
    this.#client = new Client({ url: src, token, log: () => {} });
    this.#job = job;
  }

  stop() {
    this.#controller.abort();
  }

  async run() {
    const { signal } = this.#controller;
    while (!signal.aborted) {
      const isStreaming = streams < streamsMax;
      if (isStreaming) streams += 1;
      try {
        await this.#watch(isStreaming ? undefined : pollPause);
      } catch (error) {
        if (signal.aborted || error instanceof AbortedError) return;
        // Only the page can mend this, by another address.
        this.#show({ connection: "refused", error: error instanceof LedgerError ? error : new LedgerError(String(error), "failed") });
        return;
      } finally {
        if (isStreaming) streams -= 1;
      }
      this.#show({ connection: "ended" });
      await this.#sleep(endedPause);
    }
  }

  /** @param {number | undefined} poll */
  async #watch(poll) {
    const watch = new Watch(this.#client, this.#job, { signal: this.#controller.signal, poll });
    for await (const update of watch.updates()) {
      if (update.kind === "snapshot") {
        this.#show({ snapshot: update.snapshot, connection: update.snapshot.isFinished ? "ended" : "live", error: null });
      } else if (update.kind === "interruption") {
        this.#show({ connection: "lost" });
      } else if (this.state.connection !== "live" && this.state.snapshot !== null && !this.state.snapshot.isFinished) {
        this.#show({ connection: "live", error: null });
      }
    }
  }

  /** @param {Partial<LiveState>} change */
  #show(change) {
    this.state = { ...this.state, ...change };
    for (const listener of [...this.listeners]) listener(this.state);
  }

  /** @param {number} milliseconds */
  async #sleep(milliseconds) {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#controller.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve(undefined);
      }, { once: true });
    });
  }
}
