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

// run sends for one execution until everything is delivered or given up. It is the only goroutine that does, so there
// is never more than one request of an execution under way, and its reports arrive in order.
func (e *Execution) run(predecessor <-chan struct{}) {
	defer e.stop()
	defer func() {
		// A mistake of ours ends the reports of this execution, and never the program.
		if panicked := recover(); panicked != nil {
			e.client.health.logOnce("panic", "the sender panicked, please report this: %v", panicked)
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
	return e.delivery.next(time.Now())
}

func (e *Execution) allowStart() {
	e.mu.Lock()
	e.delivery.isStartAllowed = true
	e.mu.Unlock()
}

// pause waits until then, or until something happens. It says whether the execution before this one has started.
func (e *Execution) pause(until time.Time, predecessor <-chan struct{}) (hasPredecessorStarted bool) {
	var elapsed <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
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

// stop leaves nothing behind: whoever waits for the execution is told, and the next one of the task may start.
func (e *Execution) stop() {
	e.mu.Lock()
	isStartDone := e.delivery.start != startPending
	isRefused := e.delivery.start == startRejected
	lost := e.delivery.abandon()
	cause := e.delivery.counts.Err
	e.mu.Unlock()
	if !isStartDone {
		e.client.startIsDone(e, e.key)
	}
	if lost > 0 && !isRefused {
		e.client.health.logLoss(e.client.address, lost, cause)
	}
	e.client.leave(e)
	e.endLife()
	close(e.stopped)
	e.broadcast()
}

// broadcast lets everybody who waits for something look again.
func (e *Execution) broadcast() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.changed)
	e.changed = make(chan struct{})
}

// exchange makes one request for the execution, when its turn has come.
func (e *Execution) exchange(r request) (*httpResponse, error) {
	if err := e.client.takeSlot(e.life); err != nil {
		return nil, err
	}
	defer e.client.freeSlot()
	r.wait = e.client.requestWait
	return e.client.exchange(e.life, r)
}

// failed plans the next try of a request that was not taken.
func (e *Execution) requestFailed(a *httpResponse, cause error) {
	e.mu.Lock()
	e.delivery.requestFailed(cause, time.Now(), retryAfter(a, time.Now()), randomFraction())
	e.mu.Unlock()
	if e.life.Err() == nil {
		e.client.health.recordFailure(e.client.address, cause)
	}
}

// sendStart records the start. It may be sent any number of times: the name says that it is the same execution.
func (e *Execution) sendStart() {
	body, err := json.Marshal(event{Task: e.identity.task, Execution: e.identity.execution, Attempt: e.identity.attempt})
	if err != nil {
		panic("ledger: a start cannot be encoded: " + err.Error())
	}
	a, err := e.exchange(request{method: http.MethodPost, path: jobPath(e.key.job, "/executions"), body: body})
	found, cause := classify(a, err)
	var started struct {
		Attempt  int   `json:"attempt"`
		Sequence int64 `json:"sequence"`
		Last     *struct {
			Attempt int `json:"attempt"`
		} `json:"last"`
	}
	if a != nil && found != retryable {
		if err := json.Unmarshal(a.body, &started); err != nil {
			found, cause = retryable, fmt.Errorf("the answer to a start cannot be read: %w", err)
		}
	}
	if found == accepted && started.Sequence < 1 {
		found, cause = retryable, errors.New("the answer to a start has no sequence")
	}
	// A start that is superseded already is refused with the execution that has taken its place, and recorded.
	isFenced := found == rejected && a.status == http.StatusConflict && started.Last != nil
	if found == retryable {
		e.requestFailed(a, cause)
		return
	}
	e.mu.Lock()
	if found == accepted || isFenced {
		e.client.ownWrites.wrote(e.key.job, started.Sequence)
		e.delivery.startWasRecorded(started.Attempt, started.Sequence, time.Now())
	} else {
		e.delivery.startWasRejected(cause)
	}
	e.mu.Unlock()
	e.client.startIsDone(e, e.key)
	e.client.health.recordSuccess(e.client.address)
	switch {
	case isFenced:
		e.client.health.logOnce("superseded start", "%s is superseded from its start by attempt %d: nothing of it counts. "+
			"If it is not a late repetition, its attempt is too low", e.describe(), started.Last.Attempt)
		e.markSuperseded(true)
	case found != accepted:
		e.client.health.logOnce("start", "the start of task %q was refused; nothing of it is reported: %v",
			e.identity.task, cause)
	}
	e.broadcast()
}

// send delivers a batch.
func (e *Execution) send(batch batch, isCheck bool) {
	path := jobPath(e.key.job, "/events")
	if isCheck {
		path += "?wait=folded"
	}
	a, err := e.exchange(request{method: http.MethodPost, path: path, body: batch.body})
	found, cause := classify(a, err)
	var appended struct {
		LastSequence int64     `json:"last_sequence"`
		Verdicts     []Verdict `json:"verdicts"`
	}
	if found == accepted {
		if err := json.Unmarshal(a.body, &appended); err != nil || appended.LastSequence == 0 {
			found, cause = retryable, fmt.Errorf("the answer to an append cannot be read: %v", err)
		}
	}
	if found == retryable {
		e.requestFailed(a, cause)
		return
	}
	if found == accepted {
		e.client.ownWrites.wrote(e.key.job, appended.LastSequence)
	}
	isSuperseded, collision := e.settle(found, cause, appended.Verdicts, isCheck)
	e.client.health.recordSuccess(e.client.address)
	if found == rejected {
		e.client.health.logOnce("refused", "%d reports of task %q were refused and dropped: %v",
			len(batch.events), e.identity.task, cause)
	}
	if collision != "" {
		e.client.health.logOnce("discarded", "reports of %s do not count, their verdict is %s: does something else report "+
			"under its name?", e.describe(), collision)
	}
	if isSuperseded {
		e.markSuperseded(false)
	}
	e.broadcast()
}

// describe names the execution for the log.
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

// settle tells the delivery what came of the batch under way.
func (e *Execution) settle(
	found disposition, cause error, verdicts []Verdict, isCheck bool,
) (isSuperseded bool, collision Verdict) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch found {
	case accepted:
		return e.delivery.accepted(verdicts, time.Now(), isCheck)
	case oversized:
		e.delivery.tooLarge(cause)
	default:
		e.delivery.refused(cause)
	}
	return false, ""
}

// look asks whether a newer execution has started, for an execution that has nothing to report: its start is then an
// event that is superseded. That event is asked for by its sequence, which costs the ledger next to nothing however
// long the history is.
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
			found, cause = retryable, fmt.Errorf("a page of events cannot be read: %w", err)
		}
	}
	if found == retryable {
		e.requestFailed(a, cause)
		return
	}
	// The sequence belongs to the start unless the ledger was restored to a state without it, or a failover lost it.
	isOurs := len(page.Events) > 0 && page.Events[0].Sequence == sequence &&
		page.Events[0].Task == e.identity.task && page.Events[0].Execution == e.identity.execution
	e.mu.Lock()
	switch {
	case found != accepted:
		e.delivery.checkWasRejected(cause, time.Now())
	case isOurs:
		e.delivery.checked(time.Now())
	default:
		e.delivery.startWasLost(time.Now())
	}
	e.mu.Unlock()
	e.client.health.recordSuccess(e.client.address)
	if isOurs && page.Events[0].Verdict == VerdictSuperseded {
		e.markSuperseded(false)
	}
}

// markSuperseded tells the task, once. IsLogged says that the log has the reason.
func (e *Execution) markSuperseded(isLogged bool) {
	e.mu.Lock()
	wasSuperseded, hasEnded := e.delivery.isSuperseded, e.delivery.isEnded
	e.delivery.isSuperseded = true
	e.mu.Unlock()
	if wasSuperseded {
		return
	}
	if !isLogged && !hasEnded {
		e.client.health.logOnce("superseded", "%s is superseded: a newer one counts, this one should stop", e.describe())
	}
	close(e.superseded)
	if e.cancelTask != nil {
		e.cancelTask()
	}
	if e.onSuperseded != nil {
		// In a goroutine of its own: what the task does there must not hold up its reports.
		go e.callOnSuperseded()
	}
}

// callOnSuperseded calls the task's function. Nobody else could recover from its panic here.
func (e *Execution) callOnSuperseded() {
	defer func() {
		if panicked := recover(); panicked != nil {
			e.client.health.logOnce("callback", "the function given to OnSuperseded panicked: %v", panicked)
		}
	}()
	e.onSuperseded(e)
}

// jobPath is the path of something of a job.
func jobPath(job, rest string) string { return "/v1/jobs/" + url.PathEscape(job) + rest }

// chance is a random number from 0 to 1, for pauses. The generator of math/rand would give every process the same.
func randomFraction() float64 {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		// Without chance the pauses are still right, only not spread.
		return 0.5
	}
	return float64(binary.LittleEndian.Uint64(random[:])>>11) / (1 << 53)
}
