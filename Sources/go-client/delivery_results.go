package ledger

import (
	"errors"
	"net/http"
	"time"
)

// Results of requests, as they change a delivery.

// startWasRecorded records a successful start.
//
// The attempt is 0 if the response does not contain it.
func (d *delivery) startWasRecorded(attempt int, sequence int64, now time.Time) {
	d.requestSucceeded()
	d.counts.Delivered++
	d.startSequence = sequence
	d.start = startRecorded
	d.checkAt = now.Add(d.checkInterval)
	d.heartbeatAt = now.Add(heartbeatInterval)
	if attempt > 0 {
		d.counts.Attempt = attempt
	}
}

// startWasLost schedules the start again, which the ledger has lost.
func (d *delivery) startWasLost(now time.Time) {
	d.checked(now)
	d.start = startPending
}

// startWasRejected ends the delivery, because the ledger rejected the start.
func (d *delivery) startWasRejected(err error) {
	d.countFailure(err)
	d.start = startRejected
	var problem *Problem
	if errors.As(err, &problem) {
		d.jobHasState(problem.JobState)
	}
}

// jobHasState records the state of the job in a response; an empty one changes nothing.
func (d *delivery) jobHasState(state JobState) {
	if state == "" {
		return
	}
	ended := state
	if state == JobRunning {
		ended = ""
	}
	if ended != d.counts.JobEnded {
		d.newJobEnd = ended
	}
	d.counts.JobEnded = ended
}

// takeJobEnd returns the end of the job that the task must be told of; empty if there is none.
//
// Each end is returned once, and none after the end of the execution: nothing is left to stop then.
func (d *delivery) takeJobEnd() JobState {
	ended := d.newJobEnd
	d.newJobEnd = ""
	if d.isEnded {
		return ""
	}
	return ended
}

// checked records a check for a newer execution.
func (d *delivery) checked(now time.Time) {
	d.requestSucceeded()
	d.checkAt = now.Add(d.checkInterval)
}

// checkWasRejected records a check that the ledger refused.
//
// The next one follows after the usual interval.
func (d *delivery) checkWasRejected(err error, now time.Time) {
	d.countFailure(err)
	d.checkAt = now.Add(d.checkInterval)
}

func (d *delivery) countFailure(err error) {
	d.counts.Requests++
	d.counts.Failures++
	d.counts.LastError = err
}

// requestSucceeded ends an outage.
func (d *delivery) requestSucceeded() {
	d.counts.Requests++
	d.counts.LastError = nil
	d.failures = 0
	d.retryAt, d.notBefore = time.Time{}, time.Time{}
}

// requestFailed schedules the next try.
//
// The random fraction, from 0 to 1, keeps executions that failed together from returning together.
func (d *delivery) requestFailed(err error, now time.Time, retryAfter time.Duration, randomFraction float64) {
	d.countFailure(err)
	d.failures++
	if len(d.batches) > 0 {
		d.batches[0].isResent = true
	}
	d.retryAt = now.Add(backoff(d.failures, randomFraction))
	// Never earlier than the ledger asks for, and spread beyond it, because all executions are asked for the same.
	d.notBefore = now.Add(retryAfter + time.Duration(randomFraction*retryAfterSpread*float64(retryAfter)))
}

// backoff returns the pause after this number of consecutive failures.
//
// The pause doubles with each failure, up to pauseMax; a random fraction of it, at least half, is taken.
func backoff(failures int, randomFraction float64) time.Duration {
	pause := pauseMax
	// 2^10 times the first pause is beyond the longest one.
	if failures <= 10 && pauseMin<<(failures-1) < pauseMax {
		pause = pauseMin << (failures - 1)
	}
	return time.Duration(float64(pause) * (0.5 + randomFraction/2))
}

// settled removes the batch in flight, which the ledger has recorded or rejected.
func (d *delivery) settled() {
	if len(d.batches) == 0 {
		return
	}
	if completedGeneration := d.batches[0].completedGeneration; completedGeneration > 0 {
		d.deliveredGeneration = completedGeneration
	}
	d.batches = d.batches[1:]
}

// accepted records that the ledger has recorded the batch in flight.
//
// Verdicts are nil if they were not requested.
//
// Reports of one sender never collide. A verdict that discards one means that another reporter uses the same execution
// name. A duplicate is expected if the batch was sent before.
func (d *delivery) accepted(verdicts []Verdict, now time.Time, checked bool) (isSuperseded bool, collision Verdict) {
	d.requestSucceeded()
	d.isKnown = true
	isResent := len(d.batches) > 0 && d.batches[0].isResent
	isHeartbeat := len(d.batches) > 0 && d.batches[0].isHeartbeat
	if len(d.batches) > 0 {
		for _, event := range d.batches[0].events {
			d.support.record(event.fields())
		}
	}
	if len(d.batches) > 0 && !isHeartbeat {
		d.counts.Delivered += int64(len(d.batches[0].events))
	}
	d.settled()
	d.heartbeatAt = now.Add(heartbeatInterval)
	for _, verdict := range verdicts {
		switch {
		case verdict == VerdictSuperseded:
			isSuperseded = true
		case isHeartbeat:
		case verdict == VerdictConflict, verdict == VerdictOverLimit, verdict == VerdictDuplicate && !isResent:
			d.counts.Delivered--
			d.counts.Discarded++
			d.counts.Dropped++
			collision = verdict
		}
	}
	if checked {
		// Even if the projection was too slow for verdicts: waiting for it each time would delay every report.
		d.checkAt = now.Add(d.checkInterval)
	}
	return isSuperseded, collision
}

// rejected records that the ledger has rejected the batch in flight for good, and returns the number of lost events.
//
// The events that it names are dropped, because they would block the others. If it names none, the batch is divided to
// find them. If the job does not exist, or was retired, everything is given up.
func (d *delivery) rejected(cause error, count int) (lost int64) {
	var problem *Problem
	if errors.As(cause, &problem) && (problem.Status == http.StatusNotFound || problem.Status == http.StatusGone) {
		d.requestWasFinal(cause)
		return d.abandon()
	}
	if d.strip(problem) {
		d.requestWasFinal(cause)
		return 0
	}
	positions := problem.refusedPositions(count)
	switch {
	case len(d.batches) == 0:
		d.requestWasFinal(cause)
		return 0
	case len(positions) == 0:
		return d.divide(cause)
	}
	return d.drop(cause, positions)
}

// tooLarge divides the batch in flight, which the ledger or a proxy refused, and limits later ones.
func (d *delivery) tooLarge(cause error) (lost int64) {
	if len(d.batches) == 0 {
		d.requestWasFinal(cause)
		return 0
	}
	if half := len(d.batches[0].events) / 2; half > 0 && half < d.batchSizeMax {
		d.batchSizeMax = half
	}
	return d.divide(cause)
}

// divide sends the batch in flight in halves, or drops it if it has one event.
//
// The halves keep their report numbers: if the whole was recorded after all, they change nothing.
func (d *delivery) divide(cause error) (lost int64) {
	whole := d.batches[0]
	if len(whole.events) < 2 {
		return d.drop(cause, []int{0})
	}
	d.requestWasFinal(cause)
	middle := len(whole.events) / 2
	halves := []batch{newBatch(whole.events[:middle], 0), newBatch(whole.events[middle:], whole.completedGeneration)}
	for i := range halves {
		halves[i].isResent = true
	}
	d.batches = append(halves, d.batches[1:]...)
	return 0
}

// drop removes the events at these positions from the batch in flight.
func (d *delivery) drop(cause error, positions []int) (lost int64) {
	d.requestWasFinal(cause)
	if !d.batches[0].isHeartbeat {
		lost = int64(len(positions))
	}
	d.counts.Dropped += lost
	isDropped := make(map[int]bool, len(positions))
	for _, position := range positions {
		isDropped[position] = true
	}
	var kept []event
	for i, event := range d.batches[0].events {
		if !isDropped[i] {
			kept = append(kept, event)
		}
	}
	if len(kept) == 0 {
		d.settled()
		return lost
	}
	isResent := d.batches[0].isResent
	d.batches[0] = newBatch(kept, d.batches[0].completedGeneration)
	d.batches[0].isResent = isResent
	return lost
}

// requestWasFinal records a failure that ends an outage: the ledger has responded.
func (d *delivery) requestWasFinal(err error) {
	d.countFailure(err)
	d.failures = 0
	d.retryAt, d.notBefore = time.Time{}, time.Time{}
}
