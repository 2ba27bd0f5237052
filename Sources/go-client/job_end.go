package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// jobEnd delivers the end of a job, after the job's executions that ended before.
type jobEnd struct {
	client *Client
	job    string
	event  event
	body   []byte
	// predecessors are closed when the executions that ended before are delivered or abandoned.
	predecessors []<-chan struct{}
	life         context.Context
	endLife      context.CancelFunc
	// skipPause ends the pause before the next try.
	skipPause chan struct{}
	// settled is closed when the end is recorded, refused or abandoned.
	settled chan struct{}

	mu sync.Mutex
	// cause is the error of the last try.
	cause error
	// isRecorded and isRefused are the ledger's final response.
	isRecorded, isRefused bool
	// hasCallerLeft is true once the caller has stopped waiting.
	hasCallerLeft bool
}

// finishJob ends a job, and waits as the end of an execution does.
func (c *Client) finishJob(ctx context.Context, job string, outcome JobState, message string) error {
	finish := event{Type: "job_finished", Outcome: string(outcome), Message: message}.without(c.support.lacks())
	body, err := json.Marshal(finish)
	if err != nil {
		return fmt.Errorf("ledger: cannot encode the end of the job: %w", err)
	}
	end := &jobEnd{
		client: c, job: job, event: finish, body: body, skipPause: make(chan struct{}, 1), settled: make(chan struct{}),
	}
	end.life, end.endLife = context.WithTimeout(context.Background(), drainMax)
	if !c.registerJobEnd(end) {
		end.endLife()
		return fmt.Errorf("%w: the client is closed", ErrUndelivered)
	}
	go end.run()
	ctx = orBackground(ctx)
	began := c.clock.now()
	wait := c.lastWait()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-end.settled:
		return end.err()
	case <-timer.C:
		c.health.recordTimeout(c.address, began, wait)
	case <-ctx.Done():
	}
	end.leave(c.mayDrainJobEnd())
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w (%v)", err, end.lastCause())
	}
	return &unavailableError{address: c.address, cause: end.lastCause()}
}

// run sends the end until it is settled.
func (e *jobEnd) run() {
	defer close(e.settled)
	defer e.client.unregisterJobEnd(e)
	defer e.endLife()
	for _, predecessor := range e.predecessors {
		select {
		case <-predecessor:
		case <-e.life.Done():
			return
		}
	}
	for tries := 1; ; tries++ {
		a, err := e.exchange()
		found, cause := classify(a, err)
		var appended struct {
			LastSequence int64 `json:"last_sequence"`
		}
		if found == accepted {
			if err := json.Unmarshal(a.body, &appended); err != nil || appended.LastSequence == 0 {
				found, cause = retryable, fmt.Errorf("cannot read the response to an append: %v", err)
			}
		}
		if found == rejected && e.dropMessage(cause) {
			continue
		}
		if found == accepted {
			e.client.support.record(e.event.fields())
			e.client.ownWrites.wrote(e.job, appended.LastSequence)
			e.client.health.recordSuccess(e.client.address)
		}
		e.mu.Lock()
		e.cause = cause
		e.isRecorded = found == accepted
		// A rejected token is final only for a waiting caller: the operator may correct it later.
		e.isRefused = found == rejected || found == oversized || isAuthenticationFailure(a) && !e.hasCallerLeft
		isSettled, isUnreported := e.isRecorded || e.isRefused, e.isRefused && e.hasCallerLeft
		e.mu.Unlock()
		if isUnreported {
			e.client.health.logOnce("job end", "the ledger refused the end of job %s: %v", e.job, cause)
		}
		if isSettled {
			return
		}
		if e.life.Err() != nil {
			if !e.client.hasClosed() {
				e.client.health.logLoss(e.client.address, 1, cause)
			}
			return
		}
		e.client.health.recordFailure(e.client.address, cause)
		timer := time.NewTimer(backoff(tries, randomFraction()) + retryAfter(a))
		select {
		case <-timer.C:
		case <-e.skipPause:
		case <-e.life.Done():
		}
		timer.Stop()
	}
}

// dropMessage removes the message if a problem names it, and reports whether it did.
func (e *jobEnd) dropMessage(cause error) bool {
	var problem *Problem
	if e.event.Message == "" || !errors.As(cause, &problem) {
		return false
	}
	for _, field := range problem.Errors {
		if field.Pointer == "/message" || field.Pointer == "/0/message" {
			e.client.health.logOnce("job message", "the end of job %s is sent without its message: %v", e.job, cause)
			e.event.Message = ""
			body, err := json.Marshal(e.event)
			e.body = body
			return err == nil
		}
	}
	return false
}

func (e *jobEnd) exchange() (*httpResponse, error) {
	if err := e.client.takeSlot(e.life); err != nil {
		return nil, err
	}
	defer e.client.freeSlot()
	path := jobPath(e.job, "/events")
	r := request{method: http.MethodPost, path: path, body: e.body, wait: e.client.requestWait}
	return e.client.exchange(e.life, r)
}

// err returns the error of a settled end.
func (e *jobEnd) err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.isRecorded:
		return nil
	case e.isRefused:
		return e.cause
	}
	return &unavailableError{address: e.client.address, cause: e.reason()}
}

func (e *jobEnd) lastCause() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.reason()
}

// reason returns the error of the last try. The caller holds the lock.
func (e *jobEnd) reason() error {
	if e.cause == nil {
		return errors.New("no response yet")
	}
	return e.cause
}

// await waits until the end is settled.
func (e *jobEnd) await(ctx context.Context) error {
	select {
	case e.skipPause <- struct{}{}:
	default:
	}
	select {
	case <-e.settled:
		return e.err()
	case <-ctx.Done():
		return fmt.Errorf("%w: the end of the job is not recorded yet: %v", ErrUndelivered, e.lastCause())
	}
}

// leave continues the delivery in the background, or abandons it.
func (e *jobEnd) leave(mayDrain bool) {
	e.mu.Lock()
	e.hasCallerLeft = true
	e.mu.Unlock()
	if !mayDrain {
		e.giveUp()
	}
}

// giveUp stops the delivery.
func (e *jobEnd) giveUp() { e.endLife() }
