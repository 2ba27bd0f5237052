export class OwnWrites {
    /**
     * Records an event of this client.
     * @param {string} job @param {number} sequence
     */
    wrote(job: string, sequence: number): void;
    /**
     * Records a snapshot that this client has read.
     * @param {string} job @param {number} sequence
     */
    saw(job: string, sequence: number): void;
    /**
     * This client's last event, 0 if there is none.
     * @param {string} job
     */
    last(job: string): number;
    /**
     * Whether a snapshot with this client's last event was read.
     * @param {string} job
     */
    isFolded(job: string): boolean;
    /**
     * Removes a job, after a restore to a state without these events.
     * @param {string} job
     */
    forget(job: string): void;
    /** The jobs with events that were not seen in a snapshot. */
    unfolded(): string[];
    #private;
}
