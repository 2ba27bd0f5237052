export class Health {
    /**
     * @param {(line: string) => void} log @param {() => number} now A monotonic clock in milliseconds.
     * @param {string} address The URL of the ledger without a password.
     */
    constructor(log: (line: string) => void, now: () => number, address: string);
    /**
     * Records a failed request, and logs the first one of an outage.
     * @param {unknown} error
     */
    recordFailure(error: unknown): void;
    /** Records a response, and logs the end of an outage that was logged. */
    recordSuccess(): void;
    /**
     * Records a wait for the last reports that timed out. It begins an outage if no response arrived during the wait.
     * @param {number} began @param {number} wait
     */
    recordTimeout(began: number, wait: number): void;
    /**
     * The rest of the wait that all ends share in an outage.
     * @param {number} wait
     */
    remainingWait(wait: number): number;
    /**
     * Logs that reports were given up, unless the outage was logged in the last minute.
     * @param {number} count @param {unknown} cause
     */
    logLoss(count: number, cause: unknown): void;
    /**
     * Logs the first problem of each kind.
     * @param {string} kind @param {string} text
     */
    logOnce(kind: string, text: string): void;
    #private;
}
