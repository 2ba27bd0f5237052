package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Finish ends the execution with this outcome, and sends the last reports.
//
// From now on reports fail with ErrEnded. Finish waits until everything is recorded or the context ends, for the
// client's close wait at most (5 s), which all executions in one outage share. After that reports are delivered in the
// background for up to 15 minutes, while the process lives.
//
// A Message says why it ended, and a Link where to look for more. An invalid one is dropped and counted.
//
// The error does not concern the work, and most callers ignore it: ErrUndelivered, or ErrEnded if the execution had
// ended before.
func (e *Execution) Finish(ctx context.Context, outcome Outcome, options ...Note) error {
	switch outcome {
	case Succeeded, Failed, Canceled:
	default:
		problem := fmt.Sprintf("is %q; expected succeeded, failed or canceled", string(outcome))
		return &InvalidError{Field: "outcome", Problem: problem}
	}
	return e.end(ctx, outcome, notesOf(options))
}

// Close ends the execution unless it has been finished.
//
// The outcome is canceled if the task's context was canceled, and failed otherwise. So defer Close right after
// StartExecution, and call Finish at the successful end. Close waits as Finish does.
func (e *Execution) Close() error { return e.closeWith(notes{}) }

// closeWith closes the execution with the notes of its end.
func (e *Execution) closeWith(given notes) error {
	outcome := Failed
	if e != nil && e.isTaskCanceled != nil && e.isTaskCanceled() {
		outcome = Canceled
	}
	err := e.end(context.Background(), outcome, given)
	if errors.Is(err, ErrEnded) {
		return nil
	}
	return err
}

func (e *Execution) end(ctx context.Context, outcome Outcome, given notes) error {
	if e == nil {
		return nil
	}
	if e.cancelTask != nil {
		defer e.cancelTask()
	}
	ctx = orBackground(ctx)
	if !e.queueFinish(outcome, given) {
		return ErrEnded
	}
	if e.isSilent() {
		return nil
	}
	e.wakeSender()
	began := e.now()
	// The ends of the job and of the client get the rest.
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

// queueFinish queues the outcome behind the last reports.
//
// It returns false if the execution had ended before.
func (e *Execution) queueFinish(outcome Outcome, given notes) (isFirst bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.delivery.isEnded {
		return false
	}
	e.delivery.endNotes = given
	e.delivery.dropNotes(int64(given.invalid))
	e.delivery.end(outcome, e.timeSource()())
	return true
}

// abandon drops everything undelivered, and returns the count.
func (e *Execution) abandon() (count int64) {
	e.mu.Lock()
	count = e.delivery.abandon()
	e.mu.Unlock()
	e.endLife()
	return count
}
