package ledger

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Logger receives each kind of warning once. *log.Logger implements it.
type Logger interface {
	Printf(format string, arguments ...any)
}

// health tracks whether the ledger responds, and the last logged state.
type health struct {
	logger Logger
	now    func() time.Time

	mu sync.Mutex
	// failingSince is the time of the first failure since the last success; zero without an outage.
	failingSince time.Time
	failedAt     time.Time
	// respondedAt is the time of the last response.
	respondedAt time.Time
	loggedAt    time.Time
	isLogged    bool
	loggedKinds map[string]bool
}

// recordFailure records a failed request, and logs the first one of an outage.
func (h *health) recordFailure(address string, err error) {
	now := h.now()
	h.mu.Lock()
	if h.failingSince.IsZero() {
		h.failingSince = now
	}
	h.failedAt = now
	isNew := !h.isLogged && (h.loggedAt.IsZero() || now.Sub(h.loggedAt) >= logPauseMin)
	if isNew {
		h.isLogged = true
		h.loggedAt = now
	}
	h.mu.Unlock()
	if isNew {
		h.log("progress ledger %s: %v; the work goes on, and its progress is sent if the ledger responds before the process ends",
			address, err)
	}
}

// recordTimeout records a wait for the last reports that timed out.
//
// It starts an outage if no response arrived during the wait.
func (h *health) recordTimeout(address string, began time.Time, wait time.Duration) {
	if wait < outageWaitMin {
		return
	}
	h.mu.Lock()
	isSilent := h.failingSince.IsZero() && h.respondedAt.Before(began)
	if isSilent {
		h.failingSince = began
	}
	h.mu.Unlock()
	if isSilent {
		h.recordFailure(address, fmt.Errorf("no response in %v", wait.Round(100*time.Millisecond)))
	}
}

// logLoss logs that reports were abandoned.
//
// It logs nothing if the outage was logged in the last minute.
func (h *health) logLoss(address string, count int64, cause error) {
	h.mu.Lock()
	isLogged := h.isLogged && h.now().Sub(h.loggedAt) < logPauseMin
	h.mu.Unlock()
	if isLogged || !h.isFirstOfKind("given up") {
		return
	}
	if cause == nil {
		cause = errors.New("no response yet")
	}
	h.log("progress ledger %s: %d reports were given up undelivered: %v", address, count, cause)
}

// recordSuccess records a response, and logs the end of an outage that was logged.
func (h *health) recordSuccess(address string) {
	h.mu.Lock()
	wasLogged, since := h.isLogged, h.failingSince
	h.isLogged = false
	h.respondedAt = h.now()
	h.failingSince = time.Time{}
	h.mu.Unlock()
	if wasLogged {
		h.log("progress ledger %s: is back after an outage of %v", address, h.now().Sub(since).Round(time.Millisecond))
	}
}

// log passes a line to the caller's logger, and recovers from its panic.
func (h *health) log(format string, arguments ...any) {
	defer func() { _ = recover() }()
	if h.logger != nil {
		h.logger.Printf(format, arguments...)
	}
}

// logOnce logs the first problem of each kind.
func (h *health) logOnce(kind, format string, arguments ...any) {
	if h.isFirstOfKind(kind) {
		h.log("progress ledger: %s", fmt.Sprintf(format, arguments...))
	}
}

// isFirstOfKind reports whether a kind is new, and remembers it.
func (h *health) isFirstOfKind(kind string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.loggedKinds[kind] {
		return false
	}
	if h.loggedKinds == nil {
		h.loggedKinds = make(map[string]bool)
	}
	h.loggedKinds[kind] = true
	return true
}

// remainingWait returns the rest of the wait that executions share in an outage.
func (h *health) remainingWait(wait time.Duration) time.Duration {
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failingSince.IsZero() || now.Sub(h.failedAt) > failureMemory {
		return wait
	}
	if left := wait - now.Sub(h.failingSince); left > 0 {
		return left
	}
	return 0
}
