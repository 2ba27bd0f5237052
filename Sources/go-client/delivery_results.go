package ledger

import "time"

// Results of requests, as they change a delivery.

// startWasRecorded records a successful start.
//
// The attempt is 0 if the response does not contain it.
func (d *delivery) startWasRecorded(attempt int, sequence int64, now time.Time) {
	d.requestSucceeded()
	d.startSequence = sequence
	d.start = startRecorded
	d.checkAt = now.Add(d.checkInterval)
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
	d.counts.Err = err
}

// requestSucceeded ends an outage.
func (d *delivery) requestSucceeded() {
	d.counts.Requests++
	d.counts.Err = nil
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
	d.notBefore = now.Add(retryAfter + time.Duration(randomFraction*float64(retryAfter)/4))
}

// backoff returns the pause after so many failures in a row.
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
	isResent := len(d.batches) > 0 && d.batches[0].isResent
	if len(d.batches) > 0 {
		d.counts.Delivered += int64(reportsIn(d.batches[0].events))
	}
	d.settled()
	for _, verdict := range verdicts {
		switch {
		case verdict == VerdictSuperseded:
			isSuperseded = true
		case verdict == VerdictConflict, verdict == VerdictOverLimit, verdict == VerdictDuplicate && !isResent:
			d.counts.Discarded++
			collision = verdict
		}
	}
	if checked {
		// Even if the projection was too slow for verdicts: waiting for it each time would delay every report.
		d.checkAt = now.Add(d.checkInterval)
	}
	return isSuperseded, collision
}

// refused drops the batch in flight, which the ledger has rejected for good.
//
// Otherwise it would block later ones.
func (d *delivery) refused(err error) {
	d.countFailure(err)
	d.failures = 0
	if len(d.batches) > 0 {
		d.counts.Dropped += int64(len(d.batches[0].events))
	}
	d.settled()
}

// tooLarge splits the batch in flight, which the ledger or a proxy refused.
//
// The halves keep their report numbers: if the whole was recorded after all, they change nothing.
func (d *delivery) tooLarge(err error) {
	if len(d.batches) == 0 || len(d.batches[0].events) < 2 {
		d.refused(err)
		return
	}
	d.countFailure(err)
	whole := d.batches[0]
	middle := len(whole.events) / 2
	d.batchSizeMax = middle
	halves := []batch{newBatch(whole.events[:middle], 0), newBatch(whole.events[middle:], whole.completedGeneration)}
	for i := range halves {
		halves[i].isResent = true
	}
	d.batches = append(halves, d.batches[1:]...)
}

func reportsIn(events []event) int {
	count := 0
	for _, event := range events {
		if event.Report > 0 {
			count++
		}
	}
	return count
}
