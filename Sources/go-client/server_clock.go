package ledger

import (
	"net/http"
	"time"
)

// serverClock is the time of the ledger's clock at a moment of ours. Ages are computed by it, never by our clock.
type serverClock struct {
	// now is zero if it is not known.
	now time.Time
	// readAt has a monotonic reading, so that our clock may be set meanwhile.
	readAt time.Time
}

// clockOf reads the Date header, which has a resolution of one second.
func clockOf(header http.Header, readAt time.Time) serverClock {
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return serverClock{}
	}
	return serverClock{now: now, readAt: readAt}
}

// at returns the time of the ledger's clock at another moment of ours; zero if it is not known.
func (c serverClock) at(moment time.Time) time.Time {
	if c.now.IsZero() {
		return time.Time{}
	}
	return c.now.Add(moment.Sub(c.readAt))
}

// clocked is an answer, or a part of one, that contains times of the ledger's clock.
type clockedResponse interface {
	// receive says when the answer was received, and the ledger's clock by its Date header.
	receive(clock serverClock, at time.Time)
}

func (s *Snapshot) receive(clock serverClock, at time.Time) {
	if s.Now.IsZero() {
		s.Now = clock.at(at)
	}
	s.receivedAt = at
}

// Since returns how long ago a time of the ledger's clock is, such as UpdatedAt of the snapshot or of an indicator.
//
// It goes by the ledger's clock and by the time that has passed since the snapshot was received, whatever the clock of
// this machine says. It is never negative. It is not known for a zero time, and if the answer did not contain a clock.
func (s *Snapshot) Since(moment time.Time) (age time.Duration, isKnown bool) {
	if s == nil || s.Now.IsZero() || moment.IsZero() {
		return 0, false
	}
	age = s.Now.Sub(moment)
	if !s.receivedAt.IsZero() {
		age += time.Since(s.receivedAt)
	}
	if age < 0 {
		age = 0
	}
	return age, true
}
