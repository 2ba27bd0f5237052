// Creates, finds and lists jobs.

import { InvalidValueError, NotFoundError, Problem } from "./errors.js";
import { withQuery } from "./http.js";
import { Job } from "./job.js";
import { jobKeyLengthMax, jobNameLengthMax, tagNameLengthMax, tagsMax, tagValueLengthMax } from "./limits.js";
import { Snapshot } from "./model.js";
import { catchUpAll, pages, readSnapshot } from "./reading.js";
import { textProblem } from "./values.js";

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
  #client;

  /** @param {import("./client.js").Client} client */
  constructor(client) {
    this.#client = client;
  }

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
  async create(name, { key, tags, signal } = {}) {
    check("name", name, 1, jobNameLengthMax);
    if (key !== undefined && key !== null) check("key", key, 1, jobKeyLengthMax);
    const entries = Object.entries(tags ?? {});
    if (entries.length > tagsMax) throw new InvalidValueError("tags", `are ${entries.length}; the maximum of a job is ${tagsMax}`);
    for (const [tag, value] of entries) {
      check("tag name", tag, 1, tagNameLengthMax);
      check(`tag ${tag}`, value, 0, tagValueLengthMax);
    }
    const client = this.#client;
    if (client.isSilent && client.problem === null) return new Job(client, "", null);
    const { content, response } = await client.reading.call({
      method: "POST", path: "/v1/jobs",
      body: JSON.stringify({ name, key: key ?? undefined, tags: entries.length === 0 ? undefined : tags }),
      headers: key === undefined || key === null ? { "idempotency-key": client.platform.randomName() } : {},
    }, signal);
    const snapshot = new Snapshot(content, response.receivedAt, client.platform.now);
    client.ownWrites.wrote(snapshot.job, snapshot.sequence);
    client.ownWrites.saw(snapshot.job, snapshot.sequence);
    return new Job(client, snapshot.job, snapshot);
  }

  /**
   * Reads the job with this id, or with this key: `find(id)`, `find({ key })`. It includes everything that this
   * client has written before.
   *
   * Throws `NotFoundError`, `InvalidValueError`, `UnauthorizedError`, `UnavailableError` and `NotConfiguredError`.
   * @param {string | {key: string}} which @param {WaitOptions} options
   * @returns {Promise<Job>}
   */
  async find(which, { signal } = {}) {
    if (typeof which === "string") {
      if (which === "") throw new InvalidValueError("job", "is empty");
      const snapshot = await readSnapshot(this.#client, which, {}, signal);
      return new Job(this.#client, snapshot.job, snapshot);
    }
    const key = which?.key;
    check("key", key, 1, jobKeyLengthMax);
    for await (const job of this.list({ key, signal })) return job;
    const problem = new Problem(404, { title: "Not found", detail: `no job has the key ${JSON.stringify(key)}` });
    throw new NotFoundError(problem, "not_found");
  }

  /**
   * Lists jobs with their snapshots, newest first, page after page.
   * @param {JobFilter} filter
   * @returns {AsyncGenerator<Job, void, undefined>}
   */
  async *list({ state, name, key, search, tags, signal } = {}) {
    /** @type {Record<string, unknown>} */
    const query = { state, name, key, search };
    for (const [tag, value] of Object.entries(tags ?? {})) query[`tag.${tag}`] = value;
    await catchUpAll(this.#client, signal);
    const path = withQuery("/v1/jobs", query);
    for await (const { items, receivedAt } of pages(this.#client, path, "jobs", "next_cursor", "cursor", signal)) {
      for (const item of items) {
        const snapshot = new Snapshot(item, receivedAt, this.#client.platform.now);
        yield new Job(this.#client, snapshot.job, snapshot);
      }
    }
  }
}

/** @param {string} field @param {unknown} text @param {number} min @param {number} max */
function check(field, text, min, max) {
  const problem = textProblem(text, min, max);
  if (problem !== null) throw new InvalidValueError(field, problem);
}
