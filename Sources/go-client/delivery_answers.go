package ledger

import "time"

// What became of a request, told to the delivery.

// startWasRecorded says that the ledger has the start, and where; the attempt is 0 where it did not tell.
func (d *delivery) startWasRecorded(attempt int, sequence int64, now time.Time) {
	d.requestSucceeded()
	d.startSequence = sequence
	d.start = startRecorded
	d.checkAt = now.Add(d.checkInterval)
	if attempt > 0 {
		d.counts.Attempt = attempt
	}
}

// startWasLost says that the ledger does not contain the start any more: it is recorded again.
func (d *delivery) startWasLost(now time.Time) {
	d.checked(now)
	d.start = startPending
}

// startWasRejected says that the ledger will never take the start, and so nothing else of the execution.
func (d *delivery) startWasRejected(err error) {
	d.countFailure(err)
	d.start = startRejected
}

// looked says that somebody has found out whether the execution is superseded.
func (d *delivery) checked(now time.Time) {
	d.requestSucceeded()
	d.checkAt = now.Add(d.checkInterval)
}

// checkWasRejected says that the ledger does not tell. It is asked again when the next look is due.
func (d *delivery) checkWasRejected(err error, now time.Time) {
	d.countFailure(err)
	d.checkAt = now.Add(d.checkInterval)
}

func (d *delivery) countFailure(err error) {
	d.counts.Requests++
	d.counts.Failures++
	d.counts.Err = err
}

// succeeded ends an outage.
func (d *delivery) requestSucceeded() {
	d.counts.Requests++
	d.counts.Err = nil
	d.failures = 0
	d.retryAt, d.notBefore = time.Time{}, time.Time{}
}

// failed plans the next try. Chance is from 0 to 1: executions that failed together shall not come back together.
func (d *delivery) requestFailed(err error, now time.Time, retryAfter time.Duration, randomFraction float64) {
	d.countFailure(err)
	d.failures++
	if len(d.batches) > 0 {
		d.batches[0].isResent = true
	}
	d.retryAt = now.Add(backoff(d.failures, randomFraction))
	// Never before what the ledger asks for; and spread beyond it, for it asks all of them for the same.
	d.notBefore = now.Add(retryAfter + time.Duration(randomFraction*float64(retryAfter)/4))
}

// backoff is the pause after so many failures in a row: a random part, half at least, of one that doubles.
func backoff(failures int, randomFraction float64) time.Duration {
	pause := pauseMax
	// 2^10 times the first pause is beyond the longest one.
	if failures <= 10 && pauseMin<<(failures-1) < pauseMax {
		pause = pauseMin << (failures - 1)
	}
	return time.Duration(float64(pause) * (0.5 + randomFraction/2))
}

// settled removes the batch that the ledger has answered for, by taking it or by refusing it for good.
func (d *delivery) settled() {
	if len(d.batches) == 0 {
		return
	}
	if completedGeneration := d.batches[0].completedGeneration; completedGeneration > 0 {
		d.deliveredGeneration = completedGeneration
	}
	d.batches = d.batches[1:]
}

// accepted says that the ledger has recorded the batch under way; the verdicts are nil where it did not tell.
//
// Reports of one sender never clash: a verdict that discards one means that somebody else reports under the same name.
// A duplicate is none if the batch was sent before.
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
		// Also where the projection was too slow to tell: waiting for it each time would hold up every report.
		d.checkAt = now.Add(d.checkInterval)
	}
	return isSuperseded, collision
}

// refused says that the ledger will never take the batch under way: it is dropped, lest it stop all that follows.
func (d *delivery) refused(err error) {
	d.countFailure(err)
	d.failures = 0
	if len(d.batches) > 0 {
		d.counts.Dropped += int64(len(d.batches[0].events))
	}
	d.settled()
}

// tooLarge says that the batch under way is larger than the ledger, or something before it, lets pass. Its halves keep
// their numbers: should it have been taken all the same, they change nothing.
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
