// What the package offers on every platform. Import the entry of the platform instead: node.js or browser.js.

export { Client } from "./client.js";
export {
  AbortedError, ConflictError, InvalidValueError, JobEndedError, LedgerError, NotConfiguredError, NotFoundError, Problem,
  ProblemError, SupersededError, UnauthorizedError, UnavailableError,
} from "./errors.js";
export { Estimate } from "./estimate.js";
export { Execution, Progress } from "./execution.js";
export { Job } from "./job.js";
export { Jobs } from "./jobs.js";
export { parse, stringify } from "./json.js";
export {
  Answer, Contribution, ExecutionRecord, ExecutionReference, Explanation, HistoryPoint, Indicator, LedgerEvent, Snapshot,
  TaskCounts, TaskRecord, Units,
} from "./model.js";
