// The errors of the client. Reports never throw them; reads and the creation of jobs do.

/**
 * An invalid field of a request.
 * @typedef {object} FieldProblem
 * @property {string} [pointer] The JSON pointer of the field, such as `/2/done`.
 * @property {string} [parameter] The name of the query parameter.
 * @property {string} [detail] The problem of the field.
 */

/** Any error of the client. */
export class LedgerError extends Error {
  /** @param {string} message @param {string} code @param {{cause?: unknown}} [options] */
  constructor(message, code, options) {
    super(message, options);
    this.name = new.target.name;
    /** A stable name of the kind of error, such as `not_found`. */
    this.code = code;
  }
}

/** A value that the ledger cannot record; the call is at fault. */
export class InvalidValueError extends LedgerError {
  /** @param {string} field @param {string} problem */
  constructor(field, problem) {
    super(`${field} ${problem}`, "invalid_value");
    /** The name of the value: `label`, `done`, `task`, `attempt`, `name`, `key`, `url`, … */
    this.field = field;
  }
}

/** A read without a configured ledger. */
export class NotConfiguredError extends LedgerError {
  constructor() {
    super("no URL is configured (PROGRESS_LEDGER_URL)", "not_configured");
  }
}

/** No usable response: the ledger is unreachable or overloaded, or something else responded. */
export class UnavailableError extends LedgerError {
  /** @param {string} message @param {{cause?: unknown}} [options] */
  constructor(message, options) {
    super(message, "unavailable", options);
  }
}

/** The end of a wait by the caller's signal. */
export class AbortedError extends LedgerError {
  /** @param {unknown} reason */
  constructor(reason) {
    super("the caller ended the wait", "aborted", { cause: reason });
  }
}

/** A refusal by the ledger (RFC 9457). */
export class ProblemError extends LedgerError {
  /** @param {Problem} problem @param {string} [code] */
  constructor(problem, code = "refused") {
    super(problem.detail ? `${problem.title}: ${problem.detail}` : problem.title, code);
    /** The details. */
    this.problem = problem;
  }
}

/** The job does not exist, or was retired, or none of its events names the indicator. */
export class NotFoundError extends ProblemError {}

/** A request that contradicts the ledger: another job has the key. */
export class ConflictError extends ProblemError {}

/** A refused token. */
export class UnauthorizedError extends ProblemError {}

/** A newer execution of the task counts. The reason of an execution's `signal`. */
export class SupersededError extends LedgerError {
  constructor() {
    super("a newer execution of the task counts", "superseded");
  }
}

/** The job has ended. The reason of an execution's `signal`. */
export class JobEndedError extends LedgerError {
  /** @param {string} state */
  constructor(state) {
    super(`the job has ended: ${state}`, "job_ended");
    /** The state of the job: `completed`, `failed` or `canceled`. */
    this.state = state;
  }
}

/** The details of a refusal. */
export class Problem {
  /** @param {number} status @param {unknown} [content] The parsed body, which may be anything. */
  constructor(status, content) {
    const fields = /** @type {Record<string, any>} */ (typeof content === "object" && content !== null ? content : {});
    const text = (/** @type {string} */ name) => (typeof fields[name] === "string" ? fields[name] : "");
    /** The HTTP status. */
    this.status = status;
    /** The kind of problem. */
    this.title = text("title") || `HTTP status ${status}`;
    /** A description for people. */
    this.detail = text("detail");
    /** The id of the request, by which the server's log names it. */
    this.requestId = text("request_id");
    /** The state of a job that refused the start of an execution; else empty. */
    this.jobState = text("job_state");
    /** @type {FieldProblem[]} */
    this.errors = (Array.isArray(fields.errors) ? fields.errors : []).filter((error) => typeof error === "object" && error !== null);
  }

  /**
   * The refused fields by the positions of their events in the request; empty text for a whole event.
   * @param {number} count The number of events in the request.
   * @returns {Map<number, Set<string>>}
   */
  refusedFields(count) {
    const fields = new Map();
    for (const { pointer } of this.errors) {
      const found = typeof pointer === "string" ? /^\/(\d{1,9})(?:\/([^/]*))?/.exec(pointer) : null;
      if (found === null || Number(found[1]) >= count) continue;
      const position = Number(found[1]);
      if (!fields.has(position)) fields.set(position, new Set());
      fields.get(position).add(found[2] ?? "");
    }
    return fields;
  }

  /** The error of a call with this response. */
  toError() {
    switch (this.status) {
      case 404: case 410: return new NotFoundError(this, "not_found");
      case 409: return new ConflictError(this, "conflict");
      case 401: case 403: return new UnauthorizedError(this, "unauthorized");
      default: return new ProblemError(this);
    }
  }
}
