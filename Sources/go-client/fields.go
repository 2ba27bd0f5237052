package ledger

import (
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
)

// fieldSet is a set of the optional fields of events, without which an event is still worth recording.
type fieldSet uint32

const (
	messageField fieldSet = 1 << iota
	linkField
	unitField
	partField
	carriedField
)

var optionalFields = map[string]fieldSet{
	"message": messageField, "link": linkField, "unit": unitField, "part": partField, "carried": carriedField,
}

// fieldSupport remembers which optional fields the ledger knows. Older ledgers refuse those that they do not know.
type fieldSupport struct {
	known, unknown atomic.Uint32
}

func (s *fieldSupport) knows() fieldSet    { return fieldSet(s.known.Load()) }
func (s *fieldSupport) lacks() fieldSet    { return fieldSet(s.unknown.Load()) }
func (s *fieldSupport) record(f fieldSet)  { setBits(&s.known, uint32(f)) }
func (s *fieldSupport) exclude(f fieldSet) { setBits(&s.unknown, uint32(f)) }

// setBits sets bits. (The method Or of atomic.Uint32 needs Go 1.23.)
func setBits(in *atomic.Uint32, bits uint32) {
	for {
		old := in.Load()
		if old|bits == old || in.CompareAndSwap(old, old|bits) {
			return
		}
	}
}

// String lists the fields.
func (f fieldSet) String() string {
	var names []string
	for _, name := range []string{"message", "link", "unit", "part", "carried"} {
		if f&optionalFields[name] != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// fields returns the optional fields of the event.
func (e event) fields() (found fieldSet) {
	if e.Message != "" {
		found |= messageField
	}
	if e.Link != "" {
		found |= linkField
	}
	if e.Unit != "" {
		found |= unitField
	}
	if e.Part != "" {
		found |= partField
	}
	if e.Carried > 0 {
		found |= carriedField
	}
	return found
}

// without returns the event without some of its optional fields.
func (e event) without(fields fieldSet) event {
	if fields&messageField != 0 {
		e.Message = ""
	}
	if fields&linkField != 0 {
		e.Link = ""
	}
	if fields&unitField != 0 {
		e.Unit = ""
	}
	if fields&partField != 0 {
		e.Part = ""
	}
	if fields&carriedField != 0 {
		e.Carried = 0
	}
	return e
}

// refusedFields returns the optional fields that a problem names, by the position of their event.
func (p *Problem) refusedFields(events []event) map[int]fieldSet {
	found := make(map[int]fieldSet)
	if p == nil {
		return found
	}
	for _, problem := range p.Errors {
		position, name, _ := strings.Cut(strings.TrimPrefix(problem.Pointer, "/"), "/")
		index, err := strconv.Atoi(position)
		if err != nil || index < 0 || index >= len(events) {
			continue
		}
		if field := optionalFields[name] & events[index].fields(); field != 0 {
			found[index] |= field
		}
	}
	return found
}

// strip removes refused optional fields from the batches, and reports whether there were any.
//
// The units of an event must not be lost because of its message. A field that the ledger has never recorded is unknown
// to it if it refuses the field in every event of the batch, and is removed from all events, also from later ones.
// Otherwise its content is invalid: it is dropped and counted. A part that is not sent needs another number, which is
// safe because the ledger has recorded nothing: see isPartUncertain.
func (d *delivery) strip(problem *Problem) (isStripped bool) {
	if len(d.batches) == 0 {
		return false
	}
	refused := problem.refusedFields(d.batches[0].events)
	if len(refused) == 0 {
		return false
	}
	var unknown fieldSet
	for _, fields := range refused {
		unknown |= fields &^ d.support.knows()
	}
	for position, event := range d.batches[0].events {
		unknown &^= event.fields() &^ refused[position]
	}
	d.support.exclude(unknown)
	d.newUnknown |= unknown
	for i, sent := range d.batches {
		events := make([]event, len(sent.events))
		for position, event := range sent.events {
			fields := unknown
			if i == 0 {
				fields |= refused[position]
				// Without its part, a report has another number, and nothing is lost.
				d.dropNotes(bitCount(refused[position] &^ unknown &^ partField))
			}
			events[position] = d.withoutFields(event, fields)
		}
		d.batches[i] = newBatch(events, sent.completedGeneration)
		d.batches[i].isHeartbeat, d.batches[i].isResent = sent.isHeartbeat, sent.isResent
	}
	return true
}

// isPartUncertain reports whether the part of a batch was refused that an earlier request may have recorded.
//
// During an upgrade, servers of both versions respond at one address. With another number the reports would count
// twice, so the batch is repeated until a newer server responds.
func (d *delivery) isPartUncertain(cause error) bool {
	var problem *Problem
	if len(d.batches) == 0 || !d.batches[0].isResent || !errors.As(cause, &problem) {
		return false
	}
	for _, fields := range problem.refusedFields(d.batches[0].events) {
		if fields&partField != 0 {
			return true
		}
	}
	return false
}

// dropStartLink removes the link of the start if a problem names it, and reports whether it did.
func (d *delivery) dropStartLink(cause error) bool {
	var problem *Problem
	if d.link == "" || !errors.As(cause, &problem) {
		return false
	}
	for _, field := range problem.Errors {
		if field.Pointer != "/link" {
			continue
		}
		d.link = ""
		d.requestWasFinal(cause)
		if d.support.knows()&linkField == 0 {
			d.support.exclude(linkField)
			d.newUnknown |= linkField
		} else {
			d.dropNotes(1)
		}
		return true
	}
	return false
}

// withoutFields removes optional fields from an event, which the ledger has not recorded.
func (d *delivery) withoutFields(e event, fields fieldSet) event {
	if e.Part != "" && fields&partField != 0 {
		e.Report = d.buffer.numberWithoutPart()
	}
	return e.without(fields)
}

func bitCount(fields fieldSet) (count int64) {
	for ; fields != 0; fields &= fields - 1 {
		count++
	}
	return count
}
