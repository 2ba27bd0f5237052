package ledger

import (
	"encoding/json"
	"time"
)

// delivery decides what the sender of one execution does next. It knows no network, no lock and no clock: it is told
// the time and what came of each request, so that every rule can be tested without waiting.
//
// What makes the numbers exact is the parcel: increments that are cut out of the outbox are numbered and frozen, and a
// parcel is repeated with the same numbers and the same content until the ledger has answered for it. Whether an
// earlier try was taken does not matter then: the ledger knows a number that it has seen. What is reported meanwhile
// gathers in the outbox, and never joins a parcel that may already have arrived.
type delivery struct {
	outbox       outbox
	interval     time.Duration
	lookInterval time.Duration

	// mayStart says that no earlier execution of the same task, of this client, is still about to start: where
	// attempts are equal or absent, the ledger goes by who comes first.
	mayStart bool
	start    startState
	// startSequence is an event by which the ledger knows the execution; 0 until it has recorded the start.
	startSequence int64
	// parcels are frozen, the oldest first; only the first one is ever under way. There is one, or the pieces of one
	// that was too large.
	parcels []parcel
	// eventsMax is how many events a parcel holds; less than batchEventsMax once one was too large for somebody.
	eventsMax int
	// dueAt is when what gathers in the outbox is to be sent.
	dueAt time.Time
	// lookAt is when to find out again whether the execution is superseded.
	lookAt       time.Time
	isSuperseded bool

	// emptied counts how often the outbox was emptied, and delivered which of these times everything was settled that
	// had been taken out; flushGoal is the one that somebody waits for.
	emptied, delivered, flushGoal int64

	failures int
	// retryAt ends our own pause after a failure; notBefore the one that the ledger asked for.
	retryAt, notBefore time.Time

	outcome     Outcome
	isEnded     bool
	isFinishCut bool
	lingerUntil time.Time
	// isAbandoned says that nothing will be sent any more.
	isAbandoned bool

	counts Stats
}

// startState is what became of the start.
type startState int

const (
	// startUnsettled: not sent yet, or nobody knows whether it was taken. Becomes startRecorded or startRefused.
	startUnsettled startState = iota
	// startRecorded: the ledger has it. Becomes startUnsettled if the ledger went back to a state without it.
	startRecorded
	// startRefused: the ledger will never take it, nor anything else of this execution. Final.
	startRefused
)

// parcel is a frozen part of what was reported.
type parcel struct {
	events []event
	body   []byte
	// empties is which emptying of the outbox is settled with it; 0 where it took only a part.
	empties int64
	// isRepeated says that the parcel, or one that contains its events, was sent before.
	isRepeated bool
}

func newParcel(events []event, empties int64) parcel {
	body, err := json.Marshal(events)
	if err != nil {
		// Strings and integers only: there is nothing in an event that JSON cannot hold.
		panic("ledger: an event cannot be encoded: " + err.Error())
	}
	return parcel{events: events, body: body, empties: empties}
}

// step is what the sender is to do next.
type step struct {
	kind   stepKind
	parcel parcel
	// look says to ask for the verdicts.
	look bool
	// until is when to ask again where nothing else happens; zero is never.
	until time.Time
}

type stepKind int

const (
	// stepWait: nothing to do until then, or until something is reported, flushed or ended.
	stepWait stepKind = iota
	// stepStart: record the start.
	stepStart
	// stepSend: send the parcel.
	stepSend
	// stepLook: find out whether the execution is superseded.
	stepLook
	// stepStop: everything is delivered, or given up.
	stepStop
)

// next says what to do now. It is asked only while no request is under way.
func (d *delivery) next(now time.Time) step {
	if d.isAbandoned || d.start == startRefused || d.isEnded && !now.Before(d.lingerUntil) {
		return step{kind: stepStop}
	}
	if !d.mayStart {
		return d.wait()
	}
	if now.Before(d.notBefore) || now.Before(d.retryAt) {
		return d.wait(later(d.notBefore, d.retryAt))
	}
	if d.start == startUnsettled {
		return step{kind: stepStart}
	}
	isLookDue := !d.isSuperseded && !now.Before(d.lookAt)
	d.cut(now)
	switch {
	case len(d.parcels) > 0:
		return step{kind: stepSend, parcel: d.parcels[0], look: isLookDue}
	case d.isEnded:
		return step{kind: stepStop}
	case isLookDue:
		return step{kind: stepLook}
	}
	var reasons []time.Time
	if !d.outbox.isEmpty() {
		reasons = append(reasons, d.dueAt)
	}
	if !d.isSuperseded {
		reasons = append(reasons, d.lookAt)
	}
	return d.wait(reasons...)
}

// wait waits for the first of these times, and not beyond the time at which an ended execution gives up.
func (d *delivery) wait(reasons ...time.Time) step {
	if d.isEnded {
		reasons = append(reasons, d.lingerUntil)
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

// cut freezes what gathers in the outbox, where it is time and the parcel before it is settled.
func (d *delivery) cut(now time.Time) {
	isFinishing := d.isEnded && !d.isFinishCut
	if len(d.parcels) > 0 || d.outbox.isEmpty() && !isFinishing {
		return
	}
	if !d.isEnded && d.flushGoal <= d.emptied && now.Before(d.dueAt) {
		return
	}
	events := d.outbox.cut(d.eventsMax)
	d.counts.Reports += int64(len(events))
	var empties int64
	if d.outbox.isEmpty() {
		d.emptied++
		empties = d.emptied
	}
	if isFinishing && d.outbox.isEmpty() && len(events) < d.eventsMax {
		finish := d.outbox.identity.event("execution_finished")
		finish.Outcome = string(d.outcome)
		events = append(events, finish)
		d.isFinishCut = true
	}
	d.parcels = append(d.parcels, newParcel(events, empties))
}

// report takes increments. It says whether the sender has to be woken, which it has for the first ones only.
func (d *delivery) report(label string, total, done int64, now func() time.Time) (wake bool, err error) {
	if d.isEnded {
		d.counts.Dropped++
		return false, ErrEnded
	}
	indicator, err := d.outbox.accept(label, total, done)
	if err != nil {
		d.counts.Invalid++
		return false, err
	}
	d.counts.Calls++
	if d.isAbandoned {
		d.counts.Dropped++
		return false, nil
	}
	wasEmpty := d.outbox.isEmpty()
	d.outbox.add(indicator, total, done)
	if wasEmpty {
		d.dueAt = now().Add(d.interval)
	}
	return wasEmpty, nil
}

// flush asks for everything that was reported so far to be sent now, and returns what to wait for.
func (d *delivery) flush() (goal int64) {
	goal = d.emptied
	if !d.outbox.isEmpty() {
		goal++
	}
	if goal > d.flushGoal {
		d.flushGoal = goal
	}
	return goal
}

// hurry cuts our own pause after a failure short.
func (d *delivery) hurry() { d.retryAt = time.Time{} }

// isDelivered tells whether what a flush asked for is settled.
func (d *delivery) isDelivered(goal int64) bool {
	return d.start != startUnsettled && d.delivered >= goal
}

// end says that nothing more will be reported. One try is made at once, whatever pause we had given ourselves.
func (d *delivery) end(outcome Outcome, now time.Time) {
	d.isEnded = true
	d.outcome = outcome
	d.lingerUntil = now.Add(lingerMax)
	d.hurry()
}

// abandon gives up what is not delivered, and returns how much that is.
func (d *delivery) abandon() (count int64) {
	if d.isAbandoned {
		return 0
	}
	d.isAbandoned = true
	before := d.counts.Dropped
	for _, parcel := range d.parcels {
		d.counts.Dropped += int64(len(parcel.events))
	}
	d.counts.Dropped += int64(len(d.outbox.touched))
	if d.start != startRecorded {
		d.counts.Dropped++
	}
	if d.isEnded && !d.isFinishCut {
		d.counts.Dropped++
	}
	d.parcels = nil
	d.outbox.touched = nil
	return d.counts.Dropped - before
}

// isFinishSettled tells whether the ledger has answered for the end of the execution as well.
func (d *delivery) isFinishSettled() bool { return d.isFinishCut && len(d.parcels) == 0 }
