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

// Watch iterates over the job's changing snapshots until the job has finished.
//
// It starts with the current snapshot and ends with that of the finished job. Snapshots in quick succession may be left
// out. None is repeated, and none is older than the previous one, unless the ledger was restored to an earlier state.
//
// It resumes after restarts and outages of the ledger of up to an hour each. It waits while nothing changes, so use a
// context that can be canceled. Errors: that of the context, ErrNotFound, ErrNotConfigured, a *Problem if the token is
// refused, ErrUnavailable.
//
// It uses server-sent events, or long polls if the ledger does not offer them or a proxy blocks them.
func (j *Job) Watch(ctx context.Context) *Iterator[*Snapshot] { return j.watch(ctx, watchIdleTimeout) }

func (j *Job) watch(ctx context.Context, idleTimeout time.Duration) *Iterator[*Snapshot] {
	if j.isSilent() {
		return failedIterator[*Snapshot](ErrNotConfigured)
	}
	ctx, cancel := context.WithCancel(orBackground(ctx))
	w := &watch{job: j, context: ctx, clock: j.client.clock, idleTimeout: idleTimeout}
	return &Iterator[*Snapshot]{
		advance: w.next,
		release: func() {
			cancel()
			w.disconnect()
		},
	}
}

// Wait waits until the job has finished, and returns its last snapshot.
//
// Outages and errors are handled as by Watch.
func (j *Job) Wait(ctx context.Context) (*Snapshot, error) {
	snapshots := j.Watch(ctx)
	defer snapshots.Close()
	var last *Snapshot
	for snapshots.Next() {
		last = snapshots.Value()
	}
	if last == nil && snapshots.Err() == nil {
		// The job had finished, and the ledger sent no snapshot.
		return j.Snapshot(ctx)
	}
	return last, snapshots.Err()
}

// watch is the state of one watch.
type watch struct {
	job         *Job
	context     context.Context
	clock       clock
	idleTimeout time.Duration

	// last is the last snapshot that was returned.
	last *Snapshot
	// isBegun is true once the first snapshot has been requested.
	isBegun bool
	// isPolling is true if server-sent events are not available.
	isPolling bool
	// etag is the ETag of the last poll.
	etag string

	stream *eventStream
	body   io.Closer
	// serverClock is that of the stream's header.
	serverClock serverClock
	// idleTimer cancels the stream, and sets hasTimedOut, after too long a time without data.
	idleTimer   *time.Timer
	hasTimedOut *atomic.Bool
	// hasReceived is true once any data of the stream has arrived.
	hasReceived bool

	failures     int
	failingSince time.Time
	// isEnded is true after the last snapshot.
	isEnded bool
}

// next returns the next snapshot; false at the end.
func (w *watch) next() (*Snapshot, bool, error) {
	if !w.isBegun {
		w.isBegun = true
		// Otherwise a job that this client has just opened again could look finished.
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

// isBlockedByProxy reports whether a stream timed out before its header.
//
// Then a proxy buffers the stream. It will do so each time, but long polls pass.
func (w *watch) isBlockedByProxy() bool {
	return !w.isPolling && !w.hasReceived && w.hasTimedOut != nil && w.hasTimedOut.Load() && w.context.Err() == nil
}

// isNew reports whether a snapshot differs from the last one and is not older.
//
// After a reconnect the same snapshot may come first, or an older one of a server with a lagging projection. An older
// one counts as new if the ledger itself ends before the last snapshot: it was restored, or a failover lost events.
func (w *watch) isNew(s *Snapshot) bool {
	if w.last == nil || s.Sequence > w.last.Sequence {
		return true
	}
	if s.Sequence < w.last.Sequence {
		return s.LedgerSequence < w.last.Sequence
	}
	last, next := *w.last, *s
	// The server's clock differs in every response.
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
	now := w.clock.now()
	if w.failures == 0 {
		w.failingSince = now
	}
	w.failures++
	if now.Sub(w.failingSince) > watchOutageMax {
		return &unavailableError{address: w.job.client.address, cause: cause}
	}
	if !w.clock.sleep(w.context, backoff(w.failures, randomFraction())) {
		return w.context.Err()
	}
	return nil
}

// finalError is an error that ends a watch.
type finalError struct{ cause error }

func (e *finalError) Error() string { return e.cause.Error() }

// receive waits for one event or poll, and returns its snapshot, or nil.
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
		snapshot.receive(w.serverClock, w.clock.now())
		return &snapshot, nil
	case "end":
		w.isEnded = true
		w.disconnect()
	}
	return nil, nil
}

// connect opens the stream after the last snapshot.
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
		w.serverClock = clockOf(response.Header, w.clock.now())
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

// refused handles a response that is no stream.
//
// A ledger without the route and one without the job both respond 404. The following poll distinguishes them.
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

// problem returns the error of a response; a finalError if retries are useless.
func (w *watch) problem(a *httpResponse) error {
	found, cause := classify(a, nil)
	if found == rejected || isAuthenticationFailure(a) {
		return &finalError{cause: cause}
	}
	if cause == nil {
		cause = fmt.Errorf("unexpected response with status %d", a.status)
	}
	// The pause that the ledger asks for; recover adds the client's own.
	w.clock.sleep(w.context, retryAfter(a))
	return cause
}

// disconnect closes the stream, if there is one.
func (w *watch) disconnect() {
	if w.body == nil {
		return
	}
	// Nothing was written, so an error of closing is irrelevant.
	_ = w.body.Close()
	w.body, w.stream = nil, nil
}

// closer adapts a function to io.Closer.
type closer func() error

func (c closer) Close() error { return c() }
