// What differs between Node and a browser. The entry of the package sets it: node.js or browser.js.

/**
 * The head and the body of a response, as it arrives.
 * @typedef {object} Stream
 * @property {number} status
 * @property {(name: string) => string | null} header Takes a name in lower case.
 * @property {AsyncIterable<Uint8Array>} chunks Throws if the connection breaks off.
 * @property {() => void} close Ends the connection unless the body was read to its end.
 */

/**
 * Sends a request and returns its response once the head has arrived. Never follows redirects, which could send the
 * token elsewhere. Aborting the signal also ends the body.
 * @typedef {(url: string, request: {method: string, headers: Record<string, string>, body?: string},
 *   signal: AbortSignal) => Promise<Stream>} Transport
 */

/**
 * The files of a connection; paths.
 * @typedef {object} Files
 * @property {string} [ca] The certificates to trust instead of the system's.
 * @property {string} [certificate] The client's own certificate.
 * @property {string} [key] Its key.
 */

/**
 * @typedef {object} Platform
 * @property {(name: string) => string | undefined} environment Reads a variable of the environment.
 * @property {() => number} now A monotonic clock in milliseconds.
 * @property {() => number} random A random number from 0 to 1.
 * @property {() => string} randomName A unique name of 128 random bits.
 * @property {(line: string) => void} log
 * @property {(action: () => void, milliseconds: number) => () => void} schedule Runs an action later, and does not keep
 *   the process alive for it. Returns a function that cancels it.
 * @property {() => () => void} holdOpen Keeps the process alive until the returned function is called.
 * @property {(url: URL, files: Files, warn: (problem: string) => void) => Transport} transport Reads the files again when
 *   they change. Throws if a file cannot be used; warns if a changed one cannot.
 * @property {(path: string) => () => string} tokenFile Returns a function that reads the present token in a file; both
 *   throw if there is none.
 * @property {(client: ExitTarget) => void} atExit Registers a client with reports for the end of the process or page.
 * @property {(client: ExitTarget) => void} forget Removes it.
 * @property {<T>(execution: import("./execution.js").Execution, work: () => T) => T} runIn Makes an execution the
 *   current one of all functions that the work calls, if the platform can.
 */

/**
 * A client at the end of the process.
 * @typedef {object} ExitTarget
 * @property {() => number} pending The number of unsent events.
 * @property {() => void} sendNow Sends them at once, as far as the ledger permits.
 * @property {() => Promise<unknown>} flushAtExit Sends them, and waits for a bounded time.
 * @property {() => void} logLossAtExit
 */

/** @type {Platform | null} */
let platform = null;

/** @param {Platform} value */
export function setPlatform(value) {
  platform = value;
}

/** @returns {Platform} */
export function currentPlatform() {
  if (platform === null) throw new Error("import the package by its entry: src/node.js or src/browser.js");
  return platform;
}
