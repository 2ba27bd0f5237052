/**
 * @typedef {object} ClientOptions
 * @property {string} [url] Such as `http://127.0.0.1:8080`; by default `PROGRESS_LEDGER_URL`. A path is kept.
 * @property {string} [token] The bearer token; by default `PROGRESS_LEDGER_TOKEN`, or the content of the file that
 *   `PROGRESS_LEDGER_TOKEN_FILE` names.
 * @property {string} [tokenFile] A file with the token, which is read again when it changes. Not in browsers.
 * @property {string} [caFile] The certificates to trust instead of the system's; by default
 *   `PROGRESS_LEDGER_CA_FILE`. Not in browsers.
 * @property {string} [certificateFile] The client's own certificate; by default
 *   `PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE`.
 * @property {string} [keyFile] Its key; by default `PROGRESS_LEDGER_CLIENT_KEY_FILE`. These files are read again when
 *   they change.
 * @property {number} [interval] The milliseconds for which increments are collected; 1,000 by default and at most.
 * @property {number} [checkInterval] The milliseconds between two checks whether an execution is superseded; 10,000 by
 *   default, 100 at least.
 * @property {number} [closeWait] The longest wait of an end for the last reports, in milliseconds; 5,000 by default.
 *   With 0 nothing waits.
 * @property {(line: string) => void} [log] Receives each kind of warning once; `console.warn` by default.
 */
/** @typedef {import("./sender.js").Sender} Sender */
/**
 * A client of one ledger; make one per process.
 *
 * Without a URL it is silent: reports do nothing, so that a task runs in a unit test unchanged. The same holds, after a
 * line in the log, for a URL or another option that cannot be used. Only reads, and the creation of jobs, throw then.
 */
export class Client {
    /**
     * @param {ClientOptions | string} [options] The options, or the URL alone.
     */
    constructor(options?: string | ClientOptions | undefined);
    /**
     * Null if the client is silent.
     * @type {Connection | null}
     */
    connection: Connection | null;
    /**
     * The problem of the options; null if there is none.
     * @type {InvalidValueError | null}
     */
    problem: InvalidValueError | null;
    intervals: {
        interval: number;
        checkInterval: number;
    };
    closeWait: number;
    ownWrites: OwnWrites;
    platform: import("./platform.js").Platform;
    /** Creates, finds and lists jobs. */
    jobs: Jobs;
    health: Health;
    /** Whether reports do nothing. */
    get isSilent(): boolean;
    /** The connection for a read. Throws if there is none. */
    get reading(): Connection;
    /**
     * The job with this id without a request, for a worker. If it does not exist, reads throw, and the first refused
     * report is logged.
     * @param {string} [id] `PROGRESS_LEDGER_JOB` by default; without either the job is silent.
     * @returns {Job}
     */
    job(id?: string | undefined): Job;
    /**
     * Reports to an execution that runs elsewhere, under a part of its own, exactly: it neither starts nor ends it.
     *
     * `finish` ends the reports of this process only. If the ledger does not know the execution, the first report
     * starts it.
     * @param {import("./execution.js").ExecutionHandle} [handle] By default `PROGRESS_LEDGER_JOB`, `_TASK`,
     *   `_EXECUTION` and `_ATTEMPT`.
     * @param {object} [options]
     * @param {string} [options.part] A name that no other process of the execution uses, and none used before; by
     *   default a random one.
     * @param {(execution: Execution) => unknown} [options.onSuperseded]
     * @param {(state: string, execution: Execution) => unknown} [options.onJobEnded]
     * @returns {Execution}
     */
    attach(handle?: import("./execution.js").ExecutionHandle | undefined, options?: {
        part?: string | undefined;
        onSuperseded?: ((execution: Execution) => unknown) | undefined;
        onJobEnded?: ((state: string, execution: Execution) => unknown) | undefined;
    } | undefined): Execution;
    /**
     * Sends everything reported so far, the reports of ended executions and the ends of jobs included, and waits until
     * it is recorded; returns whether it is.
     * @param {{timeout?: number}} options `timeout`: milliseconds, a minute by default.
     * @returns {Promise<boolean>}
     */
    flush({ timeout }?: {
        timeout?: number;
    }): Promise<boolean>;
    /**
     * Sends the last reports, waits for them as the end of an execution does, and gives up the rest; returns whether
     * all are recorded. Afterwards nothing is sent: reports of open executions are dropped and counted.
     * @returns {Promise<boolean>}
     */
    close(): Promise<boolean>;
    /** Sends everything at once, unless the ledger asked for a pause. */
    sendNow(): void;
    /** The wait of the end of a job or of the process. It suffices for one try even if an outage has used up the rest. */
    lastWait(): number;
    /** Ends all open executions as canceled, without a wait. */
    cancelAll(): void;
    /**
     * Adds a sender; returns the pending start of an earlier execution of the same task.
     * @param {Sender} sender @param {string} task
     * @returns {Promise<void> | null}
     */
    register(sender: Sender, task: string): Promise<void> | null;
    /** @param {Sender} sender */
    unregister(sender: Sender): void;
    /**
     * Whether an ended execution may be delivered in the background.
     * @param {Sender} sender
     */
    mayDrain(sender: Sender): boolean;
    /**
     * The executions of a job that have ended and are not delivered yet.
     * @param {string} job
     */
    endedExecutions(job: string): Promise<void>[];
    /** @param {import("./jobEnd.js").JobEnd} end */
    registerEnd(end: import("./jobEnd.js").JobEnd): void;
    /** @param {import("./jobEnd.js").JobEnd} end */
    unregisterEnd(end: import("./jobEnd.js").JobEnd): void;
    /** Whether the end of a job may be delivered in the background. */
    get mayDrainEnd(): boolean;
    get isClosed(): boolean;
    /** The number of events that the ledger has not recorded. */
    pending(): number;
    /** Sends the last reports at the end of the process; not again after a failure, so that the process ends. */
    flushAtExit(): Promise<void>;
    logLossAtExit(): void;
    #private;
}
export type ClientOptions = {
    /**
     * Such as `http://127.0.0.1:8080`; by default `PROGRESS_LEDGER_URL`. A path is kept.
     */
    url?: string | undefined;
    /**
     * The bearer token; by default `PROGRESS_LEDGER_TOKEN`, or the content of the file that
     * `PROGRESS_LEDGER_TOKEN_FILE` names.
     */
    token?: string | undefined;
    /**
     * A file with the token, which is read again when it changes. Not in browsers.
     */
    tokenFile?: string | undefined;
    /**
     * The certificates to trust instead of the system's; by default
     * `PROGRESS_LEDGER_CA_FILE`. Not in browsers.
     */
    caFile?: string | undefined;
    /**
     * The client's own certificate; by default
     * `PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE`.
     */
    certificateFile?: string | undefined;
    /**
     * Its key; by default `PROGRESS_LEDGER_CLIENT_KEY_FILE`. These files are read again when
     * they change.
     */
    keyFile?: string | undefined;
    /**
     * The milliseconds for which increments are collected; 1,000 by default and at most.
     */
    interval?: number | undefined;
    /**
     * The milliseconds between two checks whether an execution is superseded; 10,000 by
     * default, 100 at least.
     */
    checkInterval?: number | undefined;
    /**
     * The longest wait of an end for the last reports, in milliseconds; 5,000 by default.
     * With 0 nothing waits.
     */
    closeWait?: number | undefined;
    /**
     * Receives each kind of warning once; `console.warn` by default.
     */
    log?: ((line: string) => void) | undefined;
};
export type Sender = import("./sender.js").Sender;
import { Connection } from "./connection.js";
import { InvalidValueError } from "./errors.js";
import { OwnWrites } from "./ownWrites.js";
import { Jobs } from "./jobs.js";
import { Health } from "./health.js";
import { Job } from "./job.js";
import { Execution } from "./execution.js";
