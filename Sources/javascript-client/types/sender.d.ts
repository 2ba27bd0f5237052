/** @typedef {import("./delivery.js").Delivery} Delivery */
/** @typedef {import("./delivery.js").Step} Step */
/**
 * What the sender tells its execution.
 * @typedef {object} Listener
 * @property {() => void} superseded A newer execution counts; called once.
 * @property {(state: string) => void} jobEnded
 */
/**
 * Whether this is the refusal of a start because the job is canceled.
 * @param {unknown} error
 */
export function isJobCanceled(error: unknown): boolean;
export class Sender {
    /**
     * @param {import("./client.js").Client} client @param {string} job @param {Delivery} delivery
     * @param {{unless_canceled?: boolean, link?: string}} start Further fields of the start.
     * @param {string} description Names the execution in the log. @param {Listener} listener
     */
    constructor(client: import("./client.js").Client, job: string, delivery: Delivery, start: {
        unless_canceled?: boolean;
        link?: string;
    }, description: string, listener: Listener);
    /**
     * Resolves once the start is recorded or refused, or once nothing more is sent.
     * @type {Promise<void>}
     */
    startDone: Promise<void>;
    /**
     * Resolves once nothing more is sent.
     * @type {Promise<void>}
     */
    stopped: Promise<void>;
    get job(): string;
    get delivery(): import("./delivery.js").Delivery;
    /**
     * Begins to send, after the start of an earlier execution of the same task.
     * @param {Promise<void> | null} predecessor
     */
    begin(predecessor: Promise<void> | null): void;
    /** Lets the sender decide again. */
    wake(): void;
    /** Lets the sender try again at once, unless the ledger asked for a pause. */
    skipPause(): void;
    /** Makes everything due; returns the generation to wait for. */
    flush(): number;
    /** Drops everything undelivered, and returns the count. */
    abandon(): number;
    /**
     * Waits until a condition holds, nothing more is sent, or a time has passed; returns whether it holds.
     * @param {() => boolean} condition @param {number} milliseconds
     * @returns {Promise<boolean>}
     */
    until(condition: () => boolean, milliseconds: number): Promise<boolean>;
    #private;
}
export type Delivery = import("./delivery.js").Delivery;
export type Step = import("./delivery.js").Step;
/**
 * What the sender tells its execution.
 */
export type Listener = {
    /**
     * A newer execution counts; called once.
     */
    superseded: () => void;
    jobEnded: (state: string) => void;
};
