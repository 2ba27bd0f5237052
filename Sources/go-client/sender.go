package ledger

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// run sends the reports of one execution until all are delivered or abandoned.
//
// Only this goroutine sends for the execution, so at most one request is in flight and reports arrive in order.
func (e *Execution) run(predecessor <-chan struct{}) {
	defer e.stop()
	defer func() {
		// A defect of this package ends the reports of this execution, never the program.
		if panicked := recover(); panicked != nil {
			e.client.health.logOnce("panic", "the sender panicked (please report this defect): %v", panicked)
		}
	}()
	if predecessor == nil {
		e.allowStart()
	}
	for {
		step := e.nextStep()
		switch step.kind {
		case stepStart:
			e.sendStart()
		case stepSend:
			e.send(step.batch, step.isCheck)
		case stepCheck:
			e.checkSuperseded()
		case stepWait:
			if e.pause(step.until, predecessor) {
				predecessor = nil
				e.allowStart()
			}
		case stepStop:
			return
		}
	}
}

func (e *Execution) nextStep() step {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.delivery.next(e.now())
}

func (e *Execution) allowStart() {
	e.mu.Lock()
	e.delivery.isStartAllowed = true
	e.mu.Unlock()
}

// pause waits for a time, a wake-up or the predecessor's start.
//
// It returns whether it was the last of these.
func (e *Execution) pause(until time.Time, predecessor <-chan struct{}) (hasPredecessorStarted bool) {
	var elapsed <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(until.Sub(e.now()))
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case <-elapsed:
	case <-e.wake:
	case <-e.life.Done():
	case <-predecessor:
		return true
	}
	return false
}

// stop releases all waiters, and lets the task's next execution start.
func (e *Execution) stop() {
	e.mu.Lock()
	isStartDone := e.delivery.start != startPending
	isRefused := e.delivery.start == startRejected
	lost := e.delivery.abandon()
	cause := e.delivery.counts.LastError
	e.mu.Unlock()
	if !isStartDone {
		e.client.startIsDone(e, e.key)
	}
	if lost > 0 && !isRefused {
		e.client.health.logLoss(e.client.address, lost, cause)
	}
	e.client.unregister(e)
	e.endLife()
	close(e.stopped)
	e.broadcast()
}

// broadcast lets all waiters evaluate their conditions again.
func (e *Execution) broadcast() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.changed)
	e.changed = make(chan struct{})
}

// exchange makes one request for the execution as soon as a slot is free.
func (e *Execution) exchange(r request) (*httpResponse, error) {
	if err := e.client.takeSlot(e.life); err != nil {
		return nil, err
	}
	defer e.client.freeSlot()
	r.wait = e.client.requestWait
	return e.client.exchange(e.life, r)
}

// requestFailed schedules the next try and records the failure.
func (e *Execution) requestFailed(a *httpResponse, cause error) {
	e.mu.Lock()
	e.delivery.requestFailed(cause, e.now(), retryAfter(a), randomFraction())
	e.mu.Unlock()
	if e.life.Err() == nil {
		e.client.health.recordFailure(e.client.address, cause)
	}
}

// sendStart sends the start. Its execution name makes it safe to repeat.
func (e *Execution) sendStart() {
	body, err := json.Marshal(struct {
		event
		UnlessCanceled bool `json:"unless_canceled,omitempty"`
	}{
		e.startEvent(), e.unlessCanceled,
	})
	if err != nil {
		panic("ledger: a start cannot be encoded: " + err.Error())
	}
	a, err := e.exchange(request{method: http.MethodPost, path: jobPath(e.key.job, "/executions"), body: body})
	found, cause := classify(a, err)
	var started struct {
		Attempt  int      `json:"attempt"`
		Sequence int64    `json:"sequence"`
		JobState JobState `json:"job_state"`
		Last     *struct {
			Attempt int `json:"attempt"`
		} `json:"last"`
	}
	if a != nil && found != retryable {
		if err := json.Unmarshal(a.body, &started); err != nil {
			found, cause = retryable, fmt.Errorf("cannot read the response to a start: %w", err)
		}
	}
	if found == accepted && started.Sequence < 1 {
		found, cause = retryable, errors.New("the response to a start has no sequence")
	}
	// A start that is already superseded is recorded, and refused with the execution that superseded it.
	isFenced := found == rejected && a.status == http.StatusConflict && started.Last != nil
	if found == retryable {
		e.requestFailed(a, cause)
		return
	}
	if found == rejected && !isFenced && e.dropStartLink(cause) {
		return
	}
	e.mu.Lock()
	if found == accepted || isFenced {
		e.client.ownWrites.wrote(e.key.job, started.Sequence)
		e.delivery.startWasRecorded(started.Attempt, started.Sequence, e.now())
		e.delivery.jobHasState(started.JobState)
	} else {
		e.delivery.startWasRejected(cause)
	}
	e.mu.Unlock()
	e.client.startIsDone(e, e.key)
	e.client.health.recordSuccess(e.client.address)
	switch {
	case isFenced:
		e.client.health.logOnce("superseded start", "%s is superseded from its start by attempt %d: its reports do not count. "+
			"If it is no zombie, give it a higher attempt", e.describe(), started.Last.Attempt)
		e.markSuperseded(true)
	case errors.Is(cause, ErrJobCanceled):
		e.client.health.logOnce("canceled", "the job is canceled, so task %q starts no execution", e.identity.task)
	case found != accepted:
		e.client.health.logOnce("start", "the ledger refused the start of task %q, so its progress is not reported: %v",
			e.identity.task, cause)
	}
	e.tellJobEnd()
	e.broadcast()
}

// startEvent returns the body of a start.
func (e *Execution) startEvent() event {
	e.mu.Lock()
	defer e.mu.Unlock()
	start := event{Task: e.identity.task, Execution: e.identity.execution, Attempt: e.identity.attempt, Link: e.delivery.link}
	return start.without(e.delivery.support.lacks())
}

// dropStartLink removes the link of a start if the ledger has refused it, and reports whether it did.
func (e *Execution) dropStartLink(cause error) bool {
	e.mu.Lock()
	isDropped := e.delivery.dropStartLink(cause)
	e.mu.Unlock()
	if isDropped {
		e.logUnknownFields()
	}
	return isDropped
}

// logUnknownFields logs the fields without which reports are sent to an older ledger.
func (e *Execution) logUnknownFields() {
	e.mu.Lock()
	unknown := e.delivery.newUnknown
	e.delivery.newUnknown = 0
	e.mu.Unlock()
	if unknown != 0 {
		e.client.health.logOnce("unknown fields", "this ledger is older than the client: reports are sent without %v", unknown)
	}
}

// send delivers a batch.
func (e *Execution) send(batch batch, isCheck bool) {
	parameters := url.Values{}
	if isCheck {
		parameters.Set("wait", "folded")
	}
	if e.mayStart() {
		parameters.Set("unless_canceled", "true")
	}
	path := jobPath(e.key.job, "/events")
	if len(parameters) > 0 {
		path += "?" + parameters.Encode()
	}
	a, err := e.exchange(request{method: http.MethodPost, path: path, body: batch.body})
	found, cause := classify(a, err)
	var appended struct {
		LastSequence int64     `json:"last_sequence"`
		JobState     JobState  `json:"job_state"`
		Verdicts     []Verdict `json:"verdicts"`
	}
	if found == accepted {
		if err := json.Unmarshal(a.body, &appended); err != nil || appended.LastSequence == 0 {
			found, cause = retryable, fmt.Errorf("cannot read the response to an append: %v", err)
		}
	}
	if found == rejected && errors.Is(cause, ErrJobCanceled) {
		e.refuse(cause)
		return
	}
	if found == retryable || found == rejected && e.isPartUncertain(cause) {
		e.requestFailed(a, cause)
		return
	}
	if found == accepted {
		e.client.ownWrites.wrote(e.key.job, appended.LastSequence)
	}
	defer e.logUnknownFields()
	isSuperseded, collision, lost := e.settle(found, cause, appended.Verdicts, appended.JobState, batch, isCheck)
	e.client.health.recordSuccess(e.client.address)
	if lost > 0 {
		e.client.health.logOnce("refused", "the ledger refused %d reports of task %q, which are dropped: %v",
			lost, e.identity.task, cause)
	}
	if collision != "" {
		e.client.health.logOnce("discarded", "reports of %s are discarded with the verdict %s: another reporter may use the "+
			"same execution name", e.describe(), collision)
	}
	if isSuperseded {
		e.markSuperseded(false)
	}
	e.tellJobEnd()
	e.broadcast()
}

// mayStart reports whether a report may be the first event of the execution, which must not reopen a canceled job.
func (e *Execution) mayStart() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.delivery.isAttached && !e.delivery.isKnown
}

// isPartUncertain reports whether an older ledger has refused the part of a batch that a newer one may have recorded.
func (e *Execution) isPartUncertain(cause error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.delivery.isPartUncertain(cause)
}

// refuse drops the reports to an execution of a canceled job.
func (e *Execution) refuse(cause error) {
	e.mu.Lock()
	e.delivery.startWasRejected(cause)
	e.mu.Unlock()
	e.client.health.recordSuccess(e.client.address)
	e.client.health.logOnce("canceled", "the job is canceled, so reports to task %q are dropped", e.identity.task)
	e.tellJobEnd()
	e.broadcast()
}

// tellJobEnd calls the task's callback if the job has ended since.
func (e *Execution) tellJobEnd() {
	e.mu.Lock()
	ended := e.delivery.takeJobEnd()
	e.mu.Unlock()
	if ended == "" || e.onJobEnded == nil {
		return
	}
	// The callback may block, and must not delay the reports.
	go func() {
		defer func() {
			if panicked := recover(); panicked != nil {
				e.client.health.logOnce("job callback", "the function given to OnJobEnded panicked: %v", panicked)
			}
		}()
		e.onJobEnded(e, ended)
	}()
}

// describe returns the execution's name, task and attempt for the log.
func (e *Execution) describe() string {
	attempt := ""
	if e.identity.attempt > 0 {
		attempt = fmt.Sprintf(" (attempt %d", e.identity.attempt)
		if e.attemptSource != "" {
			attempt += " from " + e.attemptSource
		}
		attempt += ")"
	}
	return fmt.Sprintf("execution %s of task %q%s", e.identity.execution, e.identity.task, attempt)
}

// settle records the result of the batch in flight.
func (e *Execution) settle(
	found disposition, cause error, verdicts []Verdict, state JobState, sent batch, isCheck bool,
) (isSuperseded bool, collision Verdict, lost int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch found {
	case accepted:
		isSuperseded, collision = e.delivery.accepted(verdicts, e.now(), isCheck)
		e.delivery.jobHasState(state)
		return isSuperseded, collision, 0
	case oversized:
		lost = e.delivery.tooLarge(cause)
	default:
		lost = e.delivery.rejected(cause, len(sent.events))
	}
	return false, "", lost
}

// checkSuperseded checks for a newer execution when there is nothing to report.
//
// The verdict of its start event is then superseded. The event is read by its sequence, which costs the ledger next to
// nothing however long the history is.
func (e *Execution) checkSuperseded() {
	e.mu.Lock()
	sequence := e.delivery.startSequence
	e.mu.Unlock()
	path := jobPath(e.key.job, fmt.Sprintf("/events?after=%d&limit=1", sequence-1))
	a, err := e.exchange(request{method: http.MethodGet, path: path})
	found, cause := classify(a, err)
	var page struct {
		Events []Event `json:"events"`
	}
	if found == accepted {
		if err := json.Unmarshal(a.body, &page); err != nil {
			found, cause = retryable, fmt.Errorf("cannot read a page of events: %w", err)
		}
	}
	if found == retryable {
		e.requestFailed(a, cause)
		return
	}
	// The event is the start unless a restore or a failover lost it.
	isOurs := len(page.Events) > 0 && page.Events[0].Sequence == sequence &&
		page.Events[0].Task == e.identity.task && page.Events[0].Execution == e.identity.execution
	e.mu.Lock()
	switch {
	case found != accepted:
		e.delivery.checkWasRejected(cause, e.now())
	case isOurs:
		e.delivery.checked(e.now())
	default:
		e.delivery.startWasLost(e.now())
	}
	e.mu.Unlock()
	e.client.health.recordSuccess(e.client.address)
	if isOurs && page.Events[0].Verdict == VerdictSuperseded {
		e.markSuperseded(false)
	}
}

// markSuperseded notifies the task once. It logs unless the caller has done so.
func (e *Execution) markSuperseded(isLogged bool) {
	e.mu.Lock()
	wasSuperseded, hasEnded := e.delivery.isSuperseded, e.delivery.isEnded
	e.delivery.isSuperseded = true
	e.mu.Unlock()
	if wasSuperseded {
		return
	}
	if !isLogged && !hasEnded {
		e.client.health.logOnce("superseded", "%s is superseded: a newer execution counts, and this one should stop", e.describe())
	}
	close(e.superseded)
	if e.cancelTask != nil {
		e.cancelTask()
	}
	if e.onSuperseded != nil {
		// The callback may block, and must not delay the reports.
		go e.callOnSuperseded()
	}
}

// callOnSuperseded calls the task's callback, and recovers from its panic.
func (e *Execution) callOnSuperseded() {
	defer func() {
		if panicked := recover(); panicked != nil {
			e.client.health.logOnce("callback", "the function given to OnSuperseded panicked: %v", panicked)
		}
	}()
	e.onSuperseded(e)
}

// jobPath returns the path of a job's resource.
func jobPath(job, rest string) string { return "/v1/jobs/" + url.PathEscape(job) + rest }

// randomFraction returns a random number from 0 to 1 for pauses.
//
// math/rand would give every process the same ones.
func randomFraction() float64 {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		// If there is no randomness, the pauses are correct but not spread.
		return 0.5
	}
	return float64(binary.LittleEndian.Uint64(random[:])>>11) / (1 << 53)
}
