package ledger

import (
	"fmt"
	"os"
	"strconv"
)

// StartOption changes how an execution is started.
type StartOption func(*startSettings)

type startSettings struct {
	attempt        int
	isAttemptGiven bool
	// attemptSource is the variable that the attempt is from; empty if the caller gave it.
	attemptSource        string
	attemptProblem       error
	onSuperseded         func(*Execution)
	cancelWhenSuperseded bool
}

// Attempt numbers the execution: 1, 2, 3 … up to AttemptMax. Of the executions of a task the one with the highest
// attempt counts, whenever its reports arrive; so give it wherever the engine that runs the task knows it. Without one
// the ledger takes the next number, and who starts last counts.
func Attempt(n int) StartOption {
	return func(s *startSettings) { s.attempt, s.isAttemptGiven = n, true }
}

// OnSuperseded names a function that is called, once and in a goroutine of its own, when a newer execution of the task
// has started. It is an alternative to Execution.Superseded.
func OnSuperseded(call func(*Execution)) StartOption {
	return func(s *startSettings) { s.onSuperseded = call }
}

// CancelWhenSuperseded lets the context that StartExecution returns be canceled when a newer execution of the task has
// started, and when this one ends.
func CancelWhenSuperseded() StartOption {
	return func(s *startSettings) { s.cancelWhenSuperseded = true }
}

// AttemptFromEnvironment takes the attempt from what the engine that runs the process has set. The first one counts:
//
//	PROGRESS_LEDGER_ATTEMPT         the attempt itself, for everything that is not listed here
//	AIRFLOW_CTX_TRY_NUMBER          Airflow: the try, from 1
//	AWS_BATCH_JOB_ATTEMPT           AWS Batch: the attempt, from 1
//	SLURM_JOB_ID, SLURM_RESTART_COUNT
//	                                Slurm: 1 more than the restarts, which are not set before the first one
//	JOB_INDEX_FAILURE_COUNT, JOB_INDEX_IGNORED_FAILURE_COUNT
//	                                Kubernetes: 1 more than the failures of the index, together
//
// Kubernetes sets no such variable by itself. An indexed Job with backoffLimitPerIndex keeps the counts in annotations
// of the pod, batch.kubernetes.io/job-index-failure-count and job-index-ignored-failure-count, and the pod template
// makes variables of them:
//
//	env:
//	  - name: JOB_INDEX_FAILURE_COUNT
//	    valueFrom: {fieldRef: {fieldPath: "metadata.annotations['batch.kubernetes.io/job-index-failure-count']"}}
//
// Where nothing is set, or a value cannot be an attempt, which is logged, the ledger numbers the execution: then
// the one that starts last counts.
//
// These numbers count the runs of one submission. Where the same task of the same job is submitted anew, they begin
// again, and the runs before would win: give Attempt yourself then, or leave it to the ledger. The log says so when an
// execution is superseded from its start.
func AttemptFromEnvironment() StartOption {
	attempt, source, err := attemptFrom(os.LookupEnv)
	return func(s *startSettings) {
		s.attempt, s.isAttemptGiven = attempt, source != ""
		s.attemptSource, s.attemptProblem = source, err
	}
}

// attemptFrom reads the attempt from variables, and names the one that it is from; "" if there is none.
func attemptFrom(lookup func(string) (string, bool)) (attempt int, source string, err error) {
	get := func(name string) string {
		text, _ := lookup(name)
		return text
	}
	for _, name := range []string{"PROGRESS_LEDGER_ATTEMPT", "AIRFLOW_CTX_TRY_NUMBER", "AWS_BATCH_JOB_ATTEMPT"} {
		if text := get(name); text != "" {
			return parseAttempt(name, text, 0)
		}
	}
	if get("SLURM_JOB_ID") != "" {
		if text := get("SLURM_RESTART_COUNT"); text != "" {
			return parseAttempt("SLURM_RESTART_COUNT", text, 1)
		}
		return 1, "SLURM_JOB_ID", nil
	}
	failures := get("JOB_INDEX_FAILURE_COUNT")
	if failures == "" {
		return 0, "", nil
	}
	attempt, source, err = parseAttempt("JOB_INDEX_FAILURE_COUNT", failures, 1)
	if ignored := get("JOB_INDEX_IGNORED_FAILURE_COUNT"); err == nil && ignored != "" {
		return parseAttempt("JOB_INDEX_IGNORED_FAILURE_COUNT", ignored, attempt)
	}
	return attempt, source, err
}

// parseAttempt reads a number and adds what makes an attempt of it.
func parseAttempt(name, text string, more int) (attempt int, source string, err error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 0 || number+int64(more) < 1 || number > AttemptMax-int64(more) {
		return 0, "", fmt.Errorf("%s is %q, which gives no attempt from 1 to %d", name, text, int64(AttemptMax))
	}
	return int(number) + more, name, nil
}
