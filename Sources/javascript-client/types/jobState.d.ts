export class JobState {
    /**
     * The state in which the job has ended; null while it is running.
     * @type {string | null}
     */
    ended: string | null;
    /**
     * Records the state of the job in a response; none changes nothing.
     * @param {unknown} state
     */
    hasState(state: unknown): void;
    /** The end of the job that the task must be told of, once for each end; null if there is none. */
    takeEnd(): string | null;
    #private;
}
