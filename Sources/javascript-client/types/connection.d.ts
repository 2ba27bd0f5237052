/**
 * The whole body of a response.
 * @param {Stream} stream
 */
export function readText(stream: Stream): Promise<string>;
export class Connection {
    /**
     * @param {object} options
     * @param {string} options.url Without a trailing slash.
     * @param {string} options.address The URL without a password, for messages.
     * @param {Platform} options.platform
     * @param {import("./platform.js").Transport} options.transport
     * @param {() => string} options.token Returns the token; empty if there is none.
     */
    constructor({ url, address, platform, transport, token }: {
        url: string;
        address: string;
        platform: Platform;
        transport: import("./platform.js").Transport;
        token: () => string;
    });
    address: string;
    url: string;
    platform: import("./platform.js").Platform;
    /**
     * Opens a response, and limits the time until its head arrives, and then between its pieces.
     * @param {Request} request @param {number} idleMax In milliseconds. @param {AbortSignal} [signal]
     * @returns {Promise<Stream & {receivedAt: number, hasTimedOut: () => boolean}>}
     */
    open(request: Request, idleMax: number, signal?: AbortSignal | undefined): Promise<import("./platform.js").Stream & {
        receivedAt: number;
        hasTimedOut: () => boolean;
    }>;
    /**
     * Sends a request once and reads the complete response. Throws if there is none within the request's time.
     * @param {Request} request @param {AbortSignal} [signal]
     * @returns {Promise<Response>}
     */
    exchange(request: Request, signal?: AbortSignal | undefined): Promise<Response>;
    /**
     * Sends a request for a waiting caller, and returns the parsed response.
     *
     * It retries for 10 s while the ledger is unreachable, and takes 15 s at most in all. A refused token is an error at
     * once. The request must be safe to repeat.
     * @param {Request} request @param {AbortSignal} [signal]
     * @returns {Promise<{content: any, response: Response}>}
     */
    call(request: Request, signal?: AbortSignal | undefined): Promise<{
        content: any;
        response: Response;
    }>;
    /**
     * Sends a request once; never throws.
     * @param {Request} request @param {AbortSignal} [signal]
     * @returns {Promise<{response: Response | null, disposition: import("./http.js").Disposition}>}
     */
    attempt(request: Request, signal?: AbortSignal | undefined): Promise<{
        response: Response | null;
        disposition: import("./http.js").Disposition;
    }>;
    /**
     * Sends reports once, as soon as one of the client's 32 slots is free; never throws. Reads take no slot: a report must
     * not wait for a long poll, nor a read for the reports of an outage.
     * @param {Request} request @param {AbortSignal} signal
     */
    report(request: Request, signal: AbortSignal): Promise<{
        response: Response | null;
        disposition: import("./http.js").Disposition;
    }>;
    /**
     * The error of a ledger that gave no usable response.
     * @param {unknown} cause
     */
    unavailable(cause: unknown): UnavailableError | UnauthorizedError;
    /**
     * Pauses; throws if the signal is aborted.
     * @param {number} milliseconds @param {AbortSignal} [signal]
     */
    sleep(milliseconds: number, signal?: AbortSignal | undefined): Promise<void>;
    #private;
}
export type Request = import("./http.js").Request;
export type Response = import("./http.js").Response;
export type Platform = import("./platform.js").Platform;
export type Stream = import("./platform.js").Stream;
import { UnavailableError } from "./errors.js";
import { UnauthorizedError } from "./errors.js";
