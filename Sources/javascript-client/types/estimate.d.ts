/** A prediction of the remaining time of a running job, or the reason for none. */
export class Estimate {
    /**
     * Reads the `estimate` of a job; null from an older ledger.
     * @param {unknown} content
     * @returns {Estimate | null}
     */
    static read(content: unknown): Estimate | null;
    /** @param {Record<string, unknown>} fields @param {Date} at */
    constructor(fields: Record<string, unknown>, at: Date);
    /** The time at which it was made, by the ledger's clock. */
    at: Date;
    /** The remaining seconds; of ten jobs, eight should end between `p10` and `p90`. Null without a prediction. */
    remainingSeconds: {
        p10: number;
        p50: number;
        p90: number;
    } | null;
    /** The time of the end. */
    finishAt: {
        p10: Date;
        p50: Date;
        p90: Date;
    } | null;
    /** `job`, or `history` if earlier jobs of the name were used. */
    basis: string | null;
    /** The work that determines the end: an indicator, and the tasks that will probably end last. */
    waitingFor: {
        label: string | null;
        tasks: any[];
    } | null;
    /** The reason for no prediction, for example `finished` or `no_progress`. */
    reason: string | null;
    /** The earlier jobs of the name whose estimates were scored, and how many ended between `p10` and `p90`. */
    trackRecord: {
        jobs: number;
        endedInside: number;
    } | null;
    /**
     * The remaining time in words, `≈ 12 min (9–20)`; empty without a prediction.
     * @param {Date | null} [now] The ledger's clock, if time has passed since: `snapshot.clock()`.
     */
    text(now?: Date | null | undefined): string;
    toString(): string;
}
