package ledger

import (
	"fmt"
	"os"
	"strconv"
)

// StartOption changes how an execution is started.
type StartOption func(*startSettings)

type startSettings struct {
	attempt              int
	isAttemptGiven       bool
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
// again, and the runs before would win: give Attempt yourself then, or leave it to the ledger.
func AttemptFromEnvironment() StartOption {
	attempt, isKnown, err := attemptFrom(os.LookupEnv)
	return func(s *startSettings) { s.attempt, s.isAttemptGiven, s.attemptProblem = attempt, isKnown, err }
}

// attemptFrom reads the attempt from variables.
func attemptFrom(lookup func(string) (string, bool)) (attempt int, isKnown bool, err error) {
	for _, name := range []string{"PROGRESS_LEDGER_ATTEMPT", "AIRFLOW_CTX_TRY_NUMBER", "AWS_BATCH_JOB_ATTEMPT"} {
		if text, isSet := lookup(name); isSet && text != "" {
			return parseAttempt(name, text, 0)
		}
	}
	if job, isSet := lookup("SLURM_JOB_ID"); isSet && job != "" {
		if text, isSet := lookup("SLURM_RESTART_COUNT"); isSet && text != "" {
			return parseAttempt("SLURM_RESTART_COUNT", text, 1)
		}
		return 1, true, nil
	}
	failures, isSet := lookup("JOB_INDEX_FAILURE_COUNT")
	if !isSet || failures == "" {
		return 0, false, nil
	}
	attempt, isKnown, err = parseAttempt("JOB_INDEX_FAILURE_COUNT", failures, 1)
	if ignored, isSet := lookup("JOB_INDEX_IGNORED_FAILURE_COUNT"); isKnown && isSet && ignored != "" {
		return parseAttempt("JOB_INDEX_IGNORED_FAILURE_COUNT", ignored, attempt)
	}
	return attempt, isKnown, err
}

// parseAttempt reads a number and adds what makes an attempt of it.
func parseAttempt(name, text string, more int) (attempt int, isKnown bool, err error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 0 || number+int64(more) < 1 || number > AttemptMax-int64(more) {
		return 0, false, fmt.Errorf("%s is %q, which gives no attempt from 1 to %d", name, text, int64(AttemptMax))
	}
	return int(number) + more, true, nil
}
