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
export function attemptFromEngine(environment: Environment, isNamedByVariable: boolean): {
    attempt?: number | undefined;
    source: string;
    problem?: string | undefined;
};
/**
 * What an engine counts.
 */
export type EngineAttempt = {
    /**
     * The engine; empty without one.
     */
    source: string;
    attempt?: number | undefined;
    /**
     * The attempt at a task that `PROGRESS_LEDGER_TASK` names, if it differs: under
     * Slurm it also grows with each submission.
     */
    attemptOfVariable?: number | undefined;
    /**
     * Whether the engine counts the starts of its own job. A task that the code names
     * may be carried out by several such jobs: it is submitted again, or their processes take tasks from a queue. Their
     * attempts do not compare.
     */
    isOfScheduler?: boolean | undefined;
    /**
     * A value that is no attempt.
     */
    problem?: string | undefined;
};
export type Environment = (name: string) => string | undefined;
