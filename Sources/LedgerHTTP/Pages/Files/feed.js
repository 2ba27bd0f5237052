// Follows a job or a list of jobs: over a stream of server-sent events if possible, by polling otherwise.
//
// The pages of a browser share one stream of jobs (streams-worker.js). A page that cannot share it reads its own.

import { learnAtLeast, learnFrom } from "./clock.js";
import { Unavailable, followShared } from "./shared.js";
import { freeSlot, onFreed, takeSlot } from "./slots.js";
import { HeldBack, StatusError, readStream } from "./stream.js";
import { parse } from "./text.js";

const base = new URL("..", import.meta.url); // The modules are at BASE/pages/.

const pollWait = 25; // Seconds that the server may wait for a change. Proxies give up after 30 and more.
const pollTimeout = 15_000; // Beyond the wait.
const pauseMin = 1_000;
const pauseMax = 15_000;
const pollingMin = 300_000; // How long to poll before the stream is tried again; doubles with each failure.
const pollingMax = 3_600_000;
const pollIntervalMin = 250;
const slotlessTime = 30_000; // How long to poll before a slot for a stream is asked for again.
// Milliseconds between polls of a page without a stream:
const jobInterval = 2_000; // of a running job,
const endedInterval = 30_000; // of a finished one, which may be reopened,
const listInterval = 5_000; // and of a list.
const unsharedTime = 300_000; // How long a page reads its own stream before it tries to share one again.

/** Resolves after a time, or at once when the signal is aborted. */
function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, signal.aborted ? 0 : milliseconds);
    signal.addEventListener("abort", end);
  });
}

/**
 * Follows the job or list that a page shows, and starts again after every failure.
 *
 * States that it reports: `live` (with the milliseconds between polls, or 0 for a stream), `lost` (with the milliseconds
 * until the next attempt, and the error) and `ended` (the job has finished; it is polled slowly, as it may be reopened).
 */
export class Feed {
  #url;
  #source;
  #session = new AbortController(); // Aborted when the page is hidden or shown, or online again.
  #isPaused = false;
  #failures = 0;
  #slotlessUntil = 0;
  #unsharedUntil = 0;
  #pollingUntil = 0;
  #pollingTime = pollingMin;

  /**
   * @param {string|URL} url The stream.
   * @param {{
   *   event(name: string, data: string): (boolean|void),
   *   poll(request: (url: string|URL, headers?: object) => Promise<Response>, wait: number): Promise<boolean|void>,
   *   state(state: string, detail?: number, error?: Error): void,
   *   waits: boolean, interval: number, hiddenInterval: number?, endedInterval: number
   * }} source `event` and `poll` return true at the end of the job. If `waits`, `poll` lets the server wait for a change
   *   for `wait` seconds. The intervals are milliseconds between polls: of a visible page without a stream, of a hidden
   *   page (null: it is not polled) and of a job that has ended.
   */
  constructor(url, source) {
    this.#url = url;
    this.#source = source;
    document.addEventListener("visibilitychange", () => this.#begin());
    addEventListener("online", () => this.#failures > 0 && this.#begin());
    addEventListener("pagehide", () => this.#stop());
    addEventListener("pageshow", (event) => event.persisted && this.#begin());
    onFreed(() => {
      if (performance.now() >= this.#slotlessUntil) return;
      this.#slotlessUntil = 0;
      this.#begin();
    });
    this.#begin();
  }

  pause() {
    this.#isPaused = true;
    this.#stop();
  }

  resume() {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#begin();
  }

  #stop() {
    this.#session.abort();
    freeSlot();
  }

  #begin() {
    this.#stop();
    if (this.#isPaused) return;
    this.#session = new AbortController();
    this.#run(this.#session.signal);
  }

  async #run(signal) {
    let isEnd = false;
    while (!signal.aborted) {
      try {
        isEnd = await this.#follow(signal, isEnd);
        if (isEnd && !signal.aborted) {
          freeSlot();
          this.#source.state("ended");
        }
      } catch (error) {
        if (signal.aborted) return;
        freeSlot();
        if (error instanceof HeldBack) {
          this.#source.state("lost", 0, error); // The first poll shows within milliseconds whether this is true.
          this.#pollingUntil = performance.now() + this.#pollingTime;
          this.#pollingTime = Math.min(pollingMax, this.#pollingTime * 2);
          continue;
        }
        if (isEnd) continue; // A finished job does not need the server.
        // The random pause spreads the requests of pages that lose the same server.
        const backOff = Math.min(pauseMax, pauseMin * 2 ** Math.min(this.#failures, 10)) * (0.5 + Math.random() / 2);
        const pause = Math.max(backOff, error.retryAfter ?? 0);
        this.#failures += 1;
        this.#source.state("lost", pause, error);
        await sleep(pause, signal);
      }
    }
  }

  /** Streams or polls once, and pauses before the next poll; true if the job has ended. */
  async #follow(signal, hasEnded) {
    if (hasEnded) {
      await sleep(this.#source.endedInterval, signal);
      return signal.aborted || this.#poll(signal, 0, 0);
    }
    if (document.hidden) {
      const interval = this.#source.hiddenInterval;
      if (interval === null) return this.#stop();
      const isEnd = await this.#poll(signal, 0, interval);
      if (!isEnd) await sleep(interval, signal);
      return isEnd;
    }
    const time = performance.now();
    if (time >= this.#pollingUntil && time >= this.#unsharedUntil) {
      try {
        if (await followShared(this.#url, signal, this.#reader)) return true;
        throw new Error("The server has closed the stream.");
      } catch (error) {
        // A viewer of a share link may see each job by itself only.
        const isRefused = error instanceof StatusError && error.status >= 400 && error.status < 500 && error.status !== 429;
        if (!(error instanceof Unavailable) && !isRefused) throw error;
        this.#unsharedUntil = time + unsharedTime;
      }
      if (signal.aborted) return false;
    }
    const hasSlot = time >= this.#slotlessUntil && await takeSlot();
    if (signal.aborted) return false;
    if (!hasSlot && time >= this.#slotlessUntil) this.#slotlessUntil = time + slotlessTime;
    if (hasSlot && time >= this.#pollingUntil) {
      if (await this.#stream(signal)) return true;
      throw new Error("The server has closed the stream.");
    }
    // A poll that waits occupies a connection, as a stream does.
    const waits = hasSlot && this.#source.waits;
    const interval = waits ? 0 : this.#source.interval;
    const isEnd = await this.#poll(signal, waits ? pollWait : 0, interval);
    // Requests to a server that does not wait need a pause between them.
    const pause = Math.max(interval, time + pollIntervalMin - performance.now());
    if (!isEnd) await sleep(pause, signal);
    return isEnd;
  }

  #live(interval) {
    this.#failures = 0;
    this.#source.state("live", interval);
  }

  /** Sends a request that ends with the signal or after a time limit. */
  async #request(url, headers, control) {
    const response = await fetch(url, { headers, signal: control.signal, cache: "no-store", redirect: "manual" });
    learnFrom(response);
    if (!response.ok && response.status !== 304) throw StatusError.of(response);
    return response;
  }

  /** Calls `body` with a controller that aborts with the signal. */
  async #controlled(signal, body) {
    const control = new AbortController();
    const abort = () => control.abort();
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    try {
      return await body(control);
    } finally {
      signal.removeEventListener("abort", abort);
      control.abort();
    }
  }

  /** Polls once; true at the end of the job. */
  async #poll(signal, wait, interval) {
    return this.#controlled(signal, async (control) => {
      const timer = setTimeout(() => control.abort(), wait * 1_000 + pollTimeout);
      try {
        const isEnd = await this.#source.poll((url, headers) => this.#request(url, headers, control), wait);
        if (!signal.aborted) this.#live(interval);
        return isEnd === true;
      } finally {
        clearTimeout(timer);
      }
    });
  }

  get #reader() {
    return { live: () => this.#live(0), event: (name, data) => this.#source.event(name, data) };
  }

  /** Reads this page's own stream until it breaks off; true at the end of the job. */
  #stream(signal) {
    return readStream(
      this.#url, signal, (url, headers, control) => this.#request(url, headers, control), this.#reader);
  }
}

/**
 * Follows a job.
 *
 * @param {string} id
 * @param {{show(text: string): object, state: Function, hiddenInterval?: number?}} page `show` shows a snapshot, which is
 *   JSON, and returns it parsed. The others are those of the feed; a hidden page is not polled unless it asks for that.
 * @returns {Feed}
 */
export function followJob(id, { show, state, hiddenInterval = null }) {
  let entityTag = null;
  let isOver = false;
  const arrived = (text) => {
    const job = show(text);
    isOver = job.state !== "running" && job.sequence === job.ledger_sequence;
  };
  return new Feed(new URL(`v1/jobs/${id}/watch`, base), {
    waits: true, interval: jobInterval, hiddenInterval, endedInterval, state,
    event(name, data) {
      if (name === "snapshot") arrived(data);
      // A stream of several jobs has no event for the end of one.
      return name === "end" || name === "snapshot" && isOver;
    },
    async poll(request, wait) {
      const headers = {};
      if (entityTag !== null) headers["if-none-match"] = entityTag;
      if (entityTag !== null && wait > 0) headers.prefer = `wait=${wait}`;
      const response = await request(new URL(`v1/jobs/${id}/progress`, base), headers);
      if (response.status !== 304) {
        entityTag = response.headers.get("etag");
        arrived(await response.text());
      }
      return isOver;
    },
  });
}

/**
 * Follows a list of jobs.
 *
 * @param {string} query The query of the list.
 * @param {{show(job: object, isKnown: boolean): void, arrived(newest: string?): void, state: Function}} page `show` shows
 *   a job; `isKnown` is whether the list had it before. `arrived` is called after each message, with the time of the
 *   newest event of all jobs. `state` is that of the feed.
 * @returns {{jobs: Map<string, object>, isComplete(): boolean}} The jobs of the list, and whether all of them are known.
 */
export function followList(query, { show, arrived, state }) {
  const jobs = new Map();
  let listed = null; // The ids of the jobs in the list; null until they are known.
  const showJob = (job) => {
    learnAtLeast(Date.parse(job.now));
    const isKnown = jobs.has(job.job);
    jobs.set(job.job, job);
    show(job, isKnown);
  };
  const showList = (ids) => {
    for (const id of jobs.keys()) if (!ids.includes(id)) jobs.delete(id);
    listed = ids;
  };
  const finish = () => {
    const times = [...jobs.values()].map((job) => job.updated_at).filter((time) => time !== null);
    arrived(times.sort().at(-1) ?? null);
  };
  new Feed(new URL(`v1/watch${query}`, base), {
    waits: false, interval: listInterval, hiddenInterval: null, endedInterval: listInterval, state,
    event(name, data) {
      const value = parse(data);
      if (name === "list") showList(value.jobs);
      if (name === "snapshot") showJob(value);
      finish();
    },
    async poll(request) {
      const response = await request(new URL(`v1/jobs${query}`, base));
      const page = parse(await response.text());
      page.jobs.forEach(showJob);
      showList(page.jobs.map((job) => job.job));
      finish();
    },
  });
  return { jobs, isComplete: () => listed !== null && listed.every((id) => jobs.has(id)) };
}
