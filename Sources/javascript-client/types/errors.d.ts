/**
 * An invalid field of a request.
 * @typedef {object} FieldProblem
 * @property {string} [pointer] The JSON pointer of the field, such as `/2/done`.
 * @property {string} [parameter] The name of the query parameter.
 * @property {string} [detail] The problem of the field.
 */
/** Any error of the client. */
export class LedgerError extends Error {
    /** @param {string} message @param {string} code @param {{cause?: unknown}} [options] */
    constructor(message: string, code: string, options?: {
        cause?: unknown;
    } | undefined);
    /** A stable name of the kind of error, such as `not_found`. */
    code: string;
}
/** A value that the ledger cannot record; the call is at fault. */
export class InvalidValueError extends LedgerError {
    /** @param {string} field @param {string} problem */
    constructor(field: string, problem: string);
    /** The name of the value: `label`, `done`, `task`, `attempt`, `name`, `key`, `url`, … */
    field: string;
}
/** A read without a configured ledger. */
export class NotConfiguredError extends LedgerError {
    constructor();
}
/** No usable response: the ledger is unreachable or overloaded, or something else responded. */
export class UnavailableError extends LedgerError {
    /** @param {string} message @param {{cause?: unknown}} [options] */
    constructor(message: string, options?: {
        cause?: unknown;
    } | undefined);
}
/** The end of a wait by the caller's signal. */
export class AbortedError extends LedgerError {
    /** @param {unknown} reason */
    constructor(reason: unknown);
}
/** A refusal by the ledger (RFC 9457). */
export class ProblemError extends LedgerError {
    /** @param {Problem} problem @param {string} [code] */
    constructor(problem: Problem, code?: string | undefined);
    /** The details. */
    problem: Problem;
}
/** The job does not exist, or was retired, or none of its events names the indicator. */
export class NotFoundError extends ProblemError {
}
/** A request that contradicts the ledger: another job has the key. */
export class ConflictError extends ProblemError {
}
/** A refused token. */
export class UnauthorizedError extends ProblemError {
}
/** A newer execution of the task counts. The reason of an execution's `signal`. */
export class SupersededError extends LedgerError {
    constructor();
}
/** The job has ended. The reason of an execution's `signal`. */
export class JobEndedError extends LedgerError {
    /** @param {string} state */
    constructor(state: string);
    /** The state of the job: `completed`, `failed` or `canceled`. */
    state: string;
}
/** The details of a refusal. */
export class Problem {
    /** @param {number} status @param {unknown} [content] The parsed body, which may be anything. */
    constructor(status: number, content?: unknown);
    /** The HTTP status. */
    status: number;
    /** The kind of problem. */
    title: any;
    /** A description for people. */
    detail: any;
    /** The id of the request, by which the server's log names it. */
    requestId: any;
    /** The state of a job that refused the start of an execution; else empty. */
    jobState: any;
    /** @type {FieldProblem[]} */
    errors: FieldProblem[];
    /**
     * The refused fields by the positions of their events in the request; empty text for a whole event.
     * @param {number} count The number of events in the request.
     * @returns {Map<number, Set<string>>}
     */
    refusedFields(count: number): Map<number, Set<string>>;
    /** The error of a call with this response. */
    toError(): ProblemError;
}
/**
 * An invalid field of a request.
 */
export type FieldProblem = {
    /**
     * The JSON pointer of the field, such as `/2/done`.
     */
    pointer?: string | undefined;
    /**
     * The name of the query parameter.
     */
    parameter?: string | undefined;
    /**
     * The problem of the field.
     */
    detail?: string | undefined;
};
