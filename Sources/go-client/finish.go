package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Finish ends the execution with this outcome: what is left is sent at once, and reporting on it fails with ErrEnded
// from now on. It waits until everything is recorded, as long as the context lets it and for the client's close wait
// at most (5 s), which is spent once in an outage and not once for each task. What is not delivered by then is
// delivered in the background, for up to 15 minutes, while the process lives.
//
// The error says nothing about the work, and most callers ignore it: ErrUndelivered, or ErrEnded where the execution
// had ended already.
func (e *Execution) Finish(ctx context.Context, outcome Outcome) error {
	switch outcome {
	case Succeeded, Failed, Canceled:
	default:
		return &InvalidError{Field: "outcome", Problem: fmt.Sprintf("is %q", string(outcome))}
	}
	return e.end(ctx, outcome)
}

// Close ends the execution where it has not been finished: a task that returned early, or panicked, has failed, and
// one whose context was canceled is canceled. So it belongs into a defer right after StartExecution, with Finish at the
// end of what went well. It waits as Finish does.
func (e *Execution) Close() error {
	outcome := Failed
	if e != nil && e.isTaskCanceled != nil && e.isTaskCanceled() {
		outcome = Canceled
	}
	err := e.end(context.Background(), outcome)
	if errors.Is(err, ErrEnded) {
		return nil
	}
	return err
}

func (e *Execution) end(ctx context.Context, outcome Outcome) error {
	if e == nil {
		return nil
	}
	if e.cancelTask != nil {
		defer e.cancelTask()
	}
	ctx = orBackground(ctx)
	if !e.queueFinish(outcome) {
		return ErrEnded
	}
	if e.isSilent() {
		return nil
	}
	e.wakeSender()
	began := time.Now()
	// What is left is for the ends of the job and of the client.
	wait := e.client.health.remainingWait(e.client.closeWait - 2*e.client.closeWait/lastWaitPart)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-e.stopped:
		return e.loss()
	case <-timer.C:
		e.client.health.recordTimeout(e.client.address, began, wait)
	case <-ctx.Done():
	}
	if !e.client.mayDrain(e) {
		e.abandon()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.undelivered()
}

// queueFinish lets the outcome follow the last reports. It returns false if the execution had ended before.
func (e *Execution) queueFinish(outcome Outcome) (isFirst bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.delivery.isEnded {
		return false
	}
	e.delivery.end(outcome, time.Now())
	return true
}

// abandon gives up what is not delivered, and returns how much that is.
func (e *Execution) abandon() (count int64) {
	e.mu.Lock()
	count = e.delivery.abandon()
	e.mu.Unlock()
	e.endLife()
	return count
}
