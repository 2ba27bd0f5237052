/** @typedef {import("./model.js").JobState} JobState */
/** @typedef {{signal?: AbortSignal}} WaitOptions */
/**
 * @typedef {object} ExecutionOptions
 * @property {number} [attempt] Orders the executions of the task: a higher one supersedes the lower ones, whichever
 *   arrives first. By default the engine provides it (see `attemptFromEngine`), and without an engine the ledger.
 * @property {boolean} [attemptFromEngine] Whether the variables of the workflow engine provide the attempt; true by
 *   default.
 * @property {string} [name] The name of the execution; by default a random one. Each execution needs one of its own.
 * @property {boolean} [unlessCanceled] Whether a canceled job refuses the start; true by default. Otherwise the start
 *   reopens the job.
 * @property {string} [link] An http or https URL: where to look for more, such as the log.
 * @property {(execution: Execution) => unknown} [onSuperseded] Called once if a newer execution counts.
 * @property {(state: string, execution: Execution) => unknown} [onJobEnded] Called at each end of the job that the
 *   client notices before the end of the execution.
 */
export class Job {
    /**
     * @param {import("./client.js").Client} client @param {string} id Empty if the job is silent.
     * @param {Snapshot | null} snapshot
     */
    constructor(client: import("./client.js").Client, id: string, snapshot: Snapshot | null);
    /** The job's id; pass it to the workers. Empty if the client is silent. */
    id: string;
    /** The last snapshot that was read of this object; null if none was. */
    get snapshot(): Snapshot | null;
    /** The indicators as of `snapshot`. */
    get progress(): import("./model.js").Indicator[];
    /** The estimate as of `snapshot`; null if there is none. */
    get estimate(): import("./estimate.js").Estimate | null;
    get name(): string;
    get key(): string | null;
    get tags(): Record<string, string>;
    /** The state as of `snapshot`; null if none was read. */
    get state(): import("./model.js").JobState | null;
    /** The percentage as of `snapshot`. */
    get percent(): number | null;
    /**
     * Starts an execution of a task, which supersedes all earlier ones. Never throws and never waits: the start is sent
     * in the background, and repeated until it is recorded. A client records the starts of one task in the order of the
     * calls.
     *
     * End it with `execution.finish(outcome)`, or use `run`.
     * @param {string} [task] 1 to 200 characters; by default `PROGRESS_LEDGER_TASK`.
     * @param {ExecutionOptions} [options]
     * @returns {Execution}
     */
    execution(task?: string | undefined, options?: ExecutionOptions | undefined): Execution;
    /**
     * Does the work as an execution of a task, and returns its result. The execution fails if the work throws, with the
     * name of the error as message; it is canceled if the work throws because a signal was aborted. Problems of
     * reporting never prevent the work.
     *
     * In Node, `progress(label)` of this package reports to the execution in all functions that the work calls.
     * @template T
     * @param {string} task @param {(execution: Execution) => T | PromiseLike<T>} work
     * @param {ExecutionOptions & {errorMessages?: boolean}} [options] `errorMessages`: whether the message has the text
     *   of the error too, and not only its name. It stays in the ledger for ever.
     * @returns {Promise<T>}
     */
    run<T>(task: string, work: (execution: Execution) => T | PromiseLike<T>, options?: (ExecutionOptions & {
        errorMessages?: boolean | undefined;
    }) | undefined): Promise<T>;
    /**
     * Ends the job; returns whether the end is recorded, and never throws. End the executions first: a newer one
     * reopens the job. It waits, behind the reports of the executions that ended before, for 5 s at most, which all
     * ends in one outage share. Later it is sent in the background for 15 minutes, while the process lives. It is safe
     * to repeat.
     * @param {"completed" | "failed" | "canceled"} [outcome] @param {{message?: unknown}} [options] Why it ended.
     * @returns {Promise<boolean>}
     */
    finish(outcome?: "failed" | "canceled" | "completed" | undefined, options?: {
        message?: unknown;
    } | undefined): Promise<boolean>;
    /**
     * Reads the job again, and returns its snapshot.
     * @param {WaitOptions} options
     * @returns {Promise<Snapshot>}
     */
    refresh({ signal }?: WaitOptions): Promise<Snapshot>;
    /**
     * A snapshot of the past, or by another counting policy.
     * @param {{sequence?: number, at?: Date, policy?: "last" | "last_successful" | "all", signal?: AbortSignal}} options
     * @returns {Promise<Snapshot>}
     */
    snapshotAt({ sequence, at, policy, signal }: {
        sequence?: number;
        at?: Date;
        policy?: "last" | "last_successful" | "all";
        signal?: AbortSignal;
    }): Promise<Snapshot>;
    /**
     * Iterates over the changing snapshots until the job has finished; the last one is that of the finished job. It
     * begins with the current one, and leaves out some of those in quick succession. Each is the job's `snapshot`, too.
     *
     * It uses server-sent events, or polls if the ledger or a proxy does not support them, and continues after outages
     * of up to an hour each. To end it early, leave the loop, or abort the signal, which throws `AbortedError`.
     * @param {WaitOptions} options
     * @returns {AsyncGenerator<Snapshot, void, undefined>}
     */
    watch({ signal }?: WaitOptions): AsyncGenerator<Snapshot, void, undefined>;
    /**
     * Waits until the job has finished, and returns its last snapshot. Outages are handled as by `watch`.
     * @param {WaitOptions} [options]
     * @returns {Promise<Snapshot>}
     */
    wait(options?: WaitOptions | undefined): Promise<Snapshot>;
    /**
     * The contribution of each execution to an indicator.
     * @param {string | null} [label] @param {WaitOptions} options
     * @returns {Promise<Explanation>}
     */
    explain(label?: string | null | undefined, { signal }?: WaitOptions): Promise<Explanation>;
    /**
     * The history of an indicator, thinned to a number of points; every decrease is among them, with its cause.
     * @param {string | null} [label] @param {{points?: number, signal?: AbortSignal}} options
     * @returns {Promise<HistoryPoint[]>}
     */
    history(label?: string | null | undefined, { points, signal }?: {
        points?: number;
        signal?: AbortSignal;
    }): Promise<HistoryPoint[]>;
    /**
     * One short text for a person: how far, when, is it true, what holds it up; and the facts behind it.
     * @param {WaitOptions} options
     * @returns {Promise<Answer>}
     */
    answer({ signal }?: WaitOptions): Promise<Answer>;
    /**
     * The tasks with their executions, in the order of their first events, page after page.
     * @param {{state?: string, silent?: boolean, signal?: AbortSignal}} filter `silent`: only tasks with an execution
     *   that has sent nothing for longer than plausible.
     * @returns {AsyncGenerator<TaskRecord, void, undefined>}
     */
    tasks({ state, silent, signal }?: {
        state?: string;
        silent?: boolean;
        signal?: AbortSignal;
    }): AsyncGenerator<TaskRecord, void, undefined>;
    /**
     * The history, event by event, page after page.
     * @param {object} filter
     * @param {number} [filter.after] Only later events; with `descending`, only earlier ones.
     * @param {boolean} [filter.descending]
     * @param {string} [filter.task] @param {string} [filter.execution] @param {string} [filter.type] @param {string}
     *   [filter.verdict]
     * @param {string | null} [filter.label] Null is the default indicator.
     * @param {AbortSignal} [filter.signal]
     * @returns {AsyncGenerator<LedgerEvent, void, undefined>}
     */
    events({ after, descending, task, execution, type, verdict, label, signal }?: {
        after?: number | undefined;
        descending?: boolean | undefined;
        task?: string | undefined;
        execution?: string | undefined;
        type?: string | undefined;
        verdict?: string | undefined;
        label?: string | null | undefined;
        signal?: AbortSignal | undefined;
    }): AsyncGenerator<LedgerEvent, void, undefined>;
    #private;
}
export type JobState = import("./model.js").JobState;
export type WaitOptions = {
    signal?: AbortSignal;
};
export type ExecutionOptions = {
    /**
     * Orders the executions of the task: a higher one supersedes the lower ones, whichever
     * arrives first. By default the engine provides it (see `attemptFromEngine`), and without an engine the ledger.
     */
    attempt?: number | undefined;
    /**
     * Whether the variables of the workflow engine provide the attempt; true by
     * default.
     */
    attemptFromEngine?: boolean | undefined;
    /**
     * The name of the execution; by default a random one. Each execution needs one of its own.
     */
    name?: string | undefined;
    /**
     * Whether a canceled job refuses the start; true by default. Otherwise the start
     * reopens the job.
     */
    unlessCanceled?: boolean | undefined;
    /**
     * An http or https URL: where to look for more, such as the log.
     */
    link?: string | undefined;
    /**
     * Called once if a newer execution counts.
     */
    onSuperseded?: ((execution: Execution) => unknown) | undefined;
    /**
     * Called at each end of the job that the
     * client notices before the end of the execution.
     */
    onJobEnded?: ((state: string, execution: Execution) => unknown) | undefined;
};
import { Snapshot } from "./model.js";
import { Execution } from "./execution.js";
import { Explanation } from "./model.js";
import { HistoryPoint } from "./model.js";
import { Answer } from "./model.js";
import { TaskRecord } from "./model.js";
import { LedgerEvent } from "./model.js";
