/**
 * A request that can be sent any number of times.
 * @typedef {object} Request
 * @property {"GET" | "POST"} method
 * @property {string} path Begins with a slash, is escaped, and includes the query.
 * @property {Record<string, string>} [headers]
 * @property {string} [body] JSON.
 * @property {number} [wait] The limit of one try, in milliseconds.
 * @property {boolean} [isLagFinal] Whether a 504 is final: the ledger has waited as long as it ever does.
 */
/**
 * A complete response.
 * @typedef {object} Response
 * @property {number} status
 * @property {(name: string) => string | null} header Takes a name in lower case.
 * @property {string} body
 * @property {number} receivedAt The time of the monotonic clock at which its header arrived.
 */
/**
 * The meaning of a response, or of its absence.
 *
 * - `accepted`: the ledger has done it.
 * - `retryable`: the ledger may or may not have done it; send the same request again.
 * - `oversized`: the ledger has not done it, because the request is too large.
 * - `rejected`: the ledger has not done it, and never will.
 * @typedef {object} Disposition
 * @property {"accepted" | "retryable" | "oversized" | "rejected"} kind
 * @property {any} [content] The parsed body of an accepted request.
 * @property {unknown} [error]
 */
/**
 * The disposition of a request.
 *
 * Only the ledger itself refuses for good, with problem details. The response of a proxy, such as a 404 during a
 * deployment, is temporary. A refused token is temporary as well: the operator may correct it.
 * @param {Response} response
 * @returns {Disposition}
 */
export function classify(response: Response): Disposition;
/** @param {Pick<Response, "header">} response @param {string} type */
export function isType(response: Pick<Response, "header">, type: string): boolean;
/**
 * The milliseconds that a response asks to wait, five minutes at most. A date is ignored, because both clocks would
 * have to be right.
 * @param {Pick<Response, "header"> | null} response
 */
export function retryAfter(response: Pick<Response, "header"> | null): number;
/**
 * Whether the token was refused.
 * @param {Response | null} response
 */
export function isUnauthorized(response: Response | null): boolean;
/**
 * The path of a job's resource.
 * @param {string} job @param {string} rest
 */
export function jobPath(job: string, rest: string): string;
/**
 * A path with a query. Undefined and null values are left out.
 * @param {string} path @param {Record<string, unknown>} query
 */
export function withQuery(path: string, query: Record<string, unknown>): string;
/**
 * A request that can be sent any number of times.
 */
export type Request = {
    method: "GET" | "POST";
    /**
     * Begins with a slash, is escaped, and includes the query.
     */
    path: string;
    headers?: Record<string, string> | undefined;
    /**
     * JSON.
     */
    body?: string | undefined;
    /**
     * The limit of one try, in milliseconds.
     */
    wait?: number | undefined;
    /**
     * Whether a 504 is final: the ledger has waited as long as it ever does.
     */
    isLagFinal?: boolean | undefined;
};
/**
 * A complete response.
 */
export type Response = {
    status: number;
    /**
     * Takes a name in lower case.
     */
    header: (name: string) => string | null;
    body: string;
    /**
     * The time of the monotonic clock at which its header arrived.
     */
    receivedAt: number;
};
/**
 * The meaning of a response, or of its absence.
 *
 * - `accepted`: the ledger has done it.
 * - `retryable`: the ledger may or may not have done it; send the same request again.
 * - `oversized`: the ledger has not done it, because the request is too large.
 * - `rejected`: the ledger has not done it, and never will.
 */
export type Disposition = {
    kind: "accepted" | "retryable" | "oversized" | "rejected";
    /**
     * The parsed body of an accepted request.
     */
    content?: any;
    error?: unknown;
};
