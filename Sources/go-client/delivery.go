package ledger

import (
	"encoding/json"
	"time"
)

// delivery decides what the sender of one execution does next. It knows no network, no lock and no clock: it is told
// the time and what came of each request, so that every rule can be tested without waiting.
//
// What makes the numbers exact is the batch: increments that are cut out of the reportBuffer are numbered and frozen, and a
// batch is repeated with the same numbers and the same content until the ledger has answered for it. Whether an
// earlier try was taken does not matter then: the ledger knows a number that it has seen. What is reported meanwhile
// gathers in the reportBuffer, and never joins a batch that may already have arrived.
type delivery struct {
	buffer        reportBuffer
	interval      time.Duration
	checkInterval time.Duration

	// isStartAllowed says that no earlier execution of the same task, of this client, is still about to start: where
	// attempts are equal or absent, the ledger goes by who comes first.
	isStartAllowed bool
	start          startState
	// startSequence is an event by which the ledger knows the execution; 0 until it has recorded the start.
	startSequence int64
	// batches are frozen, the oldest first; only the first one is ever under way. There is one, or the pieces of one
	// that was too large.
	batches []batch
	// batchSizeMax is how many events a batch holds; less than batchSizeDefault once one was too large for somebody.
	batchSizeMax int
	// dueAt is when what gathers in the reportBuffer is to be sent.
	dueAt time.Time
	// checkAt is when to find out again whether the execution is superseded.
	checkAt      time.Time
	isSuperseded bool

	// emptied counts how often the reportBuffer was emptied, and delivered which of these times everything was settled that
	// had been taken out; flushGeneration is the one that somebody waits for.
	generation, deliveredGeneration, flushGeneration int64

	failures int
	// retryAt ends our own pause after a failure; notBefore the one that the ledger asked for.
	retryAt, notBefore time.Time

	outcome        Outcome
	isEnded        bool
	isFinishQueued bool
	drainUntil     time.Time
	// isAbandoned says that nothing will be sent any more.
	isAbandoned bool

	counts Stats
}

// startState is what became of the start.
type startState int

const (
	// startPending: not sent yet, or nobody knows whether it was taken. Becomes startRecorded or startRejected.
	startPending startState = iota
	// startRecorded: the ledger has it. Becomes startPending if the ledger went back to a state without it.
	startRecorded
	// startRejected: the ledger will never take it, nor anything else of this execution. Final.
	startRejected
)

// batch is a frozen part of what was reported.
type batch struct {
	events []event
	body   []byte
	// empties is which emptying of the reportBuffer is settled with it; 0 where it took only a part.
	completedGeneration int64
	// isResent says that the batch, or one that contains its events, was sent before.
	isResent bool
}

func newBatch(events []event, completedGeneration int64) batch {
	body, err := json.Marshal(events)
	if err != nil {
		// Strings and integers only: there is nothing in an event that JSON cannot hold.
		panic("ledger: an event cannot be encoded: " + err.Error())
	}
	return batch{events: events, body: body, completedGeneration: completedGeneration}
}

// step is what the sender is to do next.
type step struct {
	kind  stepKind
	batch batch
	// look says to ask for the verdicts.
	isCheck bool
	// until is when to ask again where nothing else happens; zero is never.
	until time.Time
}

type stepKind int

const (
	// stepWait: nothing to do until then, or until something is reported, flushed or ended.
	stepWait stepKind = iota
	// stepStart: record the start.
	stepStart
	// stepSend: send the batch.
	stepSend
	// stepCheck: find out whether the execution is superseded.
	stepCheck
	// stepStop: everything is delivered, or given up.
	stepStop
)

// next says what to do now. It is asked only while no request is under way.
func (d *delivery) next(now time.Time) step {
	if d.isAbandoned || d.start == startRejected || d.isEnded && !now.Before(d.drainUntil) {
		return step{kind: stepStop}
	}
	if !d.isStartAllowed {
		return d.wait()
	}
	if now.Before(d.notBefore) || now.Before(d.retryAt) {
		return d.wait(later(d.notBefore, d.retryAt))
	}
	if d.start == startPending {
		return step{kind: stepStart}
	}
	isCheckDue := !d.isSuperseded && !now.Before(d.checkAt)
	d.sealBatch(now)
	switch {
	case len(d.batches) > 0:
		return step{kind: stepSend, batch: d.batches[0], isCheck: isCheckDue}
	case d.isEnded:
		return step{kind: stepStop}
	case isCheckDue:
		return step{kind: stepCheck}
	}
	var reasons []time.Time
	if !d.buffer.isEmpty() {
		reasons = append(reasons, d.dueAt)
	}
	if !d.isSuperseded {
		reasons = append(reasons, d.checkAt)
	}
	return d.wait(reasons...)
}

// wait waits for the first of these times, and not beyond the time at which an ended execution gives up.
func (d *delivery) wait(reasons ...time.Time) step {
	if d.isEnded {
		reasons = append(reasons, d.drainUntil)
	}
	var until time.Time
	for _, reason := range reasons {
		if until.IsZero() || reason.Before(until) {
			until = reason
		}
	}
	return step{kind: stepWait, until: until}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// cut freezes what gathers in the reportBuffer, where it is time and the batch before it is settled.
func (d *delivery) sealBatch(now time.Time) {
	isFinishing := d.isEnded && !d.isFinishQueued
	if len(d.batches) > 0 || d.buffer.isEmpty() && !isFinishing {
		return
	}
	if !d.isEnded && d.flushGeneration <= d.generation && now.Before(d.dueAt) {
		return
	}
	events := d.buffer.take(d.batchSizeMax)
	d.counts.Reports += int64(len(events))
	var completedGeneration int64
	if d.buffer.isEmpty() {
		d.generation++
		completedGeneration = d.generation
	}
	if isFinishing && d.buffer.isEmpty() && len(events) < d.batchSizeMax {
		finish := d.buffer.identity.event("execution_finished")
		finish.Outcome = string(d.outcome)
		events = append(events, finish)
		d.isFinishQueued = true
	}
	d.batches = append(d.batches, newBatch(events, completedGeneration))
}

// report takes increments. It says whether the sender has to be woken, which it has for the first ones only.
func (d *delivery) report(label string, total, done int64, now func() time.Time) (wake bool, err error) {
	if d.isEnded {
		d.counts.Dropped++
		return false, ErrEnded
	}
	indicator, err := d.buffer.accept(label, total, done)
	if err != nil {
		d.counts.Invalid++
		return false, err
	}
	d.counts.Calls++
	if d.isAbandoned {
		d.counts.Dropped++
		return false, nil
	}
	wasEmpty := d.buffer.isEmpty()
	d.buffer.add(indicator, total, done)
	if wasEmpty {
		d.dueAt = now().Add(d.interval)
	}
	return wasEmpty, nil
}

// flush asks for everything that was reported so far to be sent now, and returns what to wait for.
func (d *delivery) flush() (target int64) {
	target = d.generation
	if !d.buffer.isEmpty() {
		target++
	}
	if target > d.flushGeneration {
		d.flushGeneration = target
	}
	return target
}

// hurry cuts our own pause after a failure short.
func (d *delivery) skipPause() { d.retryAt = time.Time{} }

// isDelivered tells whether what a flush asked for is settled.
func (d *delivery) isDelivered(target int64) bool {
	return d.start != startPending && d.deliveredGeneration >= target
}

// end says that nothing more will be reported. One try is made at once, whatever pause we had given ourselves.
func (d *delivery) end(outcome Outcome, now time.Time) {
	d.isEnded = true
	d.outcome = outcome
	d.drainUntil = now.Add(drainMax)
	d.skipPause()
}

// abandon gives up what is not delivered, and returns how much that is.
func (d *delivery) abandon() (count int64) {
	if d.isAbandoned {
		return 0
	}
	d.isAbandoned = true
	before := d.counts.Dropped
	for _, batch := range d.batches {
		d.counts.Dropped += int64(len(batch.events))
	}
	d.counts.Dropped += int64(len(d.buffer.dirty))
	if d.start != startRecorded {
		d.counts.Dropped++
	}
	if d.isEnded && !d.isFinishQueued {
		d.counts.Dropped++
	}
	d.batches = nil
	d.buffer.dirty = nil
	return d.counts.Dropped - before
}

// isFinishSettled tells whether the ledger has answered for the end of the execution as well.
func (d *delivery) isFinishSettled() bool { return d.isFinishQueued && len(d.batches) == 0 }
