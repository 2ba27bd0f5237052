package ledger

import "fmt"

// amount is a sum of increments that have not been sent: full times IncrementMax, and the rest, which is not more than
// that. One event cannot carry more than IncrementMax, so this is also how the sum is cut into events.
type amount struct {
	full, rest int64
}

func (a *amount) add(n int64) {
	a.rest += n
	if a.rest > IncrementMax {
		a.rest -= IncrementMax
		a.full++
	}
}

// take removes as much as one event can carry.
func (a *amount) take() int64 {
	if a.full > 0 {
		a.full--
		return IncrementMax
	}
	n := a.rest
	a.rest = 0
	return n
}

func (a amount) isZero() bool { return a.full == 0 && a.rest == 0 }

// pendingIndicator is what is to be sent of one indicator.
type pendingIndicator struct {
	label       string
	total, done amount
	// isDirty says that there is something to be sent, if only that the indicator exists.
	isDirty bool
}

// reportBuffer gathers the increments of one execution and cuts them into numbered events.
//
// It is bounded: increments of the same indicator are added up, and there are at most LabelsMax indicators. It knows
// neither time nor network nor locks.
type reportBuffer struct {
	identity   identity
	indicators map[string]*pendingIndicator
	// touched are those with something to send, in the order in which they were first named since: the ledger shows
	// indicators in the order in which events name them.
	dirty []*pendingIndicator
	// report is the last number that was given.
	report int64
}

// identity is how every event of an execution names it.
type identity struct {
	task, execution string
	// attempt is 0 where the caller gave none: the ledger then takes the next one.
	attempt int32
}

// event is one event as it is sent. An absent increment is 0, and an absent label the default indicator.
type event struct {
	Type      string `json:"type,omitempty"`
	Task      string `json:"task,omitempty"`
	Execution string `json:"execution,omitempty"`
	Attempt   int32  `json:"attempt,omitempty"`
	Report    int64  `json:"report,omitempty"`
	Label     string `json:"label,omitempty"`
	Total     int64  `json:"total,omitempty"`
	Done      int64  `json:"done,omitempty"`
	Outcome   string `json:"outcome,omitempty"`
}

func (i identity) event(kind string) event {
	return event{Type: kind, Task: i.task, Execution: i.execution, Attempt: i.attempt}
}

// add takes increments of an indicator. Both 0 declares the indicator.
func (b *reportBuffer) add(pending *pendingIndicator, total, done int64) {
	pending.total.add(total)
	pending.done.add(done)
	if !pending.isDirty {
		pending.isDirty = true
		b.dirty = append(b.dirty, pending)
	}
}

// accept refuses what the ledger would refuse, and finds or makes the entry of the label otherwise. Labels that are
// known were looked at when they came.
func (b *reportBuffer) accept(label string, total, done int64) (*pendingIndicator, error) {
	if pending, isKnown := b.indicators[label]; isKnown {
		return pending, checkIncrements(total, done)
	}
	if err := checkReport(label, total, done); err != nil {
		return nil, err
	}
	if len(b.indicators) >= LabelsMax {
		problem := fmt.Sprintf("%q is one too many: an execution has at most %d", label, LabelsMax)
		return nil, &InvalidError{Field: "label", Problem: problem}
	}
	if b.indicators == nil {
		b.indicators = make(map[string]*pendingIndicator)
	}
	pending := &pendingIndicator{label: label}
	b.indicators[label] = pending
	return pending, nil
}

// checkReport refuses what the ledger would refuse of any execution.
func checkReport(label string, total, done int64) error {
	if err := checkIncrements(total, done); err != nil {
		return err
	}
	return checkText("label", label, 0, LabelScalarsMax)
}

func checkIncrements(total, done int64) error {
	if err := checkIncrement("total", total); err != nil {
		return err
	}
	return checkIncrement("done", done)
}

func (b *reportBuffer) isEmpty() bool { return len(b.dirty) == 0 }

// cut takes out what is to be sent, as at most so many numbered events; the rest stays. What it returns must be sent
// until it is settled: the numbers are given for good, with this content.
func (b *reportBuffer) take(batchSizeMax int) []event {
	var events []event
	for len(b.dirty) > 0 && len(events) < batchSizeMax {
		pending := b.dirty[0]
		b.report++
		event := b.identity.event("progress")
		event.Report = b.report
		event.Label = pending.label
		event.Total = pending.total.take()
		event.Done = pending.done.take()
		events = append(events, event)
		if pending.total.isZero() && pending.done.isZero() {
			pending.isDirty = false
			b.dirty[0] = nil
			b.dirty = b.dirty[1:]
		}
	}
	if len(b.dirty) == 0 {
		b.dirty = nil
	}
	return events
}
