export class JobEnd {
    /**
     * @param {import("./client.js").Client} client @param {string} job
     * @param {"completed" | "failed" | "canceled"} outcome @param {{message?: string}} remarks
     * @param {Promise<void>[]} predecessors Resolve when the executions that ended before are delivered or given up.
     */
    constructor(client: import("./client.js").Client, job: string, outcome: "completed" | "failed" | "canceled", remarks: {
        message?: string;
    }, predecessors: Promise<void>[]);
    job: string;
    /** Resolves once the end is recorded, refused or given up. */
    settled: Promise<void>;
    /** The error of the last try; null if there is none. */
    get error(): unknown;
    get isRecorded(): boolean;
    /** Tries again at once. */
    skipPause(): void;
    /** Continues without the caller. */
    leave(): void;
    /** Stops the delivery. */
    giveUp(): void;
    #private;
}
