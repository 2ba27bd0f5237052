package ledger

import (
	"encoding/json"
	"time"
)

// delivery decides what the sender of one execution does next.
//
// It uses no network, lock or clock: callers pass the time and the result of each request, so that every rule can be
// tested without waiting.
//
// Batches make the numbers exact. Increments taken from the buffer are numbered and frozen, and a batch is sent again
// with the same numbers and the same content until the ledger has responded. It does not matter whether an earlier try
// was recorded, because the ledger ignores a number that it has seen. New increments are collected in the buffer and
// never join a batch that may already have arrived.
type delivery struct {
	buffer reportBuffer
	// support is shared by all executions of a client.
	support *fieldSupport
	// isAttached is true if another process starts and ends the execution.
	isAttached bool
	// isKnown is true once the ledger has recorded a report of an attached process. Before, the execution may not have
	// started, because the job is canceled.
	isKnown bool
	// link is the link of the start, and endNotes are the notes of the end.
	link     string
	endNotes notes
	// newUnknown are the fields that the ledger does not know, as the log must be told.
	newUnknown    fieldSet
	interval      time.Duration
	checkInterval time.Duration

	// isStartAllowed is false while an earlier execution of the same task and client is about to start: the ledger
	// orders executions with equal or absent attempts by their arrival.
	isStartAllowed bool
	start          startState
	// startSequence is the sequence of the execution's start; 0 until the ledger has recorded it.
	startSequence int64
	// batches are frozen, oldest first; only the first one is ever in flight. There is one, or the parts of one that was
	// too large.
	batches []batch
	// batchSizeMax limits the events of a batch; less than batchSizeDefault once a server or proxy refused a larger one.
	batchSizeMax int
	// dueAt is the time to send the buffer.
	dueAt time.Time
	// checkAt is when to check again whether the execution is superseded.
	checkAt      time.Time
	isSuperseded bool
	// heartbeatAt is when to repeat the start if there is nothing else to send.
	heartbeatAt time.Time

	// generation counts how often the buffer was emptied. deliveredGeneration is the last generation whose reports are
	// all settled, and flushGeneration the last one that a flush waits for.
	generation, deliveredGeneration, flushGeneration int64

	failures int
	// retryAt ends the client's own pause after a failure, notBefore the pause that the ledger requested.
	retryAt, notBefore time.Time

	outcome        Outcome
	isEnded        bool
	isFinishQueued bool
	drainUntil     time.Time
	// isAbandoned is true once nothing more will be sent.
	isAbandoned bool

	// newJobEnd is the end of the job that the task must be told of; empty if there is none.
	newJobEnd JobState

	counts Stats
	// droppedNotes is the part of counts.Dropped whose events are not lost.
	droppedNotes int64
}

// startState is the state of the start event.
type startState int

const (
	// startPending: not sent yet, or with unknown outcome. Becomes startRecorded or startRejected.
	startPending startState = iota
	// startRecorded: recorded. Becomes startPending if the ledger went back to a state without it.
	startRecorded
	// startRejected: the ledger will never record it, nor anything else of this execution. Final.
	startRejected
)

// batch is a frozen group of numbered events that one request carries.
type batch struct {
	events []event
	body   []byte
	// completedGeneration is the generation of the buffer that ends with this batch; 0 if the buffer was not emptied.
	completedGeneration int64
	// isResent is true if the batch, or one that contained its events, was sent before.
	isResent bool
	// isHeartbeat is true if the batch only repeats the start. It is no report: nothing counts it, and it is not sent
	// after the end of the execution.
	isHeartbeat bool
}

func newBatch(events []event, completedGeneration int64) batch {
	body, err := json.Marshal(events)
	if err != nil {
		// An event has only strings and integers, which JSON can always hold.
		panic("ledger: an event cannot be encoded: " + err.Error())
	}
	return batch{events: events, body: body, completedGeneration: completedGeneration}
}

// step is the sender's next action.
type step struct {
	kind  stepKind
	batch batch
	// isCheck is true if the batch requests the verdicts.
	isCheck bool
	// until is when to call next again if nothing else happens; zero means never.
	until time.Time
}

type stepKind int

const (
	// stepWait: nothing to do until the given time, or until a report, flush or end.
	stepWait stepKind = iota
	// stepStart: record the start.
	stepStart
	// stepSend: send the batch.
	stepSend
	// stepCheck: check whether the execution is superseded.
	stepCheck
	// stepStop: everything is delivered or abandoned.
	stepStop
)

// next returns the next action. It is called only while no request is in flight.
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
	if d.isEnded && len(d.batches) > 0 && d.batches[0].isHeartbeat {
		d.batches = d.batches[1:]
	}
	isCheckDue := !d.isSuperseded && !now.Before(d.checkAt)
	d.sealBatch(now)
	// A check that is due is part of the next batch, if there is one within the interval.
	switch {
	case len(d.batches) > 0:
		return step{kind: stepSend, batch: d.batches[0], isCheck: isCheckDue}
	case d.isEnded:
		return step{kind: stepStop}
	case !d.buffer.isEmpty():
		return d.wait(d.dueAt)
	case d.isAttached:
		return d.wait()
	case d.repeatsStart() && !now.Before(d.heartbeatAt):
		heartbeat := newBatch([]event{d.buffer.identity.event("execution_started")}, 0)
		heartbeat.isHeartbeat = true
		d.batches = append(d.batches, heartbeat)
		return step{kind: stepSend, batch: heartbeat, isCheck: isCheckDue}
	case isCheckDue:
		return step{kind: stepCheck}
	case d.isSuperseded:
		return d.wait()
	case !d.repeatsStart():
		return d.wait(d.checkAt)
	}
	return d.wait(d.checkAt, d.heartbeatAt)
}

// repeatsStart reports whether the execution shows that it lives.
//
// If it is superseded or its job has ended, no caller asks.
func (d *delivery) repeatsStart() bool { return !d.isSuperseded && d.counts.JobEnded == "" }

// wait returns a wait until the first of these times.
//
// An ended execution waits at most until it abandons its reports.
func (d *delivery) wait(times ...time.Time) step {
	if d.isEnded {
		times = append(times, d.drainUntil)
	}
	var until time.Time
	for _, moment := range times {
		if until.IsZero() || moment.Before(until) {
			until = moment
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

// sealBatch freezes the buffer's contents if they are due.
//
// The previous batch must be settled.
func (d *delivery) sealBatch(now time.Time) {
	isFinishing := d.isEnded && !d.isFinishQueued
	if len(d.batches) > 0 || d.buffer.isEmpty() && !isFinishing {
		return
	}
	if !d.isEnded && d.flushGeneration <= d.generation && now.Before(d.dueAt) {
		return
	}
	events := d.buffer.take(d.batchSizeMax)
	if lacks := d.support.lacks(); lacks != 0 {
		for i := range events {
			events[i] = d.withoutFields(events[i], lacks)
		}
	}
	d.counts.Reports += int64(len(events))
	var completedGeneration int64
	if d.buffer.isEmpty() {
		d.generation++
		completedGeneration = d.generation
	}
	if isFinishing && d.buffer.isEmpty() && len(events) < d.batchSizeMax {
		finish := d.buffer.identity.event("execution_finished")
		finish.Outcome = string(d.outcome)
		finish.Message, finish.Link = d.endNotes.message, d.endNotes.link
		finish = finish.without(d.support.lacks())
		events = append(events, finish)
		d.isFinishQueued = true
	}
	d.batches = append(d.batches, newBatch(events, completedGeneration))
}

// report adds increments.
//
// It returns whether to wake the sender, which only the first report in the buffer needs.
func (d *delivery) report(label string, total, done int64, now func() time.Time) (wake bool, err error) {
	indicator, err := d.accept(label, total, done)
	if err != nil || indicator == nil {
		return false, err
	}
	return d.add(indicator, total, done, now), nil
}

// accept validates and counts a report, and returns its indicator; nil if nothing more will be sent.
func (d *delivery) accept(label string, total, done int64) (*pendingIndicator, error) {
	if d.isEnded {
		d.countRefusedCall()
		return nil, ErrEnded
	}
	indicator, err := d.buffer.accept(label, total, done)
	if err != nil {
		d.counts.Invalid++
		d.countRefusedCall()
		return nil, err
	}
	d.counts.Taken++
	if d.isAbandoned {
		d.counts.Dropped++
		return nil, nil
	}
	return indicator, nil
}

// add adds increments to an indicator, and returns whether to wake the sender.
func (d *delivery) add(indicator *pendingIndicator, total, done int64, now func() time.Time) (wake bool) {
	wasEmpty := d.buffer.isEmpty()
	d.buffer.add(indicator, total, done)
	if wasEmpty {
		d.dueAt = now().Add(d.interval)
	}
	return wasEmpty
}

// dropNotes counts notes that are lost.
func (d *delivery) dropNotes(count int64) {
	d.counts.Dropped += count
	d.droppedNotes += count
}

func (d *delivery) countRefusedCall() {
	d.counts.Refused++
	d.counts.Dropped++
}

// stats returns the statistics so far.
func (d *delivery) stats() Stats {
	stats := d.counts
	stats.Calls, stats.Err = stats.Taken, stats.LastError
	stats.IsStarted = d.start == startRecorded
	stats.IsSuperseded = d.isSuperseded
	stats.Pending = d.pending()
	return stats
}

// pending returns the number of events that the ledger has not recorded yet.
func (d *delivery) pending() int {
	if d.isAbandoned {
		return 0
	}
	count := len(d.buffer.dirty)
	for _, batch := range d.batches {
		if !batch.isHeartbeat {
			count += len(batch.events)
		}
	}
	if d.start != startRecorded && !d.isAttached {
		count++
	}
	if d.isEnded && !d.isFinishQueued {
		count++
	}
	return count
}

// flush makes all reports due now, and returns the generation to wait for.
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

// skipPause ends the client's own pause after a failure.
func (d *delivery) skipPause() { d.retryAt = time.Time{} }

// isDelivered reports whether everything up to this generation is settled.
func (d *delivery) isDelivered(target int64) bool {
	return d.start != startPending && d.deliveredGeneration >= target
}

// end records that nothing more will be reported.
//
// One try follows at once, even during a pause.
func (d *delivery) end(outcome Outcome, now time.Time) {
	d.isEnded = true
	d.outcome = outcome
	d.drainUntil = now.Add(drainMax)
	d.skipPause()
	if d.isAbandoned {
		d.counts.Dropped++
	}
}

// abandon drops everything undelivered, counts it, and returns the count.
func (d *delivery) abandon() (count int64) {
	if d.isAbandoned {
		return 0
	}
	count = int64(d.pending())
	d.counts.Dropped += count
	d.isAbandoned = true
	d.batches = nil
	d.buffer.dirty = nil
	return count
}

// isFinishSettled reports whether the end of the execution is settled.
func (d *delivery) isFinishSettled() bool { return d.isFinishQueued && len(d.batches) == 0 }
