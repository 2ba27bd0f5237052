/** The unsent increments of one indicator. */
export class PendingIndicator {
    /** @param {string} label */
    constructor(label: string);
    total: Amount;
    done: Amount;
    carried: Amount;
    /**
     * The newest message and link that are not sent.
     * @type {Remarks | null}
     */
    remarks: Remarks | null;
    /**
     * The first unit that was given. Others are ignored, as the ledger does.
     * @type {string | null}
     */
    unit: string | null;
    isUnitSent: boolean;
    /** Whether an event has named it. */
    isDeclared: boolean;
    /** Whether there is something to send, which may be just that the indicator exists. */
    isDirty: boolean;
    /** The sums of all reports, up to the largest increment; `setDone` and `setTotal` compare with them. */
    reportedDone: number;
    reportedTotal: number;
    label: string;
    get isZero(): boolean;
}
/**
 * Sums up the increments of one execution, and makes numbered events.
 *
 * It is bounded: increments of the same indicator are added up, and there are at most 1,000 indicators.
 */
export class ReportBuffer {
    /** @param {Identity} identity */
    constructor(identity: Identity);
    identity: Identity;
    /** The number of indicators with something to send. */
    get count(): number;
    /**
     * The entry of a label, or the problem of the label.
     * @param {string} label Empty for the default indicator.
     * @returns {PendingIndicator | string}
     */
    indicator(label: string): PendingIndicator | string;
    /**
     * Adds increments, which were checked, to an indicator.
     * @param {PendingIndicator} pending @param {number} total @param {number} done @param {number} carried
     * @param {Remarks | null} remarks
     */
    add(pending: PendingIndicator, total: number, done: number, carried: number, remarks: Remarks | null): void;
    /**
     * Adds the differences to a position, which was checked. It never goes backwards: a lower one adds nothing, and one
     * that does not change has nothing to send.
     * @param {PendingIndicator} pending @param {number} total @param {number} done @param {Remarks | null} remarks
     */
    moveTo(pending: PendingIndicator, total: number, done: number, remarks: Remarks | null): void;
    /**
     * Removes at most this number of events from the buffer and numbers them. The caller must send them until they are
     * settled: their numbers belong to this content for good.
     * @param {number} max
     * @returns {SentEvent[]}
     */
    take(max: number): SentEvent[];
    /** Drops everything unsent. */
    clear(): void;
    /**
     * An event of the execution.
     * @param {string} type
     * @returns {SentEvent}
     */
    event(type: string): SentEvent;
    #private;
}
/**
 * The name of an execution in its events.
 */
export type Identity = {
    task: string;
    execution: string;
    /**
     * Absent if the ledger assigns it.
     */
    attempt?: number | undefined;
    /**
     * The part of a process of its own within the execution.
     */
    part?: string | undefined;
};
/**
 * An event as sent. An absent increment is 0; an absent label is the default indicator.
 */
export type SentEvent = {
    type: string;
    task: string;
    execution: string;
    attempt?: number | undefined;
    part?: string | undefined;
    report?: number | undefined;
    label?: string | undefined;
    total?: number | undefined;
    done?: number | undefined;
    carried?: number | undefined;
    outcome?: string | undefined;
    message?: string | undefined;
    link?: string | undefined;
    unit?: string | undefined;
};
/**
 * What a report can say besides its increments; checked values.
 */
export type Remarks = {
    message?: string | undefined;
    link?: string | undefined;
    unit?: string | undefined;
};
/**
 * The name of an execution in its events.
 * @typedef {object} Identity
 * @property {string} task
 * @property {string} execution
 * @property {number} [attempt] Absent if the ledger assigns it.
 * @property {string} [part] The part of a process of its own within the execution.
 */
/**
 * An event as sent. An absent increment is 0; an absent label is the default indicator.
 * @typedef {object} SentEvent
 * @property {string} type
 * @property {string} task
 * @property {string} execution
 * @property {number} [attempt]
 * @property {string} [part]
 * @property {number} [report]
 * @property {string} [label]
 * @property {number} [total]
 * @property {number} [done]
 * @property {number} [carried]
 * @property {string} [outcome]
 * @property {string} [message]
 * @property {string} [link]
 * @property {string} [unit]
 */
/**
 * What a report can say besides its increments; checked values.
 * @typedef {object} Remarks
 * @property {string} [message]
 * @property {string} [link]
 * @property {string} [unit]
 */
/** A sum of increments: `full` times the largest increment, plus a rest. One event carries one increment. */
declare class Amount {
    full: number;
    rest: number;
    /** @param {number} n */
    add(n: number): void;
    /**
     * Removes and returns the units that one event can contain.
     * @param {number} max
     */
    take(max?: number): number;
    get isZero(): boolean;
}
export {};
