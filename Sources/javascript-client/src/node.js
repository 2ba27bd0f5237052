// The entry of the package for Node.

import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes } from "node:crypto";
import { secondSignalMin, timerMax } from "./limits.js";
import { nodeTransport, tokenFile } from "./nodeTransport.js";
import { setPlatform } from "./platform.js";

/** @typedef {"SIGTERM" | "SIGINT" | "SIGHUP" | "SIGQUIT" | "SIGUSR1" | "SIGUSR2"} Signal */

/** @type {AsyncLocalStorage<import("./execution.js").Execution>} */
const executions = new AsyncLocalStorage();

/**
 * The clients with unsent reports.
 * @type {Set<import("./platform.js").ExitTarget>}
 */
const targets = new Set();

// Nothing of this package keeps the process alive, so the event loop runs empty while reports wait. Then they are sent.
process.on("beforeExit", () => {
  for (const target of targets) if (target.pending() > 0) void target.flushAtExit();
});
// After process.exit nothing can be sent any more.
process.on("exit", () => {
  for (const target of targets) target.logLossAtExit();
});

setPlatform({
  environment: (name) => process.env[name],
  now: () => performance.now(),
  random: Math.random,
  randomName: () => randomBytes(16).toString("hex"),
  log: (line) => console.warn(line),
  schedule: (action, milliseconds) => {
    const timer = setTimeout(action, Math.min(milliseconds, timerMax));
    /** @type {{unref(): void}} */ (/** @type {unknown} */ (timer)).unref();
    return () => clearTimeout(timer);
  },
  holdOpen: () => {
    const timer = setInterval(() => {}, 2 ** 30);
    return () => clearInterval(timer);
  },
  transport: nodeTransport,
  tokenFile,
  atExit: (target) => void targets.add(target),
  forget: (target) => void targets.delete(target),
  runIn: (execution, work) => executions.run(execution, work),
});

export * from "./index.js";

/** The execution of the `job.run` that called this function; undefined outside of one. */
export function current() {
  return executions.getStore();
}

/**
 * An indicator of the current execution, in any function that the work of a `job.run` calls. Outside of one, reports do
 * nothing.
 * @param {string | null} [label] @param {{unit?: string}} [options]
 * @returns {Pick<import("./execution.js").Progress, "add" | "done" | "skip" | "setDone" | "setTotal" | "message">}
 */
export function progress(label, options) {
  return current()?.progress(label, options) ?? silent;
}

const nothing = () => {};
const silent = { add: nothing, done: nothing, skip: nothing, setDone: nothing, setTotal: nothing, message: nothing };

/**
 * Ends open executions as canceled, sends everything, and closes the client, when a signal is about to end the
 * process. Then the signal ends the process, unless the program has another handler of it. A second signal, a second
 * later or more, ends the process at once.
 * @param {import("./client.js").Client} client @param {Signal[]} [signals] SIGTERM, SIGINT and SIGHUP by
 *   default.
 * @returns {() => void} Removes the handlers.
 */
export function flushOnSignal(client, signals = ["SIGTERM", "SIGINT", "SIGHUP"]) {
  let began = -1;
  /** @param {Signal} signal */
  const handle = (signal) => {
    const now = client.platform.now();
    if (began >= 0) {
      // Some programs, such as GNU timeout, send the first signal twice.
      if (now - began >= secondSignalMin) end(signal);
      return;
    }
    began = now;
    client.cancelAll();
    void client.close().finally(() => end(signal));
  };
  /** @param {Signal} signal */
  const end = (signal) => {
    stop();
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };
  const stop = () => {
    for (const signal of signals) process.removeListener(signal, handle);
  };
  for (const signal of signals) process.on(signal, handle);
  return stop;
}
