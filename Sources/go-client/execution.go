package ledger

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Outcome is the result of an execution.
type Outcome string

// The outcomes of executions.
//
// A failed execution still counts, as provisional, until a newer one starts.
const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"
	Canceled  Outcome = "canceled"
)

// Execution reports the progress of one attempt to carry out a task.
//
// StartExecution makes one, together with a context in which Progress and DefaultProgress report to it. All methods are
// safe for concurrent use. A nil Execution, or one of a silent client, accepts every call and sends nothing.
type Execution struct {
	client *Client
	// health is nil if the execution has no client.
	health *health
	// now is the client's clock; nil in the zero value of an execution.
	now      func() time.Time
	key      taskKey
	identity identity
	// life ends when the execution is abandoned, and with it every request in flight.
	life         context.Context
	endLife      context.CancelFunc
	wake         chan struct{}
	stopped      chan struct{}
	startDone    chan struct{}
	superseded   chan struct{}
	onSuperseded func(*Execution)
	onJobEnded   func(*Execution, JobState)
	// unlessCanceled is true if a canceled job refuses the start.
	unlessCanceled bool
	// attemptSource is the variable that the attempt is from; empty if the caller gave it.
	attemptSource string
	// isTaskCanceled reports whether the task's context has been canceled.
	isTaskCanceled func() bool
	cancelTask     context.CancelFunc
	// isDraining belongs to the client, and is protected by the client's lock.
	isDraining bool

	mu       sync.Mutex
	delivery delivery
	// changed is closed and replaced whenever something is settled.
	changed chan struct{}
}

// newExecution makes an execution. Job.StartExecution starts its sender.
func newExecution(c *Client, job string, task string, settings startSettings) *Execution {
	name := newRandomName()
	e := &Execution{
		client:       c,
		key:          taskKey{job: job, task: task},
		identity:     identity{task: task, execution: name, attempt: int32(settings.attempt)},
		onSuperseded: settings.onSuperseded, onJobEnded: settings.onJobEnded,
		unlessCanceled: !settings.reopensCanceledJob, attemptSource: settings.attemptSource,
	}
	e.delivery.buffer.identity = e.identity
	e.delivery.link = settings.link
	e.delivery.support = &fieldSupport{}
	e.delivery.counts.Attempt = settings.attempt
	e.delivery.batchSizeMax = batchSizeDefault
	if !c.IsSilent() {
		e.now = c.clock.now
		e.delivery.support = &c.support
		e.delivery.interval = c.interval
		e.delivery.checkInterval = c.checkInterval
	}
	e.life, e.endLife = context.WithCancel(context.Background())
	e.wake = make(chan struct{}, 1)
	e.stopped = make(chan struct{})
	e.startDone = make(chan struct{})
	e.superseded = make(chan struct{})
	e.changed = make(chan struct{})
	return e
}

// newRandomName returns a unique name of 128 random bits, for an execution or a request.
//
// The client chooses it, so that a start can be repeated after a lost response and is still the same execution.
func newRandomName() string {
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		// A missing source of randomness must not make the task fail. This name is unique on the host.
		return fmt.Sprintf("%d-%d-%d", os.Getpid(), time.Now().UnixNano(), fallbackNames.Add(1))
	}
	return hex.EncodeToString(random[:])
}

// fallbackNames counts the names made without randomness.
var fallbackNames atomic.Int64

// dropAll makes the execution drop and count all reports.
func (e *Execution) dropAll() *Execution {
	e.delivery.abandon()
	close(e.stopped)
	return e
}

// timeSource returns the clock of the client, or the system's.
func (e *Execution) timeSource() func() time.Time {
	if e.now == nil {
		return systemClock.now
	}
	return e.now
}

func (e *Execution) isSilent() bool { return e == nil || e.client.IsSilent() }

// Name returns the execution's name in the ledger.
func (e *Execution) Name() string {
	if e == nil {
		return ""
	}
	return e.identity.execution
}

// Add declares n more units of work on the indicator with this label.
//
// The default indicator has the label "". See ProgressReporter.Add, which reports to the execution of a context, and
// has more options.
func (e *Execution) Add(label string, n int64) error { return e.report(label, n, 0) }

// Done reports n more units of work as done on the indicator with this label.
//
// The default indicator has the label "". See ProgressReporter.Done, which reports to the execution of a context.
func (e *Execution) Done(label string, n int64) error { return e.report(label, 0, n) }

func (e *Execution) report(label string, total, done int64) error {
	if e == nil {
		// A unit test without a ledger must find the mistake too.
		return checkReport(label, total, done)
	}
	e.mu.Lock()
	wake, err := e.delivery.report(label, total, done, e.timeSource())
	e.mu.Unlock()
	if wake {
		e.wakeSender()
	}
	if err != nil {
		e.logDropped(err)
	}
	return err
}

// reportDetailed adds a report with more than two increments.
func (e *Execution) reportDetailed(r detailedReport) error {
	if e == nil {
		return r.check()
	}
	e.mu.Lock()
	wake, err := e.delivery.reportDetailed(r, e.timeSource())
	e.mu.Unlock()
	if wake {
		e.wakeSender()
	}
	if err != nil {
		e.logDropped(err)
	}
	return err
}

// logDropped logs the first invalid report, and the first one after the end.
func (e *Execution) logDropped(err error) {
	kind := "invalid report"
	var invalid *InvalidError
	switch {
	case errors.Is(err, ErrEnded):
		kind = "late report"
	case errors.As(err, &invalid) && (invalid.Field == "link" || invalid.Field == "unit"):
		if e.health != nil {
			e.health.logOnce("invalid note", "a note of task %q was dropped: %v; further ones are only counted",
				e.identity.task, err)
		}
		return
	}
	if e.health != nil {
		e.health.logOnce(kind, "a report of task %q was dropped: %v; further ones are only counted",
			e.identity.task, err)
	}
}

// wakeSender wakes the sender. It never waits.
func (e *Execution) wakeSender() {
	select {
	case e.wake <- struct{}{}:
	default:
		// A wake-up is pending already.
	}
}

// Superseded returns a channel that a newer execution of the task closes.
//
// From then on reports of this execution are recorded but do not count, so it should stop. The client notices within
// its check interval (WithLookInterval), and at once if a newer execution existed from the beginning.
func (e *Execution) Superseded() <-chan struct{} {
	if e == nil {
		return nil
	}
	return e.superseded
}

// JobEnded returns the state in which the job has ended; empty while it is running.
//
// A task of a canceled job should stop. The client learns the state from the responses to its reports. It may lag: for
// a moment after a start has reopened the job, it may be that of the earlier end.
func (e *Execution) JobEnded() JobState { return e.Stats().JobEnded }

// Stats returns the delivery statistics so far.
func (e *Execution) Stats() Stats {
	if e == nil {
		return Stats{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.delivery.stats()
}

// Started waits until the ledger has recorded the start.
//
// Call it before the work if a zombie must not touch anything. It returns ErrSuperseded if a newer execution of the
// task has started already, ErrJobCanceled if the job is canceled, and ErrUndelivered if the ledger refuses the
// execution, or is unreachable until the context ends or a minute has passed. Tasks that may start while the ledger is
// unreachable need not call it.
func (e *Execution) Started(ctx context.Context) error {
	if e.isSilent() {
		return nil
	}
	err := e.await(ctx, func() bool { return e.delivery.start != startPending })
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.delivery.isSuperseded {
		return ErrSuperseded
	}
	if e.delivery.start == startRejected {
		if errors.Is(e.delivery.counts.LastError, ErrJobCanceled) {
			return ErrJobCanceled
		}
		return e.undelivered()
	}
	return nil
}

// Flush sends everything reported so far, and waits until it is recorded.
//
// It waits until the context ends, and a minute at most. The error is ErrUndelivered, with the reason, if the time was
// too short or the ledger refused something. It does not concern the work. Undelivered reports are sent later.
func (e *Execution) Flush(ctx context.Context) error {
	if e.isSilent() {
		return nil
	}
	target := e.requestFlush()
	err := e.await(ctx, func() bool {
		return e.delivery.isDelivered(target) && (!e.delivery.isEnded || e.delivery.isFinishSettled())
	})
	if err != nil {
		return err
	}
	return e.loss()
}

// skipPause lets the sender try again at once.
func (e *Execution) skipPause() {
	e.mu.Lock()
	e.delivery.skipPause()
	e.mu.Unlock()
	e.wakeSender()
}

func (e *Execution) hasEnded() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.delivery.isEnded
}

func (e *Execution) requestFlush() (target int64) {
	e.mu.Lock()
	target = e.delivery.flush()
	e.mu.Unlock()
	e.wakeSender()
	return target
}

// await waits until the condition holds, which is evaluated under the lock.
func (e *Execution) await(ctx context.Context, condition func() bool) error {
	ctx, cancel := context.WithTimeout(orBackground(ctx), flushWaitMax)
	defer cancel()
	for {
		e.mu.Lock()
		isMet, isOver, changed := condition(), e.delivery.isAbandoned, e.changed
		e.mu.Unlock()
		if isMet {
			return nil
		}
		if isOver {
			return e.loss()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			e.mu.Lock()
			defer e.mu.Unlock()
			return e.undelivered()
		}
	}
}

// loss returns an error if reports were dropped.
func (e *Execution) loss() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.delivery.undelivered() == 0 {
		return nil
	}
	return e.undelivered()
}

// undelivered returns the reason for undelivered reports.
//
// The caller holds the lock.
func (e *Execution) undelivered() error {
	counts := e.delivery.counts
	what := "reports are not recorded yet"
	if lost := e.delivery.undelivered(); lost > 0 {
		what = fmt.Sprintf("%d reports were dropped", lost)
	}
	if counts.LastError == nil {
		return fmt.Errorf("%w: %s", ErrUndelivered, what)
	}
	return fmt.Errorf("%w: %s: %v", ErrUndelivered, what, counts.LastError)
}
