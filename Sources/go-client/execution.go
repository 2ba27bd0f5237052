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

// Outcome is how an execution, or a job, ended.
type Outcome string

// The outcomes of executions. A failed execution still counts, as provisional, until a newer one starts.
const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"
	Canceled  Outcome = "canceled"
)

// Execution is one run of a task, which reports its progress. StartExecution makes one; the context that comes with it
// leads Progress and DefaultProgress to it. All its methods may be called from any goroutine.
//
// An Execution that is nil, or of a silent client, takes everything and does nothing.
type Execution struct {
	client *Client
	// health is nil if the execution has no client at all.
	health   *health
	key      taskKey
	identity identity
	// life ends when the execution is abandoned, and with it every request that is under way.
	life         context.Context
	endLife      context.CancelFunc
	wake         chan struct{}
	stopped      chan struct{}
	startDone    chan struct{}
	superseded   chan struct{}
	onSuperseded func(*Execution)
	// attemptSource is the variable that the attempt is from; empty if the caller gave it.
	attemptSource string
	// isTaskCanceled tells whether the context that the execution was started with has been canceled.
	isTaskCanceled func() bool
	cancelTask     context.CancelFunc
	// isDraining belongs to the client and is under its lock.
	isDraining bool

	mu       sync.Mutex
	delivery delivery
	// changed is closed, and replaced, whenever something was settled.
	changed chan struct{}
}

// newExecution makes an execution that nobody sends for; the sender is started by Job.StartExecution.
func newExecution(c *Client, job string, task string, settings startSettings) *Execution {
	name := newExecutionName()
	e := &Execution{
		client:       c,
		key:          taskKey{job: job, task: task},
		identity:     identity{task: task, execution: name, attempt: int32(settings.attempt)},
		onSuperseded: settings.onSuperseded, attemptSource: settings.attemptSource,
	}
	e.delivery.buffer.identity = e.identity
	e.delivery.counts.Attempt = settings.attempt
	e.delivery.batchSizeMax = batchSizeDefault
	if !c.IsSilent() {
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

// newExecutionName makes a name that no other execution has: 128 random bits. It is made here, not by the ledger, so
// that a start whose answer was lost can be sent again and is still the same execution.
func newExecutionName() string {
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		// A system without randomness still has a name that is unique on it. The task must not fail for this.
		return fmt.Sprintf("%d-%d-%d", os.Getpid(), time.Now().UnixNano(), fallbackNames.Add(1))
	}
	return hex.EncodeToString(random[:])
}

// fallbackNames counts the names made without randomness.
var fallbackNames atomic.Int64

// dropAll lets the execution drop and count everything that is reported.
func (e *Execution) dropAll() *Execution {
	e.delivery.abandon()
	close(e.stopped)
	return e
}

func (e *Execution) isSilent() bool { return e == nil || e.client.IsSilent() }

// Name returns the name that the client gave the execution, by which the ledger shows it.
func (e *Execution) Name() string {
	if e == nil {
		return ""
	}
	return e.identity.execution
}

// Add declares n more units of work on the indicator of this label; "" is the default indicator. See
// ProgressReporter.Add, which does the same for the execution in a context.
func (e *Execution) Add(label string, n int64) error { return e.report(label, n, 0) }

// Done reports n more units of work done on the indicator of this label; "" is the default indicator. See
// ProgressReporter.Done, which does the same for the execution in a context.
func (e *Execution) Done(label string, n int64) error { return e.report(label, 0, n) }

func (e *Execution) report(label string, total, done int64) error {
	if e == nil {
		// Refused all the same, so that a unit test without a ledger finds the mistake.
		return checkReport(label, total, done)
	}
	e.mu.Lock()
	wake, err := e.delivery.report(label, total, done, time.Now)
	e.mu.Unlock()
	if wake {
		e.wakeSender()
	}
	if err != nil {
		e.logDropped(err)
	}
	return err
}

// logDropped logs the first report that was dropped for its values, and the first one after the end.
func (e *Execution) logDropped(err error) {
	kind := "invalid report"
	if errors.Is(err, ErrEnded) {
		kind = "late report"
	}
	if e.health != nil {
		e.health.logOnce(kind, "a report of task %q was dropped: %v; any more of this kind are only counted",
			e.identity.task, err)
	}
}

// rouse lets the sender look again; it is cheap, and never waits.
func (e *Execution) wakeSender() {
	select {
	case e.wake <- struct{}{}:
	default:
		// It has been told already and has not looked yet.
	}
}

// Superseded returns a channel that is closed when a newer execution of the task has started: what this one reports
// from then on is recorded and does not count, and it had best stop. It is noticed within the client's look interval,
// and at once where it was so from the beginning.
func (e *Execution) Superseded() <-chan struct{} {
	if e == nil {
		return nil
	}
	return e.superseded
}

// Stats returns what became of the reports so far.
func (e *Execution) Stats() Stats {
	if e == nil {
		return Stats{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	stats := e.delivery.counts
	stats.IsStarted = e.delivery.start == startRecorded
	stats.IsSuperseded = e.delivery.isSuperseded
	stats.Pending = len(e.delivery.buffer.dirty)
	for _, batch := range e.delivery.batches {
		stats.Pending += len(batch.events)
	}
	return stats
}

// Started waits until the ledger has recorded the start. It returns ErrSuperseded where a newer execution of the task
// has started already, which is what a task asks that must not touch anything as a zombie; and ErrUndelivered where
// the ledger refuses the execution, or was not reached while the context, or a minute, lasted.
//
// StartExecution itself never waits; a task that does not mind starting behind a ledger that is away need not ask.
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
		return e.undelivered()
	}
	return nil
}

// Flush sends what was reported so far without waiting for the next second, and waits until the ledger has recorded
// it: as long as the context lets it, and a minute at most.
//
// The error is ErrUndelivered, with the reason, where the time was too short or where the ledger refused something. It
// says nothing about the work, and what is still undelivered is sent when it can be.
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

// hurry lets the sender try again without waiting for the end of its pause.
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

// await waits until the condition holds, which is asked under the lock.
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

// loss is the error of an execution some of whose reports were given up.
func (e *Execution) loss() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.delivery.counts.Dropped == 0 {
		return nil
	}
	return e.undelivered()
}

// undelivered is called under the lock.
func (e *Execution) undelivered() error {
	counts := e.delivery.counts
	what := "reports are on their way"
	if counts.Dropped > 0 {
		what = fmt.Sprintf("%d reports were dropped", counts.Dropped)
	}
	if counts.Err == nil {
		return fmt.Errorf("%w: %s", ErrUndelivered, what)
	}
	return fmt.Errorf("%w: %s: %v", ErrUndelivered, what, counts.Err)
}
