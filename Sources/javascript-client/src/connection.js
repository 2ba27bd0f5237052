// Requests to one ledger.

import { AbortedError, UnauthorizedError, UnavailableError } from "./errors.js";
import { backoff } from "./pause.js";
import { classify, isUnauthorized, retryAfter } from "./http.js";
import { callRetryMax, requestWait, requestsMax, responseBytesMax } from "./limits.js";

/** @typedef {import("./http.js").Request} Request */
/** @typedef {import("./http.js").Response} Response */
/** @typedef {import("./platform.js").Platform} Platform */
/** @typedef {import("./platform.js").Stream} Stream */

/** A limited number of permissions, in the order of the requests for them. */
class Slots {
  #free;
  /** @type {(() => void)[]} */
  #waiting = [];

  /** @param {number} count */
  constructor(count) {
    this.#free = count;
  }

  /** @returns {Promise<void>} */
  take() {
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  release() {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}

export class Connection {
  #slots = new Slots(requestsMax);
  #transport;
  #token;

  /**
   * @param {object} options
   * @param {string} options.url Without a trailing slash.
   * @param {string} options.address The URL without a password, for messages.
   * @param {Platform} options.platform
   * @param {import("./platform.js").Transport} options.transport
   * @param {() => string} options.token Returns the token; empty if there is none.
   */
  constructor({ url, address, platform, transport, token }) {
    this.address = address;
    this.url = url;
    this.platform = platform;
    this.#transport = transport;
    this.#token = token;
  }

  /**
   * Opens a response, and limits the time until its head arrives, and then between its pieces.
   * @param {Request} request @param {number} idleMax In milliseconds. @param {AbortSignal} [signal]
   * @returns {Promise<Stream & {receivedAt: number, hasTimedOut: () => boolean}>}
   */
  async open(request, idleMax, signal) {
    const { platform } = this;
    if (signal?.aborted) throw new AbortedError(signal.reason);
    const controller = new AbortController();
    let hasTimedOut = false;
    let cancel = () => {};
    const restart = () => {
      cancel();
      cancel = platform.schedule(() => {
        hasTimedOut = true;
        controller.abort();
      }, idleMax);
    };
    const abort = () => controller.abort();
    const release = () => {
      cancel();
      signal?.removeEventListener("abort", abort);
    };
    const explain = (/** @type {unknown} */ error) => {
      release();
      if (signal?.aborted) return new AbortedError(signal.reason);
      return hasTimedOut ? new UnavailableError(`no data for ${idleMax / 1000} s`, { cause: error }) : error;
    };
    signal?.addEventListener("abort", abort);
    restart();
    try {
      const stream = await this.#transport(this.url + request.path, this.#sent(request), controller.signal);
      const close = () => {
        release();
        controller.abort();
        stream.close();
      };
      return {
        status: stream.status, header: stream.header, receivedAt: platform.now(), close, hasTimedOut: () => hasTimedOut,
        chunks: (async function* () {
          try {
            restart();
            for await (const chunk of stream.chunks) {
              restart();
              yield chunk;
            }
          } catch (error) {
            throw explain(error);
          } finally {
            release();
          }
        })(),
      };
    } catch (error) {
      throw explain(error);
    }
  }

  /** @param {Request} request */
  #sent({ method, body, headers }) {
    const token = this.#token();
    return {
      method, body,
      headers: {
        accept: "application/json, application/problem+json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
    };
  }

  /**
   * Sends a request once and reads the complete response. Throws if there is none within the request's time.
   * @param {Request} request @param {AbortSignal} [signal]
   * @returns {Promise<Response>}
   */
  async exchange(request, signal) {
    const wait = request.wait ?? requestWait;
    const limit = new AbortController();
    const abort = () => limit.abort(signal?.reason);
    let isLate = false;
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    const cancel = this.platform.schedule(() => {
      isLate = true;
      limit.abort();
    }, wait);
    try {
      const stream = await this.open(request, wait, limit.signal);
      const { status, header, receivedAt } = stream;
      return { status, header, receivedAt, body: await readText(stream) };
    } catch (error) {
      throw isLate ? new UnavailableError(`no response in ${wait / 1000} s`) : error;
    } finally {
      cancel();
      signal?.removeEventListener("abort", abort);
    }
  }

  /**
   * Sends a request for a waiting caller, and returns the parsed response.
   *
   * It retries for 10 s while the ledger is unreachable, and takes 15 s at most in all. A refused token is an error at
   * once. The request must be safe to repeat.
   * @param {Request} request @param {AbortSignal} [signal]
   * @returns {Promise<{content: any, response: Response}>}
   */
  async call(request, signal) {
    const release = this.platform.holdOpen();
    try {
      return await this.#retry(request, signal);
    } finally {
      release();
    }
  }

  /** @param {Request} request @param {AbortSignal} [signal] */
  async #retry(request, signal) {
    const began = this.platform.now();
    for (let tries = 1; ; tries += 1) {
      const left = requestWait - (this.platform.now() - began);
      const wait = Math.max(1, Math.min(request.wait ?? requestWait, left));
      const { response, disposition } = await this.attempt({ ...request, wait }, signal);
      if (disposition.kind === "accepted" && response !== null) return { content: disposition.content, response };
      const { error } = disposition;
      if (disposition.kind !== "retryable" || error instanceof AbortedError) throw error;
      if (request.isLagFinal && response?.status === 504) throw error;
      if (isUnauthorized(response)) throw error;
      const pause = backoff(tries, this.platform.random()) + retryAfter(response);
      if (this.platform.now() - began + pause > callRetryMax) throw this.unavailable(error);
      await this.sleep(pause, signal);
    }
  }

  /**
   * Sends a request once; never throws.
   * @param {Request} request @param {AbortSignal} [signal]
   * @returns {Promise<{response: Response | null, disposition: import("./http.js").Disposition}>}
   */
  async attempt(request, signal) {
    try {
      const response = await this.exchange(request, signal);
      return { response, disposition: classify(response) };
    } catch (error) {
      return { response: null, disposition: { kind: "retryable", error } };
    }
  }

  /**
   * Sends reports once, as soon as one of the client's 32 slots is free; never throws. Reads take no slot: a report must
   * not wait for a long poll, nor a read for the reports of an outage.
   * @param {Request} request @param {AbortSignal} signal
   */
  async report(request, signal) {
    await this.#slots.take();
    try {
      return await this.attempt(request, signal);
    } finally {
      this.#slots.release();
    }
  }

  /**
   * The error of a ledger that gave no usable response.
   * @param {unknown} cause
   */
  unavailable(cause) {
    if (cause instanceof UnauthorizedError) return cause;
    return new UnavailableError(`${this.address}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }

  /**
   * Pauses; throws if the signal is aborted.
   * @param {number} milliseconds @param {AbortSignal} [signal]
   */
  async sleep(milliseconds, signal) {
    if (signal?.aborted) throw new AbortedError(signal.reason);
    await new Promise((resolve) => {
      const cancel = this.platform.schedule(() => {
        signal?.removeEventListener("abort", abort);
        resolve(undefined);
      }, milliseconds);
      const abort = () => {
        cancel();
        resolve(undefined);
      };
      signal?.addEventListener("abort", abort, { once: true });
    });
    if (signal?.aborted) throw new AbortedError(signal.reason);
  }
}

/**
 * The whole body of a response.
 * @param {Stream} stream
 */
export async function readText(stream) {
  const decoder = new TextDecoder();
  const pieces = [];
  let size = 0;
  for await (const chunk of stream.chunks) {
    size += chunk.length;
    if (size > responseBytesMax) {
      stream.close();
      throw new UnavailableError(`the response is longer than ${responseBytesMax} bytes`);
    }
    pieces.push(decoder.decode(chunk, { stream: true }));
  }
  return pieces.join("") + decoder.decode();
}
