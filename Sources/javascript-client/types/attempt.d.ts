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
export function attemptFromEngine(environment: (name: string) => string | undefined): {
    attempt?: number;
    source: string;
    problem?: string;
};
