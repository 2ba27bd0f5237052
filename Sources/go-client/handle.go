package ledger

import (
	"context"
	"fmt"
	"os"
	"strconv"
)

// Handle identifies a running execution, by which any process on any host can report to it.
//
// It is plain data without a token: put it into a message, or pass Environ to a child process. The other process calls
// Client.Attach. The clients of all languages read the same variables.
type Handle struct {
	// Job is the job's ID; empty if nothing is reported.
	Job       string `json:"job"`
	Task      string `json:"task"`
	Execution string `json:"execution"`
	// Attempt is 0 if the ledger assigns it.
	Attempt int `json:"attempt,omitempty"`
	// URL is the address of the ledger, without a password.
	URL string `json:"url,omitempty"`
}

// Handle returns the handle of the execution; an empty one if nothing is reported.
func (e *Execution) Handle() Handle {
	if e.isSilent() || e.identity.task == "" {
		return Handle{}
	}
	return Handle{
		Job: e.key.job, Task: e.identity.task, Execution: e.identity.execution, Attempt: int(e.identity.attempt),
		URL: e.client.address,
	}
}

// Environ returns the handle as variables for exec.Cmd.Env; none if nothing is reported.
//
//	command.Env = append(os.Environ(), execution.Handle().Environ()...)
func (h Handle) Environ() []string {
	if h.Job == "" {
		return nil
	}
	variables := []string{
		"PROGRESS_LEDGER_JOB=" + h.Job, "PROGRESS_LEDGER_TASK=" + h.Task, "PROGRESS_LEDGER_EXECUTION=" + h.Execution,
	}
	if h.Attempt > 0 {
		variables = append(variables, "PROGRESS_LEDGER_ATTEMPT="+strconv.Itoa(h.Attempt))
	}
	if h.URL != "" {
		variables = append(variables, "PROGRESS_LEDGER_URL="+h.URL)
	}
	return variables
}

// HandleFromEnvironment returns the handle in the variables of Environ, and whether there is one.
//
// It needs PROGRESS_LEDGER_JOB, PROGRESS_LEDGER_TASK and PROGRESS_LEDGER_EXECUTION. An attempt that is not a number is
// ignored.
func HandleFromEnvironment() (handle Handle, isThere bool) {
	handle = Handle{
		Job: os.Getenv("PROGRESS_LEDGER_JOB"), Task: os.Getenv("PROGRESS_LEDGER_TASK"),
		Execution: os.Getenv("PROGRESS_LEDGER_EXECUTION"), URL: os.Getenv("PROGRESS_LEDGER_URL"),
	}
	if attempt, err := strconv.Atoi(os.Getenv("PROGRESS_LEDGER_ATTEMPT")); err == nil && attempt > 0 && attempt <= AttemptMax {
		handle.Attempt = attempt
	}
	if handle.Job == "" || handle.Task == "" || handle.Execution == "" {
		return Handle{}, false
	}
	return handle, true
}

// Attach returns an execution that another process has started, to report to it, and a context for Progress.
//
// The ledger numbers the reports of this process separately, as those of a part of the execution with a name of its
// own, so that nothing is lost or counted twice. Attach starts nothing. Finish and Close send the reports of this
// process, wait for them as at the end of an execution, and end nothing: only the process that started the execution
// ends it. An empty handle reports nothing. The client must be one of the same ledger, such as NewClient(handle.URL).
// Attach once per process, not once per report: every call is another part.
//
// The only error is *InvalidError, for a handle that cannot be of an execution. The context and the execution can be
// used even then, and drop all reports.
func (c *Client) Attach(ctx context.Context, handle Handle) (context.Context, *Execution, error) {
	ctx = orBackground(ctx)
	err := handle.check()
	isSilent := c.IsSilent() || handle == Handle{}
	client := c
	if isSilent || err != nil {
		client = nil
	}
	execution := newExecution(client, handle.Job, handle.Task, startSettings{attempt: handle.Attempt})
	ctx = NewContext(ctx, execution)
	if c != nil {
		execution.health = &c.health
	}
	if isSilent {
		return ctx, execution, nil
	}
	if err != nil {
		execution.identity.task = ""
		execution.dropAll()
		execution.health.logOnce("invalid handle", "cannot report to an execution: %v", err)
		return ctx, execution, err
	}
	execution.identity.execution, execution.identity.part = handle.Execution, newRandomName()
	execution.delivery.attach(execution.identity)
	if !c.registerAttached(execution) {
		c.health.logOnce("closed", "cannot report task %q: the client is closed", handle.Task)
		return ctx, execution.dropAll(), nil
	}
	go execution.run(nil)
	return ctx, execution, nil
}

func (h Handle) check() error {
	if h == (Handle{}) {
		return nil
	}
	if h.Job == "" {
		return &InvalidError{Field: "job", Problem: "is empty"}
	}
	if h.Attempt < 0 || h.Attempt > AttemptMax {
		problem := fmt.Sprintf("is %d; an attempt is a number from 1 to %d", h.Attempt, int64(AttemptMax))
		return &InvalidError{Field: "attempt", Problem: problem}
	}
	if err := checkText("task", h.Task, 1, taskScalarsMax); err != nil {
		return err
	}
	return checkText("execution", h.Execution, 1, executionScalarsMax)
}

// registerAttached adds an execution of another process. It returns false if the client is closed.
func (c *Client) registerAttached(e *Execution) (isOpen bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed {
		return false
	}
	c.executions[e] = struct{}{}
	return true
}

// attach makes the delivery one of a part: the start is recorded by another process, which also sends the end.
func (d *delivery) attach(identity identity) {
	d.buffer.identity = identity
	d.isAttached = true
	d.isStartAllowed = true
	d.start = startRecorded
	d.isFinishQueued = true
}
