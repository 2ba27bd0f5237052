// The changing snapshots of a job, through restarts of the ledger, until the job has finished.

import { AbortedError, ProblemError, UnauthorizedError, UnavailableError } from "./errors.js";
import { backoff } from "./pause.js";
import { EventReader } from "./eventStream.js";
import { classify, isType, jobPath, retryAfter } from "./http.js";
import { readText } from "./connection.js";
import { parse } from "./json.js";
import { pauseMin, pollWait, requestWait, watchIdleMax, watchOutageMax } from "./limits.js";
import { Snapshot } from "./model.js";
import { catchUp } from "./reading.js";

/**
 * A new snapshot; the confirmation by the ledger that the last one is current; or a failure after which the watch
 * goes on.
 * @typedef {{kind: "snapshot", snapshot: Snapshot} | {kind: "heartbeat"} | {kind: "interruption", error: unknown}}
 *   Update
 */

export class Watch {
  #client;
  #connection;
  #job;
  #signal;
  #close = new AbortController();
  /** @type {Snapshot | null} */
  #last = null;
  /** The content of the last snapshot without the server's clock. */
  #lastContent = "";
  /** The id of the last event of the stream. */
  #lastId = "";
  #isPolling;
  #pollPause;
  #etag = "";
  #isEnded = false;
  #idleMax;

  /**
   * @param {import("./client.js").Client} client @param {string} job
   * @param {object} options
   * @param {AbortSignal} [options.signal]
   * @param {number} [options.idleMax] The milliseconds without data after which a stream counts as lost.
   * @param {number} [options.poll] Polls without a stream, with this pause in milliseconds, and without long requests.
   */
  constructor(client, job, { signal, idleMax = watchIdleMax, poll } = {}) {
    this.#client = client;
    this.#connection = client.reading;
    this.#job = job;
    this.#signal = signal;
    this.#idleMax = idleMax;
    this.#isPolling = poll !== undefined;
    this.#pollPause = poll;
    if (signal?.aborted) this.close();
    signal?.addEventListener("abort", this.close, { once: true });
  }

  /** Ends the watch, also while it waits. */
  close = () => {
    this.#signal?.removeEventListener("abort", this.close);
    this.#close.abort();
  };

  /** @returns {AsyncGenerator<Update, void, undefined>} */
  async *updates() {
    const release = this.#connection.platform.holdOpen();
    try {
      // Otherwise a job that this client has just opened again could look finished.
      await catchUp(this.#client, this.#job, this.#close.signal);
      yield* this.#follow();
    } catch (error) {
      if (!this.#close.signal.aborted) throw error;
    } finally {
      release();
      this.close();
    }
    if (this.#signal?.aborted) throw new AbortedError(this.#signal.reason);
  }

  /** @returns {AsyncGenerator<Update, void, undefined>} */
  async *#follow() {
    const { platform } = this.#connection;
    let failures = 0;
    let failingSince = 0;
    while (!this.#isEnded && !this.#close.signal.aborted) {
      try {
        for await (const update of this.#isPolling ? this.#poll() : this.#stream()) {
          failures = 0;
          yield update;
        }
      } catch (error) {
        if (this.#close.signal.aborted) return;
        if (isFinal(error)) throw error;
        if (failures === 0) failingSince = platform.now();
        failures += 1;
        if (platform.now() - failingSince > watchOutageMax) throw this.#connection.unavailable(error);
        yield { kind: "interruption", error };
        const asked = error instanceof Refused ? error.retryAfter : 0;
        await this.#connection.sleep(backoff(failures, platform.random()) + asked, this.#close.signal);
      }
    }
  }

  /** @returns {AsyncGenerator<Update, void, undefined>} */
  async *#stream() {
    /** @type {Record<string, string>} */
    const headers = { accept: "text/event-stream" };
    if (this.#lastId !== "") headers["last-event-id"] = this.#lastId;
    let hasReceived = false;
    let stream = null;
    try {
      const request = { method: /** @type {const} */ ("GET"), path: jobPath(this.#job, "/watch"), headers };
      stream = await this.#connection.open(request, this.#idleMax, this.#close.signal);
      if (stream.status !== 200 || !isType(stream, "text/event-stream")) {
        await this.#refused(stream);
        return;
      }
      const reader = new EventReader(this.#lastId);
      for await (const chunk of stream.chunks) {
        hasReceived = true;
        const events = reader.feed(chunk);
        if (events.length === 0) yield { kind: "heartbeat" };
        for (const event of events) {
          if (event.id !== "") this.#lastId = event.id;
          if (event.type === "end") {
            yield* this.#finish();
            return;
          }
          if (event.type === "snapshot") yield this.#take(event.data, this.#connection.platform.now());
        }
      }
    } catch (error) {
      // A proxy that buffers the stream will do so each time, but polls pass.
      if (!hasReceived && isTimeout(error) && !this.#close.signal.aborted) this.#isPolling = true;
      throw error;
    } finally {
      stream?.close();
    }
    throw new UnavailableError("the stream of snapshots ended before the job");
  }

  /**
   * Handles a response without a stream. A ledger without the route, and one without the job, both respond 404; the
   * poll that follows distinguishes them.
   * @param {import("./platform.js").Stream} stream
   */
  async #refused(stream) {
    const body = await readText(stream);
    const response = { status: stream.status, header: stream.header, body, receivedAt: 0 };
    if ([200, 204, 404, 405, 406, 501].includes(stream.status)) {
      this.#isPolling = true;
      return;
    }
    const { error } = classify(response);
    if (isFinal(error)) throw error;
    throw new Refused(error, retryAfter(response));
  }

  /**
   * Reads the last snapshot if the stream ended without it.
   * @returns {AsyncGenerator<Update, void, undefined>}
   */
  async *#finish() {
    if (this.#last === null || !this.#last.isFinished) {
      const request = { method: /** @type {const} */ ("GET"), path: jobPath(this.#job, "/progress") };
      const { content, response } = await this.#connection.call(request, this.#close.signal);
      const snapshot = new Snapshot(content, response.receivedAt, this.#connection.platform.now);
      this.#last = snapshot;
      yield { kind: "snapshot", snapshot };
    }
    this.#isEnded = true;
  }

  /**
   * One poll.
   * @returns {AsyncGenerator<Update, void, undefined>}
   */
  async *#poll() {
    const { platform } = this.#connection;
    const began = platform.now();
    /** @type {Record<string, string>} */
    const headers = {};
    if (this.#etag !== "") headers["if-none-match"] = this.#etag;
    if (this.#etag !== "" && this.#pollPause === undefined) headers.prefer = `wait=${Math.floor(pollWait / 1000)}`;
    const path = jobPath(this.#job, "/progress");
    const request = { method: /** @type {const} */ ("GET"), path, headers, wait: requestWait + pollWait };
    const response = await this.#connection.exchange(request, this.#close.signal);
    if (response.status === 304) {
      yield { kind: "heartbeat" };
    } else {
      const { kind, error } = classify(response);
      if (kind !== "accepted") throw isFinal(error) ? error : new Refused(error, retryAfter(response));
      this.#etag = response.header("etag") ?? "";
      const update = this.#take(response.body, response.receivedAt);
      yield update;
      if (this.#last?.isFinished) {
        this.#isEnded = true;
        return;
      }
    }
    // A ledger or proxy that responds without a wait must not be polled in a tight loop.
    const pause = this.#pollPause ?? (this.#etag === "" ? 1_000 : pauseMin);
    await this.#connection.sleep(Math.max(0, pause - (platform.now() - began)), this.#close.signal);
  }

  /**
   * A snapshot that arrived, if it is new. After a reconnect the same one may come first, or an older one of a server
   * whose projection lags. An older one counts as new if the ledger itself ends before the last one: it was restored,
   * or a failover lost events.
   * @param {string} text @param {number} receivedAt
   * @returns {Update}
   */
  #take(text, receivedAt) {
    let content;
    try {
      content = parse(text);
    } catch (error) {
      throw new UnavailableError("cannot read a snapshot", { cause: error });
    }
    const snapshot = new Snapshot(content, receivedAt, this.#connection.platform.now);
    const last = this.#last;
    const withoutClock = text.replace(/"now":\s*"[^"]*"/, "");
    const isOld = last !== null && snapshot.sequence < last.sequence && last.sequence <= snapshot.ledgerSequence;
    if (isOld || withoutClock === this.#lastContent) return { kind: "heartbeat" };
    this.#last = snapshot;
    this.#lastContent = withoutClock;
    return { kind: "snapshot", snapshot };
  }
}

/** A temporary refusal, with the pause that the ledger asks for. */
class Refused extends UnavailableError {
  /** @param {unknown} error @param {number} pause */
  constructor(error, pause) {
    super(error instanceof Error ? error.message : "unexpected response", { cause: error });
    this.retryAfter = pause;
  }
}

/**
 * Whether a repetition is useless.
 * @param {unknown} error
 */
function isFinal(error) {
  if (error instanceof UnauthorizedError) return true;
  if (!(error instanceof ProblemError)) return false;
  const { status } = error.problem;
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

/** @param {unknown} error */
function isTimeout(error) {
  return error instanceof UnavailableError && error.message.startsWith("no data");
}
