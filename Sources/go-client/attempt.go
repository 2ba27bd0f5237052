package ledger

import (
	"fmt"
	"os"
	"strconv"
)

// StartOption configures the start of an execution.
type StartOption func(*startSettings)

type startSettings struct {
	attempt        int
	isAttemptGiven bool
	// attemptSource names the variable with the attempt; empty if the caller set the attempt.
	attemptSource        string
	attemptProblem       error
	onSuperseded         func(*Execution)
	onJobEnded           func(*Execution, JobState)
	reopensCanceledJob   bool
	cancelWhenSuperseded bool
	link                 string
	linkProblem          error
}

// Attempt sets the attempt of the execution: 1, 2, 3 … up to AttemptMax.
//
// The execution of a task with the highest attempt counts, in any order of arrival. Therefore set the attempt if
// the workflow engine provides it. Otherwise the ledger assigns the next number, and the execution that starts last
// counts.
func Attempt(n int) StartOption {
	return func(s *startSettings) { s.attempt, s.isAttemptGiven = n, true }
}

// WithLink sets where to look for more about the execution: the URL of its log, or of the engine's own page.
//
// An invalid one (see Link) is dropped, counted and logged.
func WithLink(address string) StartOption {
	return func(s *startSettings) {
		if s.linkProblem = checkLink(address); s.linkProblem == nil {
			s.link = address
		}
	}
}

// OnSuperseded sets a callback for the start of a newer execution of the task.
//
// It is called once, in its own goroutine. It is an alternative to Execution.Superseded.
func OnSuperseded(call func(*Execution)) StartOption {
	return func(s *startSettings) { s.onSuperseded = call }
}

// OnJobEnded sets a callback for the end of the job.
//
// It is called in its own goroutine, once for each end that the client notices before the end of the execution. See
// Execution.JobEnded.
func OnJobEnded(call func(*Execution, JobState)) StartOption {
	return func(s *startSettings) { s.onJobEnded = call }
}

// ReopenCanceledJob starts the execution even if the job is canceled, which reopens the job.
//
// Without it, a canceled job refuses the execution, which then reports nothing.
func ReopenCanceledJob() StartOption {
	return func(s *startSettings) { s.reopensCanceledJob = true }
}

// CancelWhenSuperseded cancels the task's context when a newer execution starts.
//
// The context is canceled at the end of the execution, too.
func CancelWhenSuperseded() StartOption {
	return func(s *startSettings) { s.cancelWhenSuperseded = true }
}

// AttemptFromEnvironment takes the attempt from variables of the workflow engine.
//
// The first one that is set counts:
//
//	PROGRESS_LEDGER_ATTEMPT         the attempt itself, for every other engine
//	AIRFLOW_CTX_TRY_NUMBER          Airflow: the try, from 1
//	AWS_BATCH_JOB_ATTEMPT           AWS Batch: the attempt, from 1
//	SLURM_JOB_ID, SLURM_RESTART_COUNT
//	                                Slurm: 1 more than the restarts; the count is not set before the first restart
//	JOB_INDEX_FAILURE_COUNT, JOB_INDEX_IGNORED_FAILURE_COUNT
//	                                Kubernetes: 1 more than the sum of both failure counts of the index
//
// Kubernetes does not set such variables by itself. An indexed Job with backoffLimitPerIndex keeps the counts in the
// annotations batch.kubernetes.io/job-index-failure-count and job-index-ignored-failure-count of the pod. The pod
// template turns them into variables:
//
//	env:
//	  - name: JOB_INDEX_FAILURE_COUNT
//	    valueFrom: {fieldRef: {fieldPath: "metadata.annotations['batch.kubernetes.io/job-index-failure-count']"}}
//
// If none is set, or a value is not an attempt (which is logged), the ledger assigns the attempt, and the execution
// that starts last counts.
//
// Engines count the executions of one submission. If the same task of the same job is submitted again, they start again
// at 1, and an earlier execution with a higher attempt still counts. Then set Attempt, or let the ledger assign it.
// An execution that is superseded from its start is logged.
func AttemptFromEnvironment() StartOption {
	attempt, source, err := attemptFrom(os.LookupEnv)
	return func(s *startSettings) {
		s.attempt, s.isAttemptGiven = attempt, source != ""
		s.attemptSource, s.attemptProblem = source, err
	}
}

// attemptFrom returns the attempt and the name of its variable; "" without one.
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

// parseAttempt parses a number and adds the offset of its engine.
func parseAttempt(name, text string, more int) (attempt int, source string, err error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 0 || number+int64(more) < 1 || number > AttemptMax-int64(more) {
		return 0, "", fmt.Errorf("%s is %q; expected an attempt from 1 to %d", name, text, int64(AttemptMax))
	}
	return int(number) + more, name, nil
}
