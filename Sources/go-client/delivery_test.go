package ledger

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// newDelivery returns a delivery with a recorded start.
func newDelivery(now time.Time) *delivery {
	d := &delivery{support: &fieldSupport{},
		interval: time.Second, checkInterval: 10 * time.Second, isStartAllowed: true, batchSizeMax: batchSizeDefault,
	}
	d.buffer.identity = identity{task: "tile", execution: "e"}
	d.startWasRecorded(1, 2, now)
	return d
}

// fixedClock returns a clock that always shows the same time.
func fixedClock(now time.Time) func() time.Time { return func() time.Time { return now } }

// expectStep fails the test unless the next step is of this kind.
func expectStep(t *testing.T, d *delivery, now time.Time, want stepKind) step {
	t.Helper()
	step := d.next(now)
	if step.kind != want {
		t.Fatalf("the next step is %d, until %v; want %d", step.kind, step.until, want)
	}
	return step
}

func TestIncrementsWithinAnIntervalShareOneReport(t *testing.T) {
	now := time.Now()
	d := newDelivery(now)
	for i := 0; i < 5; i++ {
		wake, err := d.report("a", 2, 1, fixedClock(now.Add(time.Duration(i)*time.Millisecond)))
		must(t, err)
		if wake != (i == 0) {
			t.Errorf("call %d wakes the sender: %v", i, wake)
		}
	}
	waiting := expectStep(t, d, now, stepWait)
	if !waiting.until.Equal(now.Add(time.Second)) {
		t.Errorf("it waits until %v after the first increment", waiting.until.Sub(now))
	}
	sending := expectStep(t, d, waiting.until, stepSend)
	if len(sending.batch.events) != 1 || sending.batch.events[0].Total != 10 || sending.batch.events[0].Done != 5 {
		t.Errorf("sent is %+v", sending.batch.events)
	}
}

func TestABatchIsFrozenUntilItIsSettled(t *testing.T) {
	now := time.Now()
	d := newDelivery(now)
	_, err := d.report("a", 0, 1, fixedClock(now))
	must(t, err)
	now = now.Add(time.Second)
	first := expectStep(t, d, now, stepSend)
	_, err = d.report("a", 0, 10, fixedClock(now))
	must(t, err)
	d.requestFailed(errors.New("lost"), now, 0, 1)
	paused := expectStep(t, d, now, stepWait)
	again := expectStep(t, d, paused.until, stepSend)
	if string(first.batch.body) != string(again.batch.body) {
		t.Errorf("first %s was sent, then %s", first.batch.body, again.batch.body)
	}
	d.accepted(nil, now, false)
	next := expectStep(t, d, now.Add(time.Minute), stepSend)
	if event := next.batch.events[0]; event.Done != 10 || event.Report != 2 {
		t.Errorf("the next is %+v", event)
	}
}

func TestLargeSumsAreSplitIntoValidIncrements(t *testing.T) {
	now := time.Now()
	d := newDelivery(now)
	d.batchSizeMax = 10
	const calls = 25
	for i := 0; i < calls; i++ {
		_, err := d.report("a", IncrementMax, 1, fixedClock(now))
		must(t, err)
	}
	_, err := d.report("b", 0, 3, fixedClock(now))
	must(t, err)
	target := d.flush()
	var total, done, b int64
	reports := map[int64]bool{}
	for !d.isDelivered(target) {
		sending := expectStep(t, d, now, stepSend)
		if len(sending.batch.events) > d.batchSizeMax {
			t.Fatalf("a batch has %d events", len(sending.batch.events))
		}
		for _, event := range sending.batch.events {
			if event.Total > IncrementMax || event.Done > IncrementMax || reports[event.Report] {
				t.Fatalf("the ledger will not take %+v", event)
			}
			reports[event.Report] = true
			if event.Label == "b" {
				b += event.Done
				continue
			}
			total += event.Total / IncrementMax
			done += event.Done
		}
		d.accepted(nil, now, false)
	}
	if total != calls || done != calls || b != 3 {
		t.Errorf("the sums are %d, %d and %d", total, done, b)
	}
}

func TestTheEndFollowsTheLastReports(t *testing.T) {
	now := time.Now()
	d := newDelivery(now)
	_, err := d.report("a", 0, 1, fixedClock(now))
	must(t, err)
	d.end(Failed, now)
	events := expectStep(t, d, now, stepSend).batch.events
	if len(events) != 2 || events[1].Type != "execution_finished" || events[1].Outcome != "failed" {
		t.Errorf("sent is %+v", events)
	}
	if _, err := d.report("a", 0, 1, fixedClock(now)); err != ErrEnded {
		t.Errorf("reporting after the end gives %v", err)
	}
	d.accepted(nil, now, false)
	expectStep(t, d, now, stepStop)
	// The start, the report and the end.
	if d.counts.Delivered != 3 {
		t.Errorf("%d events were delivered", d.counts.Delivered)
	}
}

func TestAFullBatchIsFollowedByTheEnd(t *testing.T) {
	now := time.Now()
	d := newDelivery(now)
	d.batchSizeMax = 2
	for _, label := range []string{"a", "b"} {
		_, err := d.report(label, 0, 1, fixedClock(now))
		must(t, err)
	}
	d.end(Succeeded, now)
	if events := expectStep(t, d, now, stepSend).batch.events; len(events) != 2 || events[1].Type != "progress" {
		t.Errorf("first comes %+v", events)
	}
	d.accepted(nil, now, false)
	if events := expectStep(t, d, now, stepSend).batch.events; len(events) != 1 || events[0].Type != "execution_finished" {
		t.Errorf("then comes %+v", events)
	}
	d.accepted(nil, now, false)
	expectStep(t, d, now, stepStop)
}

func TestPausesGrowAreSpreadAndHonorRetryAfter(t *testing.T) {
	for failures := 1; failures < 100; failures++ {
		least, most := backoff(failures, 0), backoff(failures, 1)
		if most > pauseMax || least*2 != most || most < pauseMin {
			t.Fatalf("after %d failures the pause is from %v to %v", failures, least, most)
		}
	}
	if backoff(3, 1) != 4*pauseMin {
		t.Errorf("the third pause is %v", backoff(3, 1))
	}
	now := time.Now()
	d := newDelivery(now)
	_, err := d.report("a", 0, 1, fixedClock(now))
	must(t, err)
	d.requestFailed(errors.New("overloaded"), now, 30*time.Second, 0)
	// The end skips the client's own pause, but not the one that the ledger requested.
	d.end(Succeeded, now)
	if waiting := expectStep(t, d, now, stepWait); waiting.until.Before(now.Add(30 * time.Second)) {
		t.Errorf("it comes back after %v", waiting.until.Sub(now))
	}
	d.notBefore = time.Time{}
	expectStep(t, d, now, stepSend)
}

func TestAnEndedExecutionGivesUpEventually(t *testing.T) {
	now := time.Now()
	d := newDelivery(now)
	_, err := d.report("a", 0, 1, fixedClock(now))
	must(t, err)
	d.end(Succeeded, now)
	d.requestFailed(errors.New("away"), now, time.Hour, 1)
	waiting := expectStep(t, d, now, stepWait)
	if !waiting.until.Equal(now.Add(drainMax)) {
		t.Errorf("it gives up after %v", waiting.until.Sub(now))
	}
	expectStep(t, d, waiting.until, stepStop)
	d.abandon()
	d.abandon()
	// The report and the end are dropped.
	if d.counts.Dropped != 2 {
		t.Errorf("%d were dropped", d.counts.Dropped)
	}
}

// Setting the clock must not change a pause, an interval or the time limit.
//
// So every awaited time needs a monotonic reading, which Go compares instead of the clock time. Rounding, formatting or
// changing the zone removes it.
func TestSettingTheClockDoesNotChangeAnyWait(t *testing.T) {
	now := time.Now()
	d := newDelivery(now)
	_, err := d.report("a", 0, 1, time.Now)
	must(t, err)
	d.requestFailed(errors.New("away"), now, time.Second, 0.5)
	d.end(Failed, now)
	times := map[string]time.Time{
		"dueAt": d.dueAt, "checkAt": d.checkAt, "retryAt": now.Add(backoff(3, 1)), "notBefore": d.notBefore,
		"lingerUntil": d.drainUntil, "until": d.next(now).until,
	}
	for name, moment := range times {
		if !strings.Contains(moment.String(), " m=") {
			t.Errorf("%s has no monotonic reading: %v", name, moment)
		}
	}
	// A date in Retry-After depends on another clock, and is ignored.
	for _, hours := range []time.Duration{-10_000, -1, 0, 1, 10_000} {
		date := time.Now().Add(hours * time.Hour).UTC().Format(http.TimeFormat)
		if wait := retryAfter(&httpResponse{header: http.Header{"Retry-After": {date}}}); wait != 0 {
			t.Errorf("a date %d hours off causes a wait of %v", hours, wait)
		}
	}
}

func TestAllExecutionsInAnOutageShareOneWait(t *testing.T) {
	now := time.Now()
	logged := &recordingLogger{}
	h := &health{logger: logged, now: func() time.Time { return now }}
	if left := h.remainingWait(5 * time.Second); left != 5*time.Second {
		t.Errorf("when all is well %v are left", left)
	}
	h.recordFailure("ledger", errors.New("away"))
	now = now.Add(2 * time.Second)
	h.recordFailure("ledger", errors.New("away"))
	if left := h.remainingWait(5 * time.Second); left != 3*time.Second {
		t.Errorf("after two seconds %v are left", left)
	}
	now = now.Add(failureMemory)
	if left := h.remainingWait(5 * time.Second); left != 0 {
		t.Errorf("later %v are left", left)
	}
	now = now.Add(time.Hour)
	if left := h.remainingWait(5 * time.Second); left != 5*time.Second {
		t.Errorf("when nothing was tried for an hour, %v are left", left)
	}
	h.recordSuccess("ledger")
	if left := h.remainingWait(5 * time.Second); left != 5*time.Second {
		t.Errorf("after the outage %v are left", left)
	}
	// An unstable ledger does not fill the log.
	for i := 0; i < 100; i++ {
		h.recordFailure("ledger", errors.New("away"))
		h.recordSuccess("ledger")
	}
	if lines := len(logged.all()); lines != 4 {
		t.Errorf("%d lines were logged: %q", lines, logged.all())
	}
}

func TestHalvesOfABatchKeepTheirNumbers(t *testing.T) {
	now := time.Now()
	d := newDelivery(now)
	for i := 0; i < 5; i++ {
		_, err := d.report(fmt.Sprint(i), 0, 1, fixedClock(now))
		must(t, err)
	}
	target := d.flush()
	whole := expectStep(t, d, now, stepSend).batch
	d.tooLarge(errors.New("too large"))
	var numbers []int64
	for !d.isDelivered(target) {
		part := expectStep(t, d, now, stepSend).batch
		if len(part.events) >= len(whole.events) {
			t.Fatalf("a part has %d events", len(part.events))
		}
		for _, event := range part.events {
			numbers = append(numbers, event.Report)
		}
		d.accepted(nil, now, false)
	}
	if fmt.Sprint(numbers) != "[1 2 3 4 5]" {
		t.Errorf("the numbers are %v", numbers)
	}
	_, err := d.report("0", 0, 1, fixedClock(now))
	must(t, err)
	d.flush()
	expectStep(t, d, now, stepSend)
	d.tooLarge(errors.New("too large"))
	if d.counts.Dropped != 1 || len(d.batches) != 0 {
		t.Errorf("a single report that is too large is not dropped: %+v", d.counts)
	}
}
