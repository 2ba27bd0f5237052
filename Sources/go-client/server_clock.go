package ledger

import (
	"net/http"
	"time"
)

// serverClock maps local time to the ledger's clock, by which ages are computed.
type serverClock struct {
	// now is the ledger's time at readAt; zero if unknown.
	now time.Time
	// readAt has a monotonic reading, so that setting the local clock does no harm.
	readAt time.Time
}

// clockOf reads the Date header, with its resolution of one second.
func clockOf(header http.Header, readAt time.Time) serverClock {
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return serverClock{}
	}
	return serverClock{now: now, readAt: readAt}
}

// at returns the ledger's time at a local time; zero if unknown.
func (c serverClock) at(moment time.Time) time.Time {
	if c.now.IsZero() {
		return time.Time{}
	}
	return c.now.Add(moment.Sub(c.readAt))
}

// clockedResponse is a response that contains times of the ledger's clock.
type clockedResponse interface {
	// receive sets the local time of the response, and the ledger's clock of its Date header.
	receive(clock serverClock, at time.Time)
}

func (s *Snapshot) receive(clock serverClock, at time.Time) {
	if s.Now.IsZero() {
		s.Now = clock.at(at)
	}
	s.receivedAt = at
}

// Since returns the age of a time of the ledger's clock, such as UpdatedAt.
//
// It is computed from the ledger's clock and the time since the response, independent of the local clock. It is never
// negative. It is unknown for a zero time, and for a response without a clock.
func (s *Snapshot) Since(moment time.Time) (age time.Duration, isKnown bool) {
	return s.ageAt(time.Now(), moment)
}

// ageAt returns the age of a time of the ledger's clock at a local time.
func (s *Snapshot) ageAt(now, moment time.Time) (age time.Duration, isKnown bool) {
	if s == nil || s.Now.IsZero() || moment.IsZero() {
		return 0, false
	}
	age = s.Now.Sub(moment)
	if !s.receivedAt.IsZero() {
		age += now.Sub(s.receivedAt)
	}
	if age < 0 {
		age = 0
	}
	return age, true
}
