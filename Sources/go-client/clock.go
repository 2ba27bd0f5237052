package ledger

import (
	"context"
	"time"
)

// clock is the time of a client and the pauses of its callers, so that tests wait for neither.
//
// It does not replace the timeouts of requests, which belong to net/http.
type clock struct {
	// now has a monotonic reading.
	now func() time.Time
	// sleep pauses, and returns false if the context ended first.
	sleep func(ctx context.Context, pause time.Duration) bool
}

// systemClock is the clock of all clients outside of tests.
var systemClock = clock{now: time.Now, sleep: sleep}

func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
