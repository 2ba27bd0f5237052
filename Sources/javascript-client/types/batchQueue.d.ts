/**
 * @typedef {import("./batch.js").Batch} Batch
 * @typedef {import("./reportBuffer.js").SentEvent} SentEvent
 */
/** Batches in the order in which they are sent; only the first one is ever in flight. */
export class BatchQueue {
    /** The maximum number of events in a batch: less than the limit once a server or proxy refused a larger batch. */
    sizeMax: number;
    /** The last generation of the buffer whose reports are settled. */
    settledGeneration: number;
    /** The batch in flight, or the next one. */
    get first(): import("./batch.js").Batch | undefined;
    get isEmpty(): boolean;
    /** The number of events, without repeated starts. */
    get eventCount(): number;
    /** @param {Batch} batch */
    push(batch: Batch): void;
    clear(): void;
    /** Removes a repeated start that is next. */
    dropHeartbeat(): void;
    /** Records that the outcome of the batch in flight is unknown. */
    outcomeIsUnknown(): void;
    /** Removes the batch in flight, which the ledger has recorded or refused. */
    settle(): void;
    /**
     * Replaces the events of all batches, none of which the ledger has recorded.
     * @param {(event: SentEvent, position: number, isInFlight: boolean) => SentEvent} change
     */
    replaceEvents(change: (event: SentEvent, position: number, isInFlight: boolean) => SentEvent): void;
    /** Limits later batches to half of the one in flight. */
    limitSize(): void;
    /**
     * Divides the batch in flight in halves; returns whether it has more than one event. The halves keep their report
     * numbers: if the whole was recorded after all, they change nothing.
     */
    divide(): boolean;
    /**
     * Removes the events at these positions from the batch in flight; returns the number of lost events.
     * @param {number[]} positions
     */
    drop(positions: number[]): number;
    #private;
}
export type Batch = import("./batch.js").Batch;
export type SentEvent = import("./reportBuffer.js").SentEvent;
