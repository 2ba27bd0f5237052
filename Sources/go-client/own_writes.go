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

// ownWrites remembers this client's last event of each job, for its reads.
type ownWrites struct {
	mu   sync.Mutex
	jobs map[string]writePosition
}

// writePosition is the last event written and the newest snapshot read of a job.
type writePosition struct {
	written, folded int64
}

// wrote records an event of this client.
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

// evict removes one of a few random jobs, preferably one without unfolded events.
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

// saw records a snapshot that this client has read.
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

// last returns this client's last event, and whether it was seen in a snapshot.
//
// The event is 0 if there is none.
func (w *ownWrites) last(job string) (written int64, isFolded bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	position := w.jobs[strings.ToLower(job)]
	return position.written, position.folded >= position.written
}

// forget removes a job, after a restore to a state without these events.
func (w *ownWrites) forget(job string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.jobs, strings.ToLower(job))
}

// unfolded returns the jobs with events that were not seen in a snapshot.
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

// readSnapshot reads a snapshot that contains all earlier events of this client.
//
// The ledger waits for its projection for 5 s at most. If that does not suffice, or if the ledger was restored to a
// state without these events, it returns the current snapshot.
func (j *Job) readSnapshot(ctx context.Context, query url.Values) (*Snapshot, error) {
	var snapshot Snapshot
	written, _ := j.client.ownWrites.last(j.ID)
	if written > 0 {
		query.Set("min_sequence", strconv.FormatInt(written, 10))
		r := j.request("/progress", query)
		r.isLagFinal = true
		err := j.client.call(ctx, r, &snapshot)
		if err == nil || !isLag(err) {
			return j.seen(&snapshot, err)
		}
		query.Del("min_sequence")
	}
	err := j.client.call(ctx, j.request("/progress", query), &snapshot)
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

// isLag reports whether the ledger did not reach a sequence.
//
// It responds 504 after its wait, and older ledgers respond 422 for a sequence beyond the last.
func isLag(err error) bool {
	var problem *Problem
	return errors.As(err, &problem) &&
		(problem.Status == http.StatusGatewayTimeout || problem.Status == http.StatusUnprocessableEntity)
}

// catchUp waits until the projection contains this client's events.
//
// Routes without min_sequence need it. It ignores errors: the read that follows meets them too.
func (j *Job) catchUp(ctx context.Context) {
	if _, isFolded := j.client.ownWrites.last(j.ID); !isFolded {
		_, _ = j.readSnapshot(ctx, url.Values{})
	}
}

// catchUpAll waits for the projection of all jobs, for callRetryMax at most.
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
