/** @typedef {import("./delivery.js").Outcome} Outcome */
/** @typedef {import("./reportBuffer.js").Remarks} Remarks */
/**
 * What a report can say besides its number.
 * @typedef {object} ReportOptions
 * @property {unknown} [message] What is being done, as text or as an error; cut to 1,000 characters.
 * @property {string} [link] An http or https URL of at most 2,000 characters: where to look for more.
 * @property {number | bigint} [carried] The part of these units that an earlier execution had done already, at most
 *   `n`; only for `done`. See `skip`.
 */
/**
 * The counts of an execution. 0 `dropped` and 0 `pending` mean that the ledger has everything.
 * @typedef {object} Statistics
 * @property {number} taken Accepted calls of `add`, `done`, `skip`, `setDone`, `setTotal` and `message`.
 * @property {number} refused Refused calls, which changed nothing: an invalid value, or after the end.
 * @property {number} delivered Events that the ledger has recorded, the start and the end included, without discarded
 *   ones.
 * @property {number} discarded Recorded events that never count: another process uses the name of the execution.
 * @property {number} dropped Everything lost: `refused`, `discarded`, and events that were refused by the ledger or
 *   given up.
 * @property {number} pending Events that the ledger has not recorded yet.
 * @property {number} failures Failed requests.
 * @property {number} requests All requests.
 * @property {boolean} isStarted Whether the ledger has recorded the start.
 * @property {boolean} isSuperseded Whether a newer execution counts.
 * @property {string | null} jobEnded The state in which the job has ended; null while it is running.
 * @property {number | null} attempt The attempt; null until the ledger has assigned it.
 * @property {unknown} lastError The reason of the last failure; null after a success.
 */
/**
 * Names an execution for another process; see `Client.attach`.
 * @typedef {object} ExecutionHandle
 * @property {string} job
 * @property {string} task
 * @property {string} execution
 * @property {number} [attempt] Absent until the ledger has assigned it.
 * @property {string} [url] The address of the ledger, for clients that take it from the handle.
 */
/**
 * @typedef {object} ExecutionSettings
 * @property {(execution: Execution) => unknown} [onSuperseded]
 * @property {(state: string, execution: Execution) => unknown} [onJobEnded]
 * @property {boolean} [unlessCanceled]
 * @property {string} [link]
 * @property {string} [attemptSource]
 * @property {boolean} [isAttached]
 */
/**
 * A part of a job's progress, for reports: a pair of `done` and `total` units. Its methods return at once and never
 * throw.
 */
export class Progress {
    /** @param {Execution} execution @param {unknown} label @param {Remarks | null} remarks */
    constructor(execution: Execution, label: unknown, remarks: Remarks | null);
    /**
     * Declares `n` more units of work, from 0 to 2^53 − 1. Zero declares the indicator.
     * @param {number | bigint} n @param {ReportOptions} [options]
     */
    add(n: number | bigint, options?: ReportOptions | undefined): void;
    /**
     * Reports `n` more units as done, from 0 to 2^53 − 1.
     * @param {number | bigint} [n] @param {ReportOptions} [options]
     */
    done(n?: number | bigint | undefined, options?: ReportOptions | undefined): void;
    /**
     * Reports `n` more units as done that need no work: an earlier execution did them, or they are cached. They are
     * done and `carried`: not wasted work, and not part of the rate.
     * @param {number | bigint} [n] @param {ReportOptions} [options]
     */
    skip(n?: number | bigint | undefined, options?: ReportOptions | undefined): void;
    /**
     * Reports a position instead of an increment: sends the difference to what this execution has reported as done. A
     * lower position than before changes nothing.
     * @param {number | bigint} n @param {ReportOptions} [options]
     */
    setDone(n: number | bigint, options?: ReportOptions | undefined): void;
    /**
     * Declares the total: sends the difference to what this execution has declared. A lower total than before changes
     * nothing.
     * @param {number | bigint} n @param {ReportOptions} [options]
     */
    setTotal(n: number | bigint, options?: ReportOptions | undefined): void;
    /**
     * Reports what is being done, without units.
     * @param {unknown} message @param {{link?: string}} [options]
     */
    message(message: unknown, options?: {
        link?: string | undefined;
    } | undefined): void;
    #private;
}
/**
 * One attempt to carry out a task. `Job.execution` makes it.
 *
 * No method throws or rejects, and none waits for the ledger but `started`, `flush` and `finish`, each for a limited
 * time.
 */
export class Execution {
    /**
     * @param {import("./client.js").Client} client @param {string} job Empty if the execution is silent.
     * @param {import("./reportBuffer.js").Identity} identity @param {ExecutionSettings} settings
     */
    constructor(client: import("./client.js").Client, job: string, identity: import("./reportBuffer.js").Identity, settings: ExecutionSettings);
    /**
     * Begins to report. Not for callers: `Job.execution` does it.
     * @param {boolean} isSilent @param {boolean} isDropped Whether all reports are dropped and counted.
     */
    begin(isSilent: boolean, isDropped: boolean): void;
    /** The name of the task. */
    get task(): string;
    /** The name of the execution in the ledger. */
    get name(): string;
    /** Whether a newer execution of the task counts, so that this one should stop. The client notices within 10 s. */
    get superseded(): boolean;
    /**
     * The state in which the job has ended, for example `canceled`, so that the task should stop; null while it is
     * running. The client learns it from the responses to its reports.
     */
    get jobEnded(): string | null;
    /** Aborted when a newer execution counts, or when the job has ended: pass it to what should stop then. */
    get signal(): AbortSignal;
    /**
     * The counts of its reports so far.
     * @returns {Statistics}
     */
    get stats(): Statistics;
    /**
     * Names the execution for another process, which reports to it by `Client.attach`.
     * @returns {ExecutionHandle}
     */
    handle(): ExecutionHandle;
    /**
     * The same as variables of the environment, which every client and the command line read; none if nothing is
     * reported.
     * @returns {Record<string, string>}
     */
    environment(): Record<string, string>;
    /**
     * An indicator to report to.
     * @param {string | null} [label] At most 100 characters; the default indicator without one.
     * @param {{unit?: string}} [options] `unit`: what is counted, such as `bytes` or `files`; at most 32 characters.
     * @returns {Progress}
     */
    progress(label?: string | null | undefined, options?: {
        unit?: string | undefined;
    } | undefined): Progress;
    /**
     * Iterates over items, and reports each one done when the next is requested. A list is declared as a total first.
     * @template T
     * @param {Iterable<T>} items @param {string | null} [label]
     * @returns {Generator<T, void, undefined>}
     */
    track<T>(items: Iterable<T>, label?: string | null | undefined): Generator<T, void, undefined>;
    /**
     * Adds a report. Not for callers: `progress` does it.
     * @param {unknown} label @param {import("./values.js").Increments} increments
     * @param {Remarks | null} own @param {ReportOptions} [options]
     */
    report(label: unknown, increments: import("./values.js").Increments, own: Remarks | null, options?: ReportOptions | undefined): void;
    /**
     * Waits until the ledger has recorded the start, for a minute at most; returns whether it has, and no newer execution
     * counts. Call it before the work if a zombie, or a worker of a canceled job, must not touch anything.
     * @returns {Promise<boolean>}
     */
    started(): Promise<boolean>;
    /**
     * Sends everything reported so far and waits until it is recorded; returns whether it is.
     * @param {{timeout?: number}} options `timeout`: milliseconds, a minute by default.
     * @returns {Promise<boolean>}
     */
    flush({ timeout }?: {
        timeout?: number;
    }): Promise<boolean>;
    /**
     * Ends the execution, and waits until its last reports are recorded, for 5 s at most, which all ends in one outage
     * share; returns whether they are. Later they are sent in the background for 15 minutes, while the process lives.
     * @param {Outcome} [outcome] @param {{message?: unknown, link?: string}} [options] Why it ended.
     * @returns {Promise<boolean>}
     */
    finish(outcome?: import("./delivery.js").Outcome | undefined, options?: {
        message?: unknown;
        link?: string | undefined;
    } | undefined): Promise<boolean>;
    /**
     * Ends the execution without a wait; returns whether it had not ended before. Its last reports are sent in the
     * background.
     * @param {Outcome} outcome @param {{message?: unknown, link?: string}} [options]
     */
    end(outcome: Outcome, options?: {
        message?: unknown;
        link?: string | undefined;
    } | undefined): boolean;
    #private;
}
export type Outcome = import("./delivery.js").Outcome;
export type Remarks = import("./reportBuffer.js").Remarks;
/**
 * What a report can say besides its number.
 */
export type ReportOptions = {
    /**
     * What is being done, as text or as an error; cut to 1,000 characters.
     */
    message?: unknown;
    /**
     * An http or https URL of at most 2,000 characters: where to look for more.
     */
    link?: string | undefined;
    /**
     * The part of these units that an earlier execution had done already, at most
     * `n`; only for `done`. See `skip`.
     */
    carried?: number | bigint | undefined;
};
/**
 * The counts of an execution. 0 `dropped` and 0 `pending` mean that the ledger has everything.
 */
export type Statistics = {
    /**
     * Accepted calls of `add`, `done`, `skip`, `setDone`, `setTotal` and `message`.
     */
    taken: number;
    /**
     * Refused calls, which changed nothing: an invalid value, or after the end.
     */
    refused: number;
    /**
     * Events that the ledger has recorded, the start and the end included, without discarded
     * ones.
     */
    delivered: number;
    /**
     * Recorded events that never count: another process uses the name of the execution.
     */
    discarded: number;
    /**
     * Everything lost: `refused`, `discarded`, and events that were refused by the ledger or
     * given up.
     */
    dropped: number;
    /**
     * Events that the ledger has not recorded yet.
     */
    pending: number;
    /**
     * Failed requests.
     */
    failures: number;
    /**
     * All requests.
     */
    requests: number;
    /**
     * Whether the ledger has recorded the start.
     */
    isStarted: boolean;
    /**
     * Whether a newer execution counts.
     */
    isSuperseded: boolean;
    /**
     * The state in which the job has ended; null while it is running.
     */
    jobEnded: string | null;
    /**
     * The attempt; null until the ledger has assigned it.
     */
    attempt: number | null;
    /**
     * The reason of the last failure; null after a success.
     */
    lastError: unknown;
};
/**
 * Names an execution for another process; see `Client.attach`.
 */
export type ExecutionHandle = {
    job: string;
    task: string;
    execution: string;
    /**
     * Absent until the ledger has assigned it.
     */
    attempt?: number | undefined;
    /**
     * The address of the ledger, for clients that take it from the handle.
     */
    url?: string | undefined;
};
export type ExecutionSettings = {
    onSuperseded?: ((execution: Execution) => unknown) | undefined;
    onJobEnded?: ((state: string, execution: Execution) => unknown) | undefined;
    unlessCanceled?: boolean | undefined;
    link?: string | undefined;
    attemptSource?: string | undefined;
    isAttached?: boolean | undefined;
};
