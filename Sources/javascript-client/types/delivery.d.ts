/**
 * The pause after this number of consecutive failures. It doubles with each one; a random part of it, at least half,
 * is taken.
 * @param {number} failures @param {number} random From 0 to 1.
 */
export function backoff(failures: number, random: number): number;
export class Delivery {
    /**
     * @param {Identity} identity
     * @param {{interval?: number, checkInterval?: number, attachedAt?: number, random?: () => number}} options With
     *   `attachedAt`, the time of now, the execution is one that runs elsewhere: it is neither started nor ended.
     */
    constructor(identity: Identity, { interval, checkInterval, attachedAt, random, }?: {
        interval?: number;
        checkInterval?: number;
        attachedAt?: number;
        random?: () => number;
    });
    /** False while an earlier execution of the same task is about to start: the ledger orders them by arrival. */
    isStartAllowed: boolean;
    /**
     * The state of the start. `pending`: not sent, or with unknown outcome; becomes `recorded` or `rejected`. `recorded`:
     * becomes `pending` if the ledger went back to a state without it. `rejected`: final; nothing else is sent.
     * @type {"pending" | "recorded" | "rejected"}
     */
    start: "pending" | "recorded" | "rejected";
    /** The sequence of the start; 0 if unknown. */
    startSequence: number;
    isSuperseded: boolean;
    isEnded: boolean;
    /** Whether nothing more will be sent. */
    isAbandoned: boolean;
    isFinishQueued: boolean;
    /**
     * The state in which the job has ended; null while it is running.
     * @type {string | null}
     */
    jobEnded: string | null;
    /**
     * The error of the last request; null if it succeeded.
     * @type {unknown}
     */
    lastError: unknown;
    counts: {
        taken: number;
        refused: number;
        delivered: number;
        discarded: number;
        dropped: number;
        failures: number;
        requests: number;
    };
    /**
     * The attempt, as far as it is known.
     * @type {number | null}
     */
    attempt: number | null;
    buffer: ReportBuffer;
    /**
     * The next action. It is asked for only while no request is in flight.
     * @param {number} now
     * @returns {Step}
     */
    next(now: number): Step;
    /** Whether a report may be the first event of the execution, which must not reopen a canceled job. */
    get mayStart(): boolean;
    /**
     * Adds increments, and returns the problem of a refused call.
     *
     * Unless the clock is needed, it is not read: `now` is a function.
     * @param {string} label @param {Increments} increments @param {Remarks | null} remarks @param {() => number} now
     * @returns {{field: string, problem: string} | null}
     */
    report(label: string, increments: Increments, remarks: Remarks | null, now: () => number): {
        field: string;
        problem: string;
    } | null;
    /** The optional fields that the ledger does not know, for the log. */
    get unknownFields(): string;
    /** Counts a call that was refused, and changed nothing. */
    refused(): void;
    /** The number of events that the ledger has not recorded yet. */
    get pending(): number;
    /** The number of lost events that the ledger has not recorded. */
    get lost(): number;
    /** Counts a message, a link or a unit that was left out, while its units count. */
    noteWasDropped(): void;
    /** Makes all reports due now; returns the generation to wait for. */
    flush(): number;
    /** Ends the client's own pause after a failure. */
    skipPause(): void;
    /**
     * Whether everything up to a generation is settled.
     * @param {number} target
     */
    isDelivered(target: number): boolean;
    /** Whether the end of the execution is settled. */
    get isFinishSettled(): boolean;
    /**
     * Records that nothing more will be reported. One try follows at once, even during a pause.
     * @param {Outcome} outcome @param {number} now @param {Remarks | null} [remarks]
     */
    end(outcome: Outcome, now: number, remarks?: import("./reportBuffer.js").Remarks | null | undefined): void;
    /** Drops everything undelivered, counts it, and returns the count. */
    abandon(): number;
    /**
     * Records a successful start.
     * @param {number | null} attempt Null if the response does not contain it. @param {number} sequence @param {number}
     *   now
     */
    startWasRecorded(attempt: number | null, sequence: number, now: number): void;
    /**
     * Schedules the start again, which the ledger has lost.
     * @param {number} now
     */
    startWasLost(now: number): void;
    /**
     * Ends the delivery, because the ledger refused the start, or the first report to an execution of a canceled job.
     * @param {unknown} error
     */
    startWasRejected(error: unknown): void;
    /**
     * Records the state of the job in a response; none changes nothing.
     * @param {unknown} state
     */
    jobHasState(state: unknown): void;
    /**
     * The end of the job that the task must be told of; null if there is none. Each end is returned once, and none after
     * the end of the execution: nothing is left to stop then.
     */
    takeJobEnd(): string | null;
    /**
     * Records a check for a newer execution.
     * @param {number} now
     */
    checked(now: number): void;
    /**
     * Records a check that the ledger refused; the next one follows after the usual interval.
     * @param {unknown} error @param {number} now
     */
    checkWasRejected(error: unknown, now: number): void;
    /**
     * Schedules the next try. The random fraction keeps executions that failed together from returning together.
     * @param {unknown} error @param {number} now @param {number} retryAfter @param {number} random From 0 to 1.
     */
    requestFailed(error: unknown, now: number, retryAfter: number, random: number): void;
    /**
     * Records that the ledger has recorded the batch in flight.
     *
     * Reports of one sender never collide. A verdict that discards one means that another reporter uses the same
     * execution name. A duplicate is expected if the batch was sent before.
     * @param {unknown} verdicts Null if they were not requested or are not known. @param {number} now @param {boolean}
     *   isCheck
     * @returns {{isSuperseded: boolean, collision: string | null}}
     */
    accepted(verdicts: unknown, now: number, isCheck: boolean): {
        isSuperseded: boolean;
        collision: string | null;
    };
    /**
     * Records that the ledger has refused the batch in flight for good; returns the number of lost events.
     *
     * A message, a link or another optional field that it names is left out; if the ledger has never accepted such a
     * field, it does not know it, and later events are sent without it too. Other events that it names are dropped,
     * because they would block the others. If it names none, the batch is divided to find them. If the job does not
     * exist, or was retired, everything is given up.
     * @param {unknown} error
     */
    rejected(error: unknown): number;
    /**
     * Records that the ledger does not know the link of a start.
     * @param {unknown} error
     */
    startLinkWasRefused(error: unknown): void;
    /**
     * Divides the batch in flight, which is too large, and limits later ones; returns the number of lost events.
     * @param {unknown} error
     */
    tooLarge(error: unknown): number;
    #private;
}
export type SentEvent = import("./reportBuffer.js").SentEvent;
export type Identity = import("./reportBuffer.js").Identity;
export type Remarks = import("./reportBuffer.js").Remarks;
export type Outcome = "succeeded" | "failed" | "canceled";
/**
 * A frozen group of numbered events that one request carries.
 */
export type Batch = {
    events: SentEvent[];
    body: string;
    /**
     * The generation of the buffer that ends with this batch; 0 if it was not
     * emptied.
     */
    completedGeneration: number;
    /**
     * Whether the batch, or one that contained its events, was sent before.
     */
    isResent: boolean;
    /**
     * Whether it only repeats the start: nothing counts it, and no end waits for it.
     */
    isHeartbeat: boolean;
};
/**
 * The sender's next action: record the start, send the batch, check whether the execution is superseded, wait until
 * `until` (null: until something happens), or stop because everything is delivered or abandoned.
 */
export type Step = {
    kind: "start" | "send" | "check" | "wait" | "stop";
    batch?: Batch | undefined;
    /**
     * Whether the batch requests the verdicts.
     */
    isCheck?: boolean | undefined;
    until?: number | null | undefined;
};
/**
 * The increments of one call; with `isPosition`, the sums that its indicator shall reach.
 */
export type Increments = {
    total?: unknown;
    done?: unknown;
    carried?: unknown;
    isPosition?: boolean;
};
import { ReportBuffer } from "./reportBuffer.js";
