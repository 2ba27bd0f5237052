// The attempt of an execution, from the variables of workflow engines.

import { attemptMax } from "./limits.js";

/**
 * The attempt that the engine counts, with the name of its variable. The first one that is set counts:
 *
 * - `PROGRESS_LEDGER_ATTEMPT`, `AIRFLOW_CTX_TRY_NUMBER`, `AWS_BATCH_JOB_ATTEMPT`: the attempt, from 1
 * - `SLURM_RESTART_COUNT` + 1; 1 if only `SLURM_JOB_ID` is set
 * - `JOB_INDEX_FAILURE_COUNT` + `JOB_INDEX_IGNORED_FAILURE_COUNT` + 1, which a Kubernetes pod template sets from its
 *   annotations
 *
 * If none is set, or a value is no attempt, the ledger assigns the attempt.
 * @param {(name: string) => string | undefined} environment
 * @returns {{attempt?: number, source: string, problem?: string}}
 */
export function attemptFromEngine(environment) {
  for (const name of ["PROGRESS_LEDGER_ATTEMPT", "AIRFLOW_CTX_TRY_NUMBER", "AWS_BATCH_JOB_ATTEMPT"]) {
    const text = environment(name);
    if (text) return parsed(name, text, 0);
  }
  if (environment("SLURM_JOB_ID")) {
    const text = environment("SLURM_RESTART_COUNT");
    return text ? parsed("SLURM_RESTART_COUNT", text, 1) : { attempt: 1, source: "SLURM_JOB_ID" };
  }
  const failures = environment("JOB_INDEX_FAILURE_COUNT");
  if (!failures) return { source: "" };
  const found = parsed("JOB_INDEX_FAILURE_COUNT", failures, 1);
  const ignored = environment("JOB_INDEX_IGNORED_FAILURE_COUNT");
  if (found.attempt === undefined || !ignored) return found;
  return parsed("JOB_INDEX_IGNORED_FAILURE_COUNT", ignored, found.attempt);
}

/**
 * @param {string} name @param {string} text @param {number} more What the engine's number lacks.
 * @returns {{attempt?: number, source: string, problem?: string}}
 */
function parsed(name, text, more) {
  const attempt = /^\d{1,10}$/.test(text) ? Number(text) + more : 0;
  if (attempt >= 1 && attempt <= attemptMax) return { attempt, source: name };
  return { source: "", problem: `${name} is ${JSON.stringify(text.slice(0, 40))}; expected an attempt from 1 to ${attemptMax}` };
}
