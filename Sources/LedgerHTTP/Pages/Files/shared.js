// Follows a stream through the shared worker, which holds the connections of all pages of this browser.

import { HeldBack, StatusError } from "./stream.js";

const aliveInterval = 15_000; // Milliseconds between two signs of life, to which the worker responds.
const silenceMax = 40_000; // Milliseconds after which a worker without a response has been discarded.
const openingMax = 10_000; // Milliseconds until the worker has opened the stream, or has reported why not.

/** The shared worker cannot serve this page, which has to read its stream by itself. */
export class Unavailable extends Error {}

// The number changes with the messages, because pages of an earlier version may still use the worker of theirs.
const name = "progress-ledger-1";
let worker = null;
let isBroken = !("SharedWorker" in globalThis);
let requests = 0;

/** Starts the worker, unless it runs already; false if the browser does not support it. */
function startWorker() {
  if (isBroken || worker !== null) return !isBroken;
  try {
    worker = new SharedWorker(new URL("streams-worker.js", import.meta.url), { type: "module", name });
    worker.port.start();
    worker.addEventListener("error", () => { isBroken = true; });
  } catch {
    isBroken = true;
  }
  return !isBroken;
}

/**
 * Follows a stream until it breaks off; true if `event` has ended it.
 *
 * @param {{live(): void, event(name: string, data: string): (boolean|void)}} reader
 * @throws {Unavailable} If the worker does not serve this page.
 */
export function followShared(address, signal, reader) {
  if (!startWorker()) return Promise.reject(new Unavailable());
  return new Promise((resolve, reject) => {
    const { port } = worker;
    const number = ++requests;
    let timer = 0;
    const limit = (time) => {
      clearTimeout(timer);
      timer = setTimeout(fail, time);
    };
    const alive = setInterval(() => port.postMessage({ kind: "alive" }), aliveInterval);

    function finish(settle) {
      clearTimeout(timer);
      clearInterval(alive);
      signal.removeEventListener("abort", abort);
      port.removeEventListener("message", receive);
      worker.removeEventListener("error", fail);
      port.postMessage({ kind: "leave" });
      settle();
    }

    function abort() {
      finish(() => resolve(false));
    }

    function fail() {
      finish(() => reject(new Unavailable()));
    }

    function receive({ data: message }) {
      if (message.number !== number) return;
      switch (message.kind) {
        case "alive":
          break;
        case "live":
          reader.live();
          break;
        case "event":
          if (reader.event(message.name, message.data) === true) return finish(() => resolve(true));
          break;
        case "refused":
          return fail();
        case "failed":
          return finish(() => {
            if (message.isHeldBack) reject(new HeldBack());
            else if (message.status !== undefined) reject(new StatusError(message.status, message.retryAfter));
            else resolve(false);
          });
      }
      limit(silenceMax);
    }

    limit(openingMax);
    signal.addEventListener("abort", abort);
    port.addEventListener("message", receive);
    worker.addEventListener("error", fail);
    port.postMessage({ kind: "follow", address: String(address), number });
    if (signal.aborted) abort();
  });
}
