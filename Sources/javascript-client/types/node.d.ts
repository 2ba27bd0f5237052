/** The execution of the `job.run` that called this function; undefined outside of one. */
export function current(): import("./execution.js").Execution | undefined;
/**
 * An indicator of the current execution, in any function that the work of a `job.run` calls. Outside of one, reports do
 * nothing.
 * @param {string | null} [label] @param {{unit?: string}} [options]
 * @returns {Pick<import("./execution.js").Progress, "add" | "done" | "skip" | "setDone" | "setTotal" | "message">}
 */
export function progress(label?: string | null | undefined, options?: {
    unit?: string | undefined;
} | undefined): Pick<import("./execution.js").Progress, "add" | "done" | "skip" | "setDone" | "setTotal" | "message">;
/**
 * Ends open executions as canceled, sends everything, and closes the client, when a signal is about to end the
 * process. Then the signal ends the process, unless the program has another handler of it. A second signal, a second
 * later or more, ends the process at once.
 * @param {import("./client.js").Client} client @param {Signal[]} [signals] SIGTERM, SIGINT and SIGHUP by
 *   default.
 * @returns {() => void} Removes the handlers.
 */
export function flushOnSignal(client: import("./client.js").Client, signals?: Signal[] | undefined): () => void;
export * from "./index.js";
export type Signal = "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGQUIT" | "SIGUSR1" | "SIGUSR2";
