/**
 * @typedef {import("./batch.js").Batch} Batch
 * @typedef {import("./reportBuffer.js").Identity} Identity
 * @typedef {import("./reportBuffer.js").Remarks} Remarks
 * @typedef {"succeeded" | "failed" | "canceled"} Outcome
 */
/**
 * The sender's next action: record the start, send the batch, check whether the execution is superseded, wait until
 * `until` (null: until something happens), or stop because everything is delivered or abandoned.
 * @typedef {object} Step
 * @property {"start" | "send" | "check" | "wait" | "stop"} kind
 * @property {Batch} [batch]
 * @property {boolean} [isCheck] Whether the batch requests the verdicts.
 * @property {number | null} [until]
 */
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
     * The error of the last request; null if it succeeded.
     * @type {unknown}
     */
    lastError: unknown;
    counts: Counts;
    job: JobState;
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
     * @param {string} label @param {import("./values.js").Increments} increments @param {Remarks | null} remarks @param {() => number} now
     * @returns {{field: string, problem: string} | null}
     */
    report(label: string, increments: import("./values.js").Increments, remarks: Remarks | null, now: () => number): {
        field: string;
        problem: string;
    } | null;
    /** The optional fields that the ledger does not know, for the log. */
    get unknownFields(): string;
    /** The number of events that the ledger has not recorded yet. */
    get pending(): number;
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
    /** The state in which the job has ended; null while it is running. */
    get jobEnded(): string | null;
    /**
     * The end of the job that the task must be told of; null if there is none. None is returned after the end of the
     * execution: nothing is left to stop then.
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
     * Schedules the next try of a request whose outcome is unknown.
     * @param {unknown} error @param {number} now @param {number} retryAfter @param {number} random From 0 to 1.
     */
    requestFailed(error: unknown, now: number, retryAfter: number, random: number): void;
    /**
     * Records that the ledger has recorded the batch in flight.
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
     * A message, a link or another optional field that it names is left out; if the ledger does not know the field, later
     * events are sent without it too. Other events that it names are dropped, because they would block the others. If it
     * names none, the batch is divided to find them. If the job does not exist, or was retired, everything is given up.
     * @param {unknown} error
     */
    rejected(error: unknown): number;
    /**
     * Whether the part of a batch was refused that an earlier request may have recorded. During an upgrade, servers of
     * both versions respond at one address. With another number the reports would count twice, so the batch is repeated
     * until a newer server responds.
     * @param {unknown} error
     */
    isPartUncertain(error: unknown): boolean;
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
export type Batch = import("./batch.js").Batch;
export type Identity = import("./reportBuffer.js").Identity;
export type Remarks = import("./reportBuffer.js").Remarks;
export type Outcome = "succeeded" | "failed" | "canceled";
/**
 * The sender's next action: record the start, send the batch, check whether the execution is superseded, wait until
 * `until` (null: until something happens), or stop because everything is delivered or abandoned.
 */
export type Step = {
    kind: "start" | "send" | "check" | "wait" | "stop";
    batch?: import("./batch.js").Batch | undefined;
    /**
     * Whether the batch requests the verdicts.
     */
    isCheck?: boolean | undefined;
    until?: number | null | undefined;
};
import { Counts } from "./counts.js";
import { JobState } from "./jobState.js";
import { ReportBuffer } from "./reportBuffer.js";
