/** Counts of reports, which only grow. `Sources/ProgressLedgerClient` says what they mean for all clients. */
export class Counts {
    taken: number;
    refused: number;
    delivered: number;
    discarded: number;
    dropped: number;
    failures: number;
    requests: number;
    /** Counts a call that was refused, and changed nothing. */
    refuse(): void;
    /**
     * Counts recorded events that will never count.
     * @param {number} events
     */
    discard(events: number): void;
    /** Counts a message, a link or a unit that was left out, while its units count. */
    dropNote(): void;
    /** The number of lost events that the ledger has not recorded. */
    get lost(): number;
    #private;
}
