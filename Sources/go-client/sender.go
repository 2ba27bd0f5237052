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
			e.client.health.once("panic", "the sender panicked, please report this: %v", panicked)
		}
	}()
	if predecessor == nil {
		e.letStart()
	}
	for {
		step := e.nextStep()
		switch step.kind {
		case stepStart:
			e.sendStart()
		case stepSend:
			e.send(step.parcel, step.look)
		case stepLook:
			e.look()
		case stepWait:
			if e.pause(step.until, predecessor) {
				predecessor = nil
				e.letStart()
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

func (e *Execution) letStart() {
	e.mu.Lock()
	e.delivery.mayStart = true
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
	isStartSettled := e.delivery.start != startUnsettled
	isRefused := e.delivery.start == startRefused
	lost := e.delivery.abandon()
	cause := e.delivery.counts.Err
	e.mu.Unlock()
	if !isStartSettled {
		e.client.startIsSettled(e, e.key)
	}
	if lost > 0 && !isRefused {
		e.client.health.lost(e.client.address, lost, cause)
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
func (e *Execution) exchange(r request) (*answer, error) {
	if err := e.client.takeSlot(e.life); err != nil {
		return nil, err
	}
	defer e.client.freeSlot()
	r.wait = e.client.requestWait
	return e.client.exchange(e.life, r)
}

// failed plans the next try of a request that was not taken.
func (e *Execution) failed(a *answer, cause error) {
	e.mu.Lock()
	e.delivery.failed(cause, time.Now(), retryAfter(a, time.Now()), chance())
	e.mu.Unlock()
	if e.life.Err() == nil {
		e.client.health.failed(e.client.address, cause)
	}
}

// sendStart records the start. It may be sent any number of times: the name says that it is the same execution.
func (e *Execution) sendStart() {
	body, err := json.Marshal(event{Task: e.identity.task, Execution: e.identity.execution, Attempt: e.identity.attempt})
	if err != nil {
		panic("ledger: a start cannot be encoded: " + err.Error())
	}
	a, err := e.exchange(request{method: http.MethodPost, path: jobPath(e.key.job, "/executions"), body: body})
	found, cause := judge(a, err)
	var started struct {
		Attempt  int   `json:"attempt"`
		Sequence int64 `json:"sequence"`
		Last     *struct {
			Attempt int `json:"attempt"`
		} `json:"last"`
	}
	if a != nil && found != untaken {
		if err := json.Unmarshal(a.body, &started); err != nil {
			found, cause = untaken, fmt.Errorf("the answer to a start cannot be read: %w", err)
		}
	}
	if found == taken && started.Sequence < 1 {
		found, cause = untaken, errors.New("the answer to a start has no sequence")
	}
	// A start that is superseded already is refused with the execution that has taken its place, and recorded.
	isFenced := found == refusal && a.status == http.StatusConflict && started.Last != nil
	if found == untaken {
		e.failed(a, cause)
		return
	}
	e.mu.Lock()
	if found == taken || isFenced {
		e.client.ownWrites.wrote(e.key.job, started.Sequence)
		e.delivery.startWasRecorded(started.Attempt, started.Sequence, time.Now())
	} else {
		e.delivery.startWasRefused(cause)
	}
	e.mu.Unlock()
	e.client.startIsSettled(e, e.key)
	e.client.health.succeeded(e.client.address)
	switch {
	case isFenced:
		e.client.health.once("superseded start", "%s is superseded from its start by attempt %d: nothing of it counts. "+
			"If it is not a late repetition, its attempt is too low", e.describe(), started.Last.Attempt)
		e.markSuperseded(true)
	case found != taken:
		e.client.health.once("start", "the start of task %q was refused; nothing of it is reported: %v",
			e.identity.task, cause)
	}
	e.broadcast()
}

// send delivers a parcel.
func (e *Execution) send(parcel parcel, look bool) {
	path := jobPath(e.key.job, "/events")
	if look {
		path += "?wait=folded"
	}
	a, err := e.exchange(request{method: http.MethodPost, path: path, body: parcel.body})
	found, cause := judge(a, err)
	var appended struct {
		LastSequence int64     `json:"last_sequence"`
		Verdicts     []Verdict `json:"verdicts"`
	}
	if found == taken {
		if err := json.Unmarshal(a.body, &appended); err != nil || appended.LastSequence == 0 {
			found, cause = untaken, fmt.Errorf("the answer to an append cannot be read: %v", err)
		}
	}
	if found == untaken {
		e.failed(a, cause)
		return
	}
	if found == taken {
		e.client.ownWrites.wrote(e.key.job, appended.LastSequence)
	}
	isSuperseded, clash := e.settle(found, cause, appended.Verdicts, look)
	e.client.health.succeeded(e.client.address)
	if found == refusal {
		e.client.health.once("refused", "%d reports of task %q were refused and dropped: %v",
			len(parcel.events), e.identity.task, cause)
	}
	if clash != "" {
		e.client.health.once("discarded", "reports of %s do not count, their verdict is %s: does something else report "+
			"under its name?", e.describe(), clash)
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

// settle tells the delivery what came of the parcel under way.
func (e *Execution) settle(
	found finding, cause error, verdicts []Verdict, look bool,
) (isSuperseded bool, clash Verdict) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch found {
	case taken:
		return e.delivery.accepted(verdicts, time.Now(), look)
	case tooMuch:
		e.delivery.tooLarge(cause)
	default:
		e.delivery.refused(cause)
	}
	return false, ""
}

// look asks whether a newer execution has started, for an execution that has nothing to report: its start is then an
// event that is superseded. That event is asked for by its sequence, which costs the ledger next to nothing however
// long the history is.
func (e *Execution) look() {
	e.mu.Lock()
	sequence := e.delivery.startSequence
	e.mu.Unlock()
	path := jobPath(e.key.job, fmt.Sprintf("/events?after=%d&limit=1", sequence-1))
	a, err := e.exchange(request{method: http.MethodGet, path: path})
	found, cause := judge(a, err)
	var page struct {
		Events []Event `json:"events"`
	}
	if found == taken {
		if err := json.Unmarshal(a.body, &page); err != nil {
			found, cause = untaken, fmt.Errorf("a page of events cannot be read: %w", err)
		}
	}
	if found == untaken {
		e.failed(a, cause)
		return
	}
	// The sequence belongs to the start unless the ledger was restored to a state without it, or a failover lost it.
	isOurs := len(page.Events) > 0 && page.Events[0].Sequence == sequence &&
		page.Events[0].Task == e.identity.task && page.Events[0].Execution == e.identity.execution
	e.mu.Lock()
	switch {
	case found != taken:
		e.delivery.lookWasRefused(cause, time.Now())
	case isOurs:
		e.delivery.looked(time.Now())
	default:
		e.delivery.startWasLost(time.Now())
	}
	e.mu.Unlock()
	e.client.health.succeeded(e.client.address)
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
		e.client.health.once("superseded", "%s is superseded: a newer one counts, this one should stop", e.describe())
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
			e.client.health.once("callback", "the function given to OnSuperseded panicked: %v", panicked)
		}
	}()
	e.onSuperseded(e)
}

// jobPath is the path of something of a job.
func jobPath(job, rest string) string { return "/v1/jobs/" + url.PathEscape(job) + rest }

// chance is a random number from 0 to 1, for pauses. The generator of math/rand would give every process the same.
func chance() float64 {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		// Without chance the pauses are still right, only not spread.
		return 0.5
	}
	return float64(binary.LittleEndian.Uint64(random[:])>>11) / (1 << 53)
}
