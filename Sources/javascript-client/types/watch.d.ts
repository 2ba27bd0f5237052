/**
 * A new snapshot; the confirmation by the ledger that the last one is current; or a failure after which the watch
 * goes on.
 * @typedef {{kind: "snapshot", snapshot: Snapshot} | {kind: "heartbeat"} | {kind: "interruption", error: unknown}}
 *   Update
 */
export class Watch {
    /**
     * @param {import("./client.js").Client} client @param {string} job
     * @param {object} options
     * @param {AbortSignal} [options.signal]
     * @param {number} [options.idleMax] The milliseconds without data after which a stream counts as lost.
     * @param {number} [options.poll] Polls without a stream, with this pause in milliseconds, and without long requests.
     */
    constructor(client: import("./client.js").Client, job: string, { signal, idleMax, poll }?: {
        signal?: AbortSignal | undefined;
        idleMax?: number | undefined;
        poll?: number | undefined;
    });
    /** Ends the watch, also while it waits. */
    close: () => void;
    /** @returns {AsyncGenerator<Update, void, undefined>} */
    updates(): AsyncGenerator<Update, void, undefined>;
    #private;
}
/**
 * A new snapshot; the confirmation by the ledger that the last one is current; or a failure after which the watch
 * goes on.
 */
export type Update = {
    kind: "snapshot";
    snapshot: Snapshot;
} | {
    kind: "heartbeat";
} | {
    kind: "interruption";
    error: unknown;
};
import { Snapshot } from "./model.js";
