package ledger

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
)

// amount is an unsent sum: full times IncrementMax, plus at most once that.
//
// One event carries at most IncrementMax, so this is also how a sum is split into events.
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

// take removes and returns the units that one event can contain.
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

// pendingIndicator holds the unsent increments of one indicator.
type pendingIndicator struct {
	label       string
	total, done amount
	// carried is the part of done that an earlier execution did.
	carried amount
	// declared and position are the sums of all increments in this process, or the largest int64.
	declared, position int64
	// message and link are the newest notes that are unsent; unit is unsent if isUnitUnsent.
	message, link, unit string
	isUnitUnsent        bool
	// isDirty is true if there is something to send, which may be just that the indicator exists.
	isDirty bool
}

// reportBuffer sums up increments of one execution, and makes numbered events.
//
// It is bounded: increments of the same indicator are added up, and there are at most LabelsMax indicators. It uses no
// clock, network or lock.
type reportBuffer struct {
	identity   identity
	indicators map[string]*pendingIndicator
	// dirty lists the indicators with something to send, in the order of their first report: the ledger shows indicators
	// in the order in which events first name them.
	dirty []*pendingIndicator
	// report is the last report number in use.
	report int64
}

// identity names an execution in its events.
type identity struct {
	task, execution string
	// part names this process within the execution; empty in the process that started it.
	part string
	// attempt is 0 if the caller gave none: the ledger then assigns the next one.
	attempt int32
}

// event is an event as sent.
//
// An absent increment is 0; an absent label is the default indicator.
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
	Message   string `json:"message,omitempty"`
	Link      string `json:"link,omitempty"`
	Unit      string `json:"unit,omitempty"`
	Part      string `json:"part,omitempty"`
	// Carried is the part of Done that an earlier execution did.
	Carried int64 `json:"carried,omitempty"`
}

func (i identity) event(kind string) event {
	made := event{Type: kind, Task: i.task, Execution: i.execution, Attempt: i.attempt}
	if kind == "progress" {
		made.Part = i.part
	}
	return made
}

// add adds increments to an indicator. Zero increments declare the indicator.
func (b *reportBuffer) add(pending *pendingIndicator, total, done int64) {
	pending.total.add(total)
	pending.done.add(done)
	pending.declared = saturated(pending.declared, total)
	pending.position = saturated(pending.position, done)
	if !pending.isDirty {
		pending.isDirty = true
		b.dirty = append(b.dirty, pending)
	}
}

// accept validates a report, and returns the entry of its label.
//
// A label that was used before is not checked again.
func (b *reportBuffer) accept(label string, total, done int64) (*pendingIndicator, error) {
	if pending, isKnown := b.indicators[label]; isKnown {
		return pending, checkIncrements(total, done)
	}
	if err := checkReport(label, total, done); err != nil {
		return nil, err
	}
	if len(b.indicators) >= LabelsMax {
		problem := fmt.Sprintf("%q exceeds the limit of %d labels per execution", label, LabelsMax)
		return nil, &InvalidError{Field: "label", Problem: problem}
	}
	if b.indicators == nil {
		b.indicators = make(map[string]*pendingIndicator)
	}
	pending := &pendingIndicator{label: label}
	b.indicators[label] = pending
	return pending, nil
}

// checkReport validates a report as the ledger does for any execution.
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

// saturated returns the sum, or the largest int64. Neither number is negative.
func saturated(sum, n int64) int64 {
	if sum > math.MaxInt64-n {
		return math.MaxInt64
	}
	return sum + n
}

// setUnit sets the unit of an indicator, which is sent once. The first one counts.
func (b *reportBuffer) setUnit(pending *pendingIndicator, unit string) {
	if pending.unit == "" {
		pending.unit, pending.isUnitUnsent = unit, true
	}
}

// numberWithoutPart returns a number that is unique in the whole execution, for a ledger that does not number parts
// separately, and the same kind of numbers from now on.
func (b *reportBuffer) numberWithoutPart() int64 {
	if b.identity.part != "" {
		b.identity.part = ""
		b.report = randomReport()
	}
	b.report++
	return b.report
}

// randomReport returns a random number of the upper half of all report numbers, below which as many others follow.
//
// Two of them are closer than 2^33 with a probability below 1 in 10^5.
func randomReport() int64 {
	const half, room = int64(1) << 52, int64(1) << 33
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		// Without randomness the parts of one execution may collide, which the ledger then discards and reports.
		return half
	}
	return half + int64(binary.LittleEndian.Uint64(random[:])%uint64(half-room))
}

func (b *reportBuffer) isEmpty() bool { return len(b.dirty) == 0 }

// take removes at most this number of events from the buffer and numbers them.
//
// The caller must send them until they are settled: their numbers belong to this content for good.
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
		event.Carried = pending.carried.take()
		event.Message, event.Link = pending.message, pending.link
		pending.message, pending.link = "", ""
		if pending.isUnitUnsent {
			event.Unit, pending.isUnitUnsent = pending.unit, false
		}
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
