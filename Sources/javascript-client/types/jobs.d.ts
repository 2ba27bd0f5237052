/** @typedef {{signal?: AbortSignal}} WaitOptions */
/**
 * @typedef {object} JobFilter
 * @property {import("./model.js").JobState} [state]
 * @property {string} [name]
 * @property {string} [key]
 * @property {string} [search] A part of the name.
 * @property {Record<string, string>} [tags] The job has all of these.
 * @property {AbortSignal} [signal]
 */
export class Jobs {
    /** @param {import("./client.js").Client} client */
    constructor(client: import("./client.js").Client);
    /**
     * Creates a job, or returns the one with the same key and content. It waits for the ledger, and retries for 10 s
     * while it is unreachable; without a key the retries create one job too.
     *
     * Throws `InvalidValueError`, `ConflictError` if another job has the key, `UnauthorizedError`, and
     * `UnavailableError`, after which a further call without a key may create a second job. Without a URL the job is
     * silent.
     *
     * The name, the key and the tags stay in the ledger for ever: do not put personal data into them.
     * @param {string} name At most 200 characters.
     * @param {{key?: string, tags?: Record<string, string>, signal?: AbortSignal}} options
     * @returns {Promise<Job>}
     */
    create(name: string, { key, tags, signal }?: {
        key?: string;
        tags?: Record<string, string>;
        signal?: AbortSignal;
    }): Promise<Job>;
    /**
     * Reads the job with this id, or with this key: `find(id)`, `find({ key })`. It includes everything that this
     * client has written before.
     *
     * Throws `NotFoundError`, `InvalidValueError`, `UnauthorizedError`, `UnavailableError` and `NotConfiguredError`.
     * @param {string | {key: string}} which @param {WaitOptions} options
     * @returns {Promise<Job>}
     */
    find(which: string | {
        key: string;
    }, { signal }?: WaitOptions): Promise<Job>;
    /**
     * Lists jobs with their snapshots, newest first, page after page.
     * @param {JobFilter} filter
     * @returns {AsyncGenerator<Job, void, undefined>}
     */
    list({ state, name, key, search, tags, signal }?: JobFilter): AsyncGenerator<Job, void, undefined>;
    #private;
}
export type WaitOptions = {
    signal?: AbortSignal;
};
export type JobFilter = {
    state?: import("./model.js").JobState | undefined;
    name?: string | undefined;
    key?: string | undefined;
    /**
     * A part of the name.
     */
    search?: string | undefined;
    /**
     * The job has all of these.
     */
    tags?: Record<string, string> | undefined;
    signal?: AbortSignal | undefined;
};
import { Job } from "./job.js";
