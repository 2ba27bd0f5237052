/**
 * The pause after this number of consecutive failures. It doubles with each one; a random part of it, at least half,
 * is taken.
 * @param {number} failures @param {number} random From 0 to 1.
 */
export function backoff(failures: number, random: number): number;
/** The pause of one sender. */
export class Pause {
    /** The time before which no request is sent. */
    get end(): number;
    /**
     * Begins a pause. The random fraction keeps executions that failed together from returning together.
     * @param {number} now @param {number} retryAfter @param {number} random From 0 to 1.
     */
    begin(now: number, retryAfter: number, random: number): void;
    /** Ends the client's own pause, and not the one that the ledger requested. */
    skip(): void;
    /** Ends the outage: the ledger has responded. */
    clear(): void;
    #private;
}
