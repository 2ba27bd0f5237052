package ledger

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// ownWrites remembers the last event that this client wrote to each job, so that its reads can wait for that event.
type ownWrites struct {
	mu   sync.Mutex
	jobs map[string]writePosition
}

// writePosition is the last event of this client in one job, and the newest snapshot that it has read of that job.
type writePosition struct {
	written, folded int64
}

// wrote records that the event with this sequence is this client's.
func (w *ownWrites) wrote(job string, sequence int64) {
	job = strings.ToLower(job)
	w.mu.Lock()
	defer w.mu.Unlock()
	position, isKnown := w.jobs[job]
	if sequence <= position.written {
		return
	}
	if w.jobs == nil {
		w.jobs = make(map[string]writePosition)
	}
	if !isKnown && len(w.jobs) >= ownWritesMax {
		w.evict()
	}
	position.written = sequence
	w.jobs[job] = position
}

// evict removes one of a few random jobs, preferably one whose events have all been seen in a snapshot.
func (w *ownWrites) evict() {
	const candidates = 8
	var victim string
	checked := 0
	for job, position := range w.jobs {
		victim = job
		checked++
		if position.folded >= position.written || checked == candidates {
			break
		}
	}
	delete(w.jobs, victim)
}

// saw records that a snapshot of the job with this sequence has been read.
func (w *ownWrites) saw(job string, sequence int64) {
	job = strings.ToLower(job)
	w.mu.Lock()
	defer w.mu.Unlock()
	position, isKnown := w.jobs[job]
	if isKnown && sequence > position.folded {
		position.folded = sequence
		w.jobs[job] = position
	}
}

// last returns this client's last event in the job, 0 if there is none, and whether a snapshot is known to contain it.
func (w *ownWrites) last(job string) (written int64, isFolded bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	position := w.jobs[strings.ToLower(job)]
	return position.written, position.folded >= position.written
}

// forget removes the job: its ledger was restored to a state that does not contain the events.
func (w *ownWrites) forget(job string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.jobs, strings.ToLower(job))
}

// unfolded returns the jobs with events of this client that no snapshot is known to contain.
func (w *ownWrites) unfolded() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var jobs []string
	for job, position := range w.jobs {
		if position.folded < position.written {
			jobs = append(jobs, job)
		}
	}
	return jobs
}

// readSnapshot reads a snapshot that contains what this client wrote to the job before.
//
// The ledger waits for its projection, for 5 s at most. If that does not suffice, or if the ledger was restored to a
// state without these events, the snapshot is the newest one that there is.
func (j *Job) readSnapshot(ctx context.Context, query url.Values) (*Snapshot, error) {
	var snapshot Snapshot
	written, _ := j.client.ownWrites.last(j.ID)
	if written > 0 {
		query.Set("min_sequence", strconv.FormatInt(written, 10))
		r := j.request("/progress", query)
		r.isLagFinal = true
		err := j.client.call(ctx, r, true, &snapshot)
		if err == nil || !isLag(err) {
			return j.seen(&snapshot, err)
		}
		query.Del("min_sequence")
	}
	err := j.client.call(ctx, j.request("/progress", query), true, &snapshot)
	if err == nil && snapshot.LedgerSequence < written {
		j.client.ownWrites.forget(j.ID)
	}
	return j.seen(&snapshot, err)
}

func (j *Job) seen(snapshot *Snapshot, err error) (*Snapshot, error) {
	if err != nil {
		return nil, err
	}
	j.client.ownWrites.saw(j.ID, snapshot.Sequence)
	return snapshot, nil
}

// isLag reports whether the ledger refused to wait longer for a sequence (504), or has no such sequence (422).
func isLag(err error) bool {
	var problem *Problem
	return errors.As(err, &problem) &&
		(problem.Status == http.StatusGatewayTimeout || problem.Status == http.StatusUnprocessableEntity)
}

// catchUp waits until the projection contains what this client wrote to the job. Routes without min_sequence need it.
//
// Errors are left to the read that follows: it meets the same ledger.
func (j *Job) catchUp(ctx context.Context) {
	if _, isFolded := j.client.ownWrites.last(j.ID); !isFolded {
		_, _ = j.readSnapshot(ctx, url.Values{})
	}
}

// catchUpAll waits until the projection contains what this client wrote to any job, for callRetryMax at most.
func (c *Client) catchUpAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(orBackground(ctx), callRetryMax)
	defer cancel()
	for _, job := range c.ownWrites.unfolded() {
		if ctx.Err() != nil {
			return
		}
		c.Job(job).catchUp(ctx)
	}
}
