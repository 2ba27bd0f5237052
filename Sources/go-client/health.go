package ledger

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Logger is where a client says, once, that something is wrong. *log.Logger is one.
type Logger interface {
	Printf(format string, arguments ...any)
}

// health is what a client knows of its ledger, and what it has said of it.
type health struct {
	logger Logger
	now    func() time.Time

	mu sync.Mutex
	// failingSince is when the first request failed after the last one that succeeded; zero while all is well.
	failingSince time.Time
	failedAt     time.Time
	// answeredAt is when the ledger last answered.
	answeredAt  time.Time
	loggedAt    time.Time
	isLogged    bool
	loggedKinds map[string]bool
}

// failed notes a failure, and logs the first one of an outage.
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
		h.log("progress ledger %s: %v; the work goes on, and its progress is sent if the ledger answers while the process lives",
			address, err)
	}
}

// recordTimeout starts an outage, unless one is known, if the ledger answered nothing during a wait for the last reports.
func (h *health) recordTimeout(address string, began time.Time, wait time.Duration) {
	if wait < outageWaitMin {
		return
	}
	h.mu.Lock()
	isSilent := h.failingSince.IsZero() && h.answeredAt.Before(began)
	if isSilent {
		h.failingSince = began
	}
	h.mu.Unlock()
	if isSilent {
		h.recordFailure(address, fmt.Errorf("no answer in %v", wait.Round(100*time.Millisecond)))
	}
}

// lost logs that reports were given up, unless the outage that is the reason was logged in the last minute.
func (h *health) logLoss(address string, count int64, cause error) {
	h.mu.Lock()
	isLogged := h.isLogged && h.now().Sub(h.loggedAt) < logPauseMin
	h.mu.Unlock()
	if isLogged || !h.isFirstOfKind("given up") {
		return
	}
	if cause == nil {
		cause = errors.New("no answer yet")
	}
	h.log("progress ledger %s: %d reports were given up undelivered: %v", address, count, cause)
}

// succeeded notes that the ledger works, and logs it where the outage was logged.
func (h *health) recordSuccess(address string) {
	h.mu.Lock()
	wasLogged, since := h.isLogged, h.failingSince
	h.isLogged = false
	h.answeredAt = h.now()
	h.failingSince = time.Time{}
	h.mu.Unlock()
	if wasLogged {
		h.log("progress ledger %s: is back after %v", address, h.now().Sub(since).Round(time.Millisecond))
	}
}

// log hands a line to the logger, which is the caller's: its panic in our goroutine would end the program.
func (h *health) log(format string, arguments ...any) {
	defer func() { _ = recover() }()
	if h.logger != nil {
		h.logger.Printf(format, arguments...)
	}
}

// once logs something that stays wrong, such as a report that is refused: each kind of it once for each client.
func (h *health) logOnce(kind, format string, arguments ...any) {
	if h.isFirstOfKind(kind) {
		h.log("progress ledger: %s", fmt.Sprintf(format, arguments...))
	}
}

// isFirstOfKind_ reports whether nothing of this kind has been logged.
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

// patience is what is left of a wait in an outage: it is spent once for each outage, not once for each execution that
// ends in it.
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
