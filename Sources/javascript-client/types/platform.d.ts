/** @param {Platform} value */
export function setPlatform(value: Platform): void;
/** @returns {Platform} */
export function currentPlatform(): Platform;
/**
 * The head and the body of a response, as it arrives.
 */
export type Stream = {
    status: number;
    /**
     * Takes a name in lower case.
     */
    header: (name: string) => string | null;
    /**
     * Throws if the connection breaks off.
     */
    chunks: AsyncIterable<Uint8Array>;
    /**
     * Ends the connection unless the body was read to its end.
     */
    close: () => void;
};
/**
 * Sends a request and returns its response once the head has arrived. Never follows redirects, which could send the
 * token elsewhere. Aborting the signal also ends the body.
 */
export type Transport = (url: string, request: {
    method: string;
    headers: Record<string, string>;
    body?: string;
}, signal: AbortSignal) => Promise<Stream>;
/**
 * The files of a connection; paths.
 */
export type Files = {
    /**
     * The certificates to trust instead of the system's.
     */
    ca?: string | undefined;
    /**
     * The client's own certificate.
     */
    certificate?: string | undefined;
    /**
     * Its key.
     */
    key?: string | undefined;
};
export type Platform = {
    /**
     * Reads a variable of the environment.
     */
    environment: (name: string) => string | undefined;
    /**
     * A monotonic clock in milliseconds.
     */
    now: () => number;
    /**
     * A random number from 0 to 1.
     */
    random: () => number;
    /**
     * A unique name of 128 random bits.
     */
    randomName: () => string;
    log: (line: string) => void;
    /**
     * Runs an action later, and does not keep
     * the process alive for it. Returns a function that cancels it.
     */
    schedule: (action: () => void, milliseconds: number) => () => void;
    /**
     * Keeps the process alive until the returned function is called.
     */
    holdOpen: () => () => void;
    /**
     * Reads the files again when
     * they change. Throws if a file cannot be used; warns if a changed one cannot.
     */
    transport: (url: URL, files: Files, warn: (problem: string) => void) => Transport;
    /**
     * Returns a function that reads the present token in a file; both
     * throw if there is none.
     */
    tokenFile: (path: string) => () => string;
    /**
     * Registers a client with reports for the end of the process or page.
     */
    atExit: (client: ExitTarget) => void;
    /**
     * Removes it.
     */
    forget: (client: ExitTarget) => void;
    /**
     * Makes an execution the
     * current one of all functions that the work calls, if the platform can.
     */
    runIn: <T>(execution: import("./execution.js").Execution, work: () => T) => T;
};
/**
 * A client at the end of the process.
 */
export type ExitTarget = {
    /**
     * The number of unsent events.
     */
    pending: () => number;
    /**
     * Sends them at once, as far as the ledger permits.
     */
    sendNow: () => void;
    /**
     * Sends them, and waits for a bounded time.
     */
    flushAtExit: () => Promise<unknown>;
    logLossAtExit: () => void;
};
