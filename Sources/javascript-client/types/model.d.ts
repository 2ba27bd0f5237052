/** @typedef {"running" | "completed" | "failed" | "canceled"} JobState */
/** Units of work. */
export class Units {
    /** @param {unknown} content */
    constructor(content: unknown);
    total: bigint;
    done: bigint;
}
/** A part of a job's progress: a pair of done and total units, identified by its label. */
export class Indicator {
    /** @param {unknown} content */
    constructor(content: unknown);
    /** Null for the default indicator. */
    label: string | null;
    /** The counted units. `done` may exceed `total`, which may be 0. */
    done: bigint;
    total: bigint;
    /** Rounded down, may exceed 100; null while `total` is 0. */
    percent: number | null;
    /** The units of all executions, also of superseded ones. */
    attemptedDone: bigint;
    attemptedTotal: bigint;
    /** The units of superseded executions, which had to be done again. */
    wastedDone: bigint;
    wastedTotal: bigint;
    /** The units that a resumed execution did not do itself. */
    carriedDone: bigint;
    /** What is counted, such as `bytes`; null if no report says it. */
    unit: string | null;
    /** The newest message. */
    message: string | null;
    updatedAt: Date | null;
    /** The time of its last advance, if that is longer ago than plausible. */
    stalledSince: Date | null;
    /** The recent number of units per second; null before anything is done, and after the job has ended. */
    rate: number | null;
    remainingSeconds: number | null;
    toString(): string;
}
/** The numbers of a job's tasks by state, and of their executions. */
export class TaskCounts {
    /** @param {unknown} content */
    constructor(content: unknown);
    total: number;
    running: number;
    succeeded: number;
    failed: number;
    canceled: number;
    /** Tasks without an outcome in a job that has ended. */
    abandoned: number;
    executions: number;
    supersededExecutions: number;
    /** Running executions that have sent nothing for longer than plausible: their workers may be lost. */
    silent: number;
}
/** The state of a job at one sequence. */
export class Snapshot {
    /**
     * @param {unknown} content @param {number} [receivedAt] The time of the monotonic clock at which it arrived.
     * @param {() => number} [monotonic] That clock; without it, ages do not grow.
     */
    constructor(content: unknown, receivedAt?: number | undefined, monotonic?: (() => number) | undefined);
    /** The id of the job. */
    job: string;
    name: string;
    key: string | null;
    tags: Record<string, string>;
    state: JobState;
    /** The percentage of the whole job, rounded down; null if it is unknown. */
    percent: number | null;
    /** The last event in the snapshot. */
    sequence: number;
    /** The last event in the ledger; the difference is the lag. */
    ledgerSequence: number;
    createdAt: Date | null;
    startedAt: Date | null;
    updatedAt: Date | null;
    finishedAt: Date | null;
    /** The ledger's clock at the time of the response; `since` computes ages from it. */
    now: Date | null;
    /** The time of the last event, if all tasks have ended and the job has not. */
    idleSince: Date | null;
    /** The time of the last advance, if that is longer ago than plausible. */
    stalledSince: Date | null;
    /** The newest message. */
    message: string | null;
    tasks: TaskCounts;
    estimate: Estimate | null;
    /** The indicators, in the order in which events first named them. */
    progress: Indicator[];
    /** Whether the job has ended. */
    get isFinished(): boolean;
    /**
     * The indicator with this label; undefined if no counted event names it.
     * @param {string | null} [label] Without one, the default indicator.
     */
    indicator(label?: string | null | undefined): Indicator | undefined;
    /**
     * The ledger's clock now, whatever the local clock shows; null without `now`. Takes the monotonic clock, in
     * milliseconds.
     * @param {number} [clock]
     * @returns {Date | null}
     */
    clock(clock?: number | undefined): Date | null;
    /**
     * The milliseconds since a time of the ledger's clock, such as `updatedAt`, whatever the local clock shows; null if
     * that is unknown.
     * @param {Date | null} moment
     */
    since(moment: Date | null): number | null;
    toString(): string;
    #private;
}
/** Another execution of a task. */
export class ExecutionReference {
    /** @param {unknown} content */
    constructor(content: unknown);
    /** Its name; null if it has none. */
    execution: string | null;
    attempt: number;
    /** Its first event. */
    sequence: number;
}
/** One execution of a task, as recorded in the ledger. */
export class ExecutionRecord {
    /** @param {unknown} content */
    constructor(content: unknown);
    execution: string | null;
    attempt: number;
    /** Null while it is running. */
    outcome: string | null;
    firstSequence: number;
    lastSequence: number;
    startedAt: Date | null;
    lastAt: Date | null;
    /** Whether it is the last execution of its task: the one that counts. */
    counted: boolean;
    /** Whether it failed and counts only until a newer execution starts. */
    provisional: boolean;
    /** The token or subject that started it; null without authentication. */
    reporter: string | null;
    /** The time of its last event, if that is longer ago than plausible. */
    silentSince: Date | null;
    /** What it was doing, or why it ended. */
    message: string | null;
    link: string | null;
    /** Its reported units, by label. */
    progress: {
        total: bigint;
        done: bigint;
        label: string | null;
    }[];
}
/** A task with its executions. */
export class TaskRecord {
    /** @param {unknown} content */
    constructor(content: unknown);
    task: string;
    /** The outcome of its last execution, `running`, or `abandoned` if the job has ended without one. */
    state: string;
    executions: ExecutionRecord[];
}
/** One entry of a job's history. What does not apply is null. */
export class LedgerEvent {
    /** @param {unknown} content */
    constructor(content: unknown);
    sequence: number;
    type: string;
    task: string | null;
    execution: string | null;
    attempt: number | null;
    /** The process of its own within the execution. */
    part: string | null;
    report: number | null;
    label: string | null;
    /** The increments; null if absent, which means 0. */
    total: bigint | null;
    done: bigint | null;
    carried: bigint | null;
    outcome: string | null;
    message: string | null;
    link: string | null;
    unit: string | null;
    /** The token or subject that appended it; null without authentication. */
    reporter: string | null;
    name: string | null;
    key: string | null;
    tags: Record<string, string> | null;
    /** The time by the reporter's clock. */
    at: Date | null;
    recordedAt: Date | null;
    /** The fields that are shown but not part of the event. */
    inferred: any[];
    /** Null until the projection has reached the event. */
    verdict: string | null;
    /** Whether the execution was superseded before the event arrived. */
    late: boolean;
    supersededBy: ExecutionReference | null;
    /** The event that it repeats. */
    duplicateOf: number | null;
    /** Its hash in the job's chain, in hexadecimal. */
    hash: string | null;
}
/** The units of one execution in an indicator, by verdict. */
export class Contribution {
    /** @param {string} task @param {unknown} content */
    constructor(task: string, content: unknown);
    task: string;
    execution: string | null;
    attempt: number;
    counted: Units;
    superseded: Units;
    discarded: Units;
    supersededBy: ExecutionReference | null;
}
/** Where each unit of an indicator went. */
export class Explanation {
    /** @param {unknown} content */
    constructor(content: unknown);
    label: string | null;
    /** The last event included. */
    sequence: number;
    /** @type {Contribution[]} */
    contributions: Contribution[];
    /** The sums of all: received = counted + superseded + discarded; attempted = counted + superseded. */
    conservation: {
        received: Units;
        counted: Units;
        superseded: Units;
        discarded: Units;
        attempted: Units;
    };
    /**
     * Adds the contributions of a page.
     * @param {Record<string, any>} page
     */
    add(page: Record<string, any>): void;
}
/** An indicator at one event. */
export class HistoryPoint {
    /** @param {unknown} content */
    constructor(content: unknown);
    sequence: number;
    at: Date | null;
    total: bigint;
    done: bigint;
    /** The newer execution that caused a decrease, the one that it superseded, and the lost units; null otherwise. */
    cause: {
        superseded: ExecutionReference | null;
        lost: Units;
        /** Its name; null if it has none. */
        execution: string | null;
        attempt: number;
        /** Its first event. */
        sequence: number;
        task: string;
    } | null;
}
/** A short text about a job and the facts behind it. */
export class Answer {
    /** @param {unknown} content */
    constructor(content: unknown);
    /** How far, when, is it true, what holds it up. Names that a job chose are in quotation marks. */
    text: string;
    state: string;
    percent: number | null;
    remainingSeconds: {
        p10: number;
        p50: number;
        p90: number;
    } | null;
    finishAt: {
        p10: Date;
        p50: Date;
        p90: Date;
    } | null;
    stalledSince: Date | null;
    failedTasks: number;
    waitingFor: {
        label: string | null;
        tasks: any[];
    } | null;
    askAgainSeconds: number;
}
export type JobState = "running" | "completed" | "failed" | "canceled";
import { Estimate } from "./estimate.js";
