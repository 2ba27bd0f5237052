// The attempt of an execution, from the variables of workflow engines.

import { attemptMax } from "./limits.js";

/**
 * What an engine counts.
 * @typedef {object} EngineAttempt
 * @property {string} source The engine; empty without one.
 * @property {number} [attempt]
 * @property {number} [attemptOfVariable] The attempt at a task that `PROGRESS_LEDGER_TASK` names, if it differs: under
 *   Slurm it also grows with each submission.
 * @property {boolean} [isOfScheduler] Whether the engine counts the starts of its own job. A task that the code names
 *   may be carried out by several such jobs: it is submitted again, or their processes take tasks from a queue. Their
 *   attempts do not compare.
 * @property {string} [problem] A value that is no attempt.
 */

/** @typedef {(name: string) => string | undefined} Environment */

/** The largest id of a job of Slurm (`MaxJobId`): 32 attempts of each are below 2^31. */
const slurmJobMax = 67_043_328;
const slurmRestartsMax = 31;

/**
 * The attempt that the engine provides for a task. The first engine that is found counts:
 *
 * - `PROGRESS_LEDGER_ATTEMPT`: every other engine
 * - `AIRFLOW_CTX_TASK_ID`, `AIRFLOW_CTX_TRY_NUMBER`: Airflow
 * - `AWS_BATCH_JOB_ID`, `AWS_BATCH_JOB_ATTEMPT`: AWS Batch, only for a task that `PROGRESS_LEDGER_TASK` names
 * - `SLURM_JOB_ID`, `SLURM_RESTART_COUNT`: Slurm, likewise
 * - `JOB_COMPLETION_INDEX`, `JOB_INDEX_FAILURE_COUNT`, `JOB_INDEX_IGNORED_FAILURE_COUNT`: Kubernetes, likewise; a pod
 *   template sets the counts from its annotations
 * - `GITHUB_ACTIONS`, `GITHUB_RUN_ATTEMPT`: GitHub Actions
 *
 * If there is none, or a value is no attempt, the ledger assigns the attempt. `Tests/engine-variables/cases.json` is the
 * table of the variables, which all clients share.
 * @param {Environment} environment
 * @param {boolean} isNamedByVariable Whether `PROGRESS_LEDGER_TASK` names the task, and not the code.
 * @returns {{attempt?: number, source: string, problem?: string}} The source is empty without an engine.
 */
export function attemptFromEngine(environment, isNamedByVariable) {
  const given = counted("PROGRESS_LEDGER_ATTEMPT", "PROGRESS_LEDGER_ATTEMPT", environment);
  if (given.attempt !== undefined) return given;
  const found = attemptOfEngine(environment);
  const { source } = found;
  if (isNamedByVariable || !found.isOfScheduler) {
    const attempt = isNamedByVariable ? found.attemptOfVariable ?? found.attempt : found.attempt;
    if (attempt !== undefined) return { attempt, source };
  }
  // The engine counts instead of an invalid value of the ledger's own variable, if it can.
  const problem = given.problem ?? found.problem;
  return problem === undefined ? { source } : { source, problem };
}

/**
 * @param {Environment} environment
 * @returns {EngineAttempt}
 */
function attemptOfEngine(environment) {
  if (environment("AIRFLOW_CTX_TASK_ID")) return counted("Airflow", "AIRFLOW_CTX_TRY_NUMBER", environment);
  if (environment("AWS_BATCH_JOB_ID")) {
    return { source: "AWS Batch", attempt: number(environment("AWS_BATCH_JOB_ATTEMPT"), 1), isOfScheduler: true };
  }
  if (environment("SLURM_JOB_ID")) {
    // The variable counts the requeues, and is not set before the first one.
    const restarts = number(environment("SLURM_RESTART_COUNT"), 0) ?? 0;
    const job = number(environment("SLURM_JOB_ID"), 1) ?? Infinity;
    // A later submission supersedes all restarts of earlier ones.
    const submitted = job <= slurmJobMax ? job * (slurmRestartsMax + 1) + Math.min(restarts, slurmRestartsMax) : undefined;
    return { source: "Slurm", attempt: after(restarts), attemptOfVariable: submitted, isOfScheduler: true };
  }
  if (environment("JOB_COMPLETION_INDEX")) {
    // Kubernetes gives pods their index, but not the number of tries.
    const failures = number(environment("JOB_INDEX_FAILURE_COUNT"), 0);
    const ignored = number(environment("JOB_INDEX_IGNORED_FAILURE_COUNT"), 0) ?? 0;
    return { source: "Kubernetes", attempt: failures === undefined ? undefined : after(failures + ignored), isOfScheduler: true };
  }
  if (environment("GITHUB_ACTIONS") === "true") return counted("GitHub Actions", "GITHUB_RUN_ATTEMPT", environment);
  return { source: "" };
}

/**
 * The attempt in a variable.
 * @param {string} source @param {string} name @param {Environment} environment
 * @returns {{attempt?: number, source: string, problem?: string}}
 */
function counted(source, name, environment) {
  const text = environment(name);
  const attempt = number(text, 1);
  if (attempt !== undefined) return { attempt, source };
  if (!text) return { source };
  return { source, problem: `${name} is ${JSON.stringify(text.slice(0, 40))}; expected an attempt from 1 to ${attemptMax}` };
}

/**
 * A number of ASCII digits, up to the largest attempt.
 * @param {string | undefined} text @param {number} min
 * @returns {number | undefined}
 */
function number(text, min) {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined;
  const found = Number(text);
  return found >= min && found <= attemptMax ? found : undefined;
}

/**
 * The attempt after so many failures; undefined if there are too many.
 * @param {number} failures
 */
function after(failures) {
  return failures < attemptMax ? failures + 1 : undefined;
}
