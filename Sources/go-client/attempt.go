package ledger

import (
	"fmt"
	"os"
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

// AttemptFromEnvironment takes the attempt from variables of the workflow engine; see EngineTask for the variables.
//
// If there is none, or a value is not an attempt (which is logged), the ledger assigns the attempt, and the execution
// that starts last counts. So it does under AWS Batch, Kubernetes and Slurm, whose attempts do not order the executions
// of a task that the code names; see EngineTask.
//
// Airflow and GitHub Actions count the executions of one submission. If the same task of the same job is submitted
// again, they start again at 1, and an earlier execution with a higher attempt still counts. Then set Attempt, or let
// the ledger assign it. An execution that is superseded from its start is logged.
func AttemptFromEnvironment() StartOption {
	attempt, source, err := attemptFrom(os.LookupEnv)
	return func(s *startSettings) {
		s.attempt, s.isAttemptGiven = attempt, source != ""
		s.attemptSource, s.attemptProblem = source, err
	}
}

// attemptFrom returns the attempt at a task that the code names, and the engine that provides it; "" without one.
func attemptFrom(lookup func(string) (string, bool)) (attempt int, source string, err error) {
	engine, isThere := engineTaskFrom(lookup)
	if isThere && engine.AttemptOfNamed > 0 {
		return engine.AttemptOfNamed, engine.Engine, nil
	}
	variables := engineVariables(lookup)
	for _, name := range []string{"PROGRESS_LEDGER_ATTEMPT", "AIRFLOW_CTX_TRY_NUMBER", "GITHUB_RUN_ATTEMPT"} {
		if text := variables.get(name); text != "" && variables.attempt(name) == 0 {
			return 0, "", fmt.Errorf("%s is %q; expected an attempt from 1 to %d", name, text, int64(AttemptMax))
		}
	}
	return 0, "", nil
}
