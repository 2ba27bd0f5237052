package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Watch walks over the job's snapshots as they come: the present one first, then one whenever something has changed,
// until the job is finished, whose snapshot is the last. Snapshots that follow each other quickly may be left out; none
// comes twice, and none is older than the one before, unless the ledger itself went back to an earlier state.
//
// It survives restarts and outages of the ledger, for up to an hour each: it connects again, and goes on where it was.
// It waits as long as nothing happens, so give it a context that can be canceled. Errors: that of the context,
// ErrNotFound, ErrNotConfigured, a *Problem where the ledger refuses the token, ErrUnavailable.
//
// Live it is by server-sent events, and by long polling where the ledger does not have them, or where something between
// does not let them through.
func (j *Job) Watch(ctx context.Context) *Iterator[*Snapshot] { return j.watch(ctx, watchIdleTimeout) }

func (j *Job) watch(ctx context.Context, idleTimeout time.Duration) *Iterator[*Snapshot] {
	if j.isSilent() {
		return failedIterator[*Snapshot](ErrNotConfigured)
	}
	ctx, cancel := context.WithCancel(orBackground(ctx))
	w := &watch{job: j, context: ctx, idleTimeout: idleTimeout}
	return &Iterator[*Snapshot]{
		advance: w.next,
		release: func() {
			cancel()
			w.disconnect()
		},
	}
}

// Wait waits until the job is finished and returns its last snapshot. It survives what Watch survives, and ends with
// the same errors.
func (j *Job) Wait(ctx context.Context) (*Snapshot, error) {
	snapshots := j.Watch(ctx)
	defer snapshots.Close()
	var last *Snapshot
	for snapshots.Next() {
		last = snapshots.Value()
	}
	if last == nil && snapshots.Err() == nil {
		// The job was over, and the ledger had nothing new to tell.
		return j.Snapshot(ctx)
	}
	return last, snapshots.Err()
}

// watch is a watch under way.
type watch struct {
	job         *Job
	context     context.Context
	idleTimeout time.Duration

	// last is the snapshot that was given out.
	last *Snapshot
	// isBegun says that the first snapshot has been asked for.
	isBegun bool
	// isPolling says that there are no server-sent events here.
	isPolling bool
	// tag is the ETag of the last poll.
	etag string

	stream *eventStream
	body   io.Closer
	// clock is that of the answer that the stream is in.
	clock serverClock
	// silence cancels the stream when nothing has been heard for too long; it has struck where hasTimedOut says so.
	idleTimer   *time.Timer
	hasTimedOut *atomic.Bool
	// hasReceived says that something has been heard since the stream was asked for.
	hasReceived bool

	failures     int
	failingSince time.Time
	// isEnded says that the ledger has nothing more to tell.
	isEnded bool
}

// next returns the next snapshot; false at the end.
func (w *watch) next() (*Snapshot, bool, error) {
	if !w.isBegun {
		w.isBegun = true
		// Or a job that this client has opened again could look finished.
		w.job.catchUp(w.context)
	}
	for {
		if w.isEnded {
			return nil, false, nil
		}
		snapshot, err := w.receive()
		if err == nil {
			w.failures = 0
			if snapshot != nil && w.isNew(snapshot) {
				w.last = snapshot
				return snapshot, true, nil
			}
			continue
		}
		w.disconnect()
		if w.isBlockedByProxy() {
			w.isPolling = true
			continue
		}
		if err := w.recover(err); err != nil {
			return nil, false, err
		}
	}
}

// isBlockedByProxy tells that a stream was asked for and nothing of it came, not even its head: something between
// gathers what it should pass on. It will do so each time, and long polls get through.
func (w *watch) isBlockedByProxy() bool {
	return !w.isPolling && !w.hasReceived && w.hasTimedOut != nil && w.hasTimedOut.Load() && w.context.Err() == nil
}

// isNew tells whether a snapshot has not been given out yet: after connecting again the same one may come first, or an
// older one, from a server whose projection lags behind. An older one of a ledger that does not contain the events seen
// so far is news: the ledger was restored, or a failover lost them.
func (w *watch) isNew(s *Snapshot) bool {
	if w.last == nil || s.Sequence > w.last.Sequence {
		return true
	}
	if s.Sequence < w.last.Sequence {
		return s.LedgerSequence < w.last.Sequence
	}
	last, next := *w.last, *s
	// The clock is another one in each answer.
	last.Now, next.Now = time.Time{}, time.Time{}
	before, errBefore := json.Marshal(&last)
	now, errNow := json.Marshal(&next)
	return errBefore != nil || errNow != nil || !bytes.Equal(before, now)
}

// recover pauses before the next try, or returns the error that ends the watch.
func (w *watch) recover(cause error) error {
	if err := w.context.Err(); err != nil {
		return err
	}
	final, isFinal := cause.(*finalError)
	if isFinal {
		return final.cause
	}
	if w.failures == 0 {
		w.failingSince = time.Now()
	}
	w.failures++
	if time.Since(w.failingSince) > watchOutageMax {
		return &unavailableError{address: w.job.client.address, cause: cause}
	}
	if !sleep(w.context, backoff(w.failures, randomFraction())) {
		return w.context.Err()
	}
	return nil
}

// finalError ends a watch.
type finalError struct{ cause error }

func (e *finalError) Error() string { return e.cause.Error() }

// hear waits for one snapshot, or for something that is none (nil).
func (w *watch) receive() (*Snapshot, error) {
	if w.isPolling {
		return w.poll()
	}
	if w.stream == nil {
		if err := w.connect(); err != nil || w.isPolling {
			return nil, err
		}
	}
	w.idleTimer.Reset(w.idleTimeout)
	event, err := w.stream.next()
	w.idleTimer.Stop()
	if err != nil {
		return nil, err
	}
	switch event.kind {
	case "snapshot":
		var snapshot Snapshot
		if err := json.Unmarshal(event.data, &snapshot); err != nil {
			return nil, err
		}
		snapshot.receive(w.clock, time.Now())
		return &snapshot, nil
	case "end":
		w.isEnded = true
		w.disconnect()
	}
	return nil, nil
}

// connect opens the stream, from the last snapshot on.
func (w *watch) connect() error {
	r := request{
		method: http.MethodGet, path: jobPath(w.job.ID, "/watch"),
		header: map[string]string{"Accept": "text/event-stream", "Cache-Control": "no-store"},
	}
	if w.last != nil {
		r.header["Last-Event-ID"] = strconv.FormatInt(w.last.Sequence, 10)
	}
	ctx, cancel := context.WithCancel(w.context)
	hasTimedOut := new(atomic.Bool)
	idleTimer := time.AfterFunc(w.idleTimeout, func() {
		hasTimedOut.Store(true)
		cancel()
	})
	w.hasTimedOut, w.hasReceived = hasTimedOut, false
	response, err := w.job.client.open(ctx, r)
	if err != nil {
		idleTimer.Stop()
		cancel()
		return err
	}
	if response.StatusCode == http.StatusOK && isJSON(response.Header, "text/event-stream") {
		lastID := r.header["Last-Event-ID"]
		w.idleTimer = idleTimer
		w.clock = clockOf(response.Header, time.Now())
		w.body = closer(func() error {
			idleTimer.Stop()
			cancel()
			return response.Body.Close()
		})
		w.stream = newEventStream(response.Body, lastID, func() {
			w.hasReceived = true
			idleTimer.Reset(w.idleTimeout)
		})
		return nil
	}
	defer cancel()
	defer idleTimer.Stop()
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, responseBytesMax))
	if err != nil {
		return err
	}
	return w.refused(&httpResponse{status: response.StatusCode, header: response.Header, body: body})
}

// refused says what follows from an answer that is no stream. A ledger without the route, and one without the job, both
// answer 404: the poll that comes next tells them apart.
func (w *watch) refused(a *httpResponse) error {
	switch a.status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusOK:
		w.isPolling = true
		return nil
	case http.StatusNoContent:
		w.isEnded = true
		w.isPolling = true
		return nil
	}
	return w.problem(a)
}

// problem is the error of an answer: final where asking again would bring the same.
func (w *watch) problem(a *httpResponse) error {
	found, cause := classify(a, nil)
	if found == rejected || isAuthenticationFailure(a) {
		return &finalError{cause: cause}
	}
	if cause == nil {
		cause = fmt.Errorf("an answer of status %d was not expected", a.status)
	}
	// The ledger's own wish; ours comes on top of it.
	sleep(w.context, retryAfter(a, time.Now()))
	return cause
}

// disconnect closes the stream, if there is one.
func (w *watch) disconnect() {
	if w.body == nil {
		return
	}
	// Nothing was written, so there is nothing that closing could tell.
	_ = w.body.Close()
	w.body, w.stream = nil, nil
}

// closer makes a function an io.Closer.
type closer func() error

func (c closer) Close() error { return c() }
