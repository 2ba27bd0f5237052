package ledger

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// SnapshotOption selects a snapshot.
type SnapshotOption func(url.Values)

// AtSequence selects the snapshot at this sequence; 0 is before the first event.
func AtSequence(sequence int64) SnapshotOption {
	return func(query url.Values) { query.Set("at_sequence", strconv.FormatInt(sequence, 10)) }
}

// AtLeast selects a snapshot that contains the event with this sequence.
//
// The ledger waits for it for 5 s at most, then the error is ErrUnavailable. What the same client has written is always
// contained, without this option.
func AtLeast(sequence int64) SnapshotOption {
	return func(query url.Values) { query.Set("min_sequence", strconv.FormatInt(sequence, 10)) }
}

// Policy decides which executions of a task count.
type Policy string

// The counting policies. All counts every execution.
const (
	Last           Policy = "last"
	LastSuccessful Policy = "last_successful"
	All            Policy = "all"
)

// ByPolicy selects another policy than Last.
func ByPolicy(policy Policy) SnapshotOption {
	return func(query url.Values) { query.Set("policy", string(policy)) }
}

// Snapshot reads the job's indicators and state; the current ones by default.
//
// It contains everything that this client has written to the job before, unless the projection lags for more than 5 s.
// Errors: ErrNotFound, ErrInvalid for a sequence beyond the last, ErrUnavailable, ErrNotConfigured.
func (j *Job) Snapshot(ctx context.Context, options ...SnapshotOption) (*Snapshot, error) {
	query := url.Values{}
	for _, option := range options {
		if option != nil {
			option(query)
		}
	}
	if j.isSilent() {
		return nil, ErrNotConfigured
	}
	if !query.Has("at_sequence") && !query.Has("min_sequence") {
		return j.readSnapshot(ctx, query)
	}
	var snapshot Snapshot
	err := j.client.call(ctx, j.request("/progress", query), &snapshot)
	if err == nil && !query.Has("at_sequence") {
		return j.seen(&snapshot, nil)
	}
	if err != nil {
		return nil, err
	}
	return &snapshot, nil
}

// History reads how the numbers of the indicator with this label developed.
//
// The default indicator has the label "". There are at most this many points, 500 if points is 0, and every decrease is
// among them, with its cause. Errors: ErrNotFound, also if no event names the indicator; ErrUnavailable;
// ErrNotConfigured.
func (j *Job) History(ctx context.Context, label string, points int) (*History, error) {
	query := url.Values{"label": {label}}
	if points > 0 {
		query.Set("points", strconv.Itoa(points))
	}
	var history History
	if err := j.get(ctx, "/history", query, &history); err != nil {
		return nil, err
	}
	return &history, nil
}

// Explain breaks the indicator with this label down by execution.
//
// The default indicator has the label "". The result holds all executions that reported on it, some 300 bytes for each.
// Errors: ErrNotFound, also if no event names the indicator; ErrUnavailable; ErrNotConfigured.
func (j *Job) Explain(ctx context.Context, label string) (*Explanation, error) {
	query := url.Values{"label": {label}}
	var whole *Explanation
	for {
		var page struct {
			Explanation
			NextCursor string `json:"next_cursor"`
		}
		if err := j.get(ctx, "/explain", query, &page); err != nil {
			return nil, err
		}
		if whole == nil {
			whole = &page.Explanation
		} else {
			whole.join(page.Tasks)
		}
		if page.NextCursor == "" || page.NextCursor == query.Get("cursor") {
			return whole, nil
		}
		query.Set("cursor", page.NextCursor)
		// All pages must be of the same moment, or the sums would not match.
		query.Set("at_sequence", strconv.FormatInt(whole.Sequence, 10))
	}
}

// join adds the tasks of the next page.
//
// They may continue the last task of the previous page.
func (e *Explanation) join(tasks []ExplainedTask) {
	for _, task := range tasks {
		if last := len(e.Tasks) - 1; last >= 0 && e.Tasks[last].Task == task.Task {
			e.Tasks[last].Executions = append(e.Tasks[last].Executions, task.Executions...)
		} else {
			e.Tasks = append(e.Tasks, task)
		}
	}
}

// TaskFilter selects the tasks of a list. The zero value selects all.
type TaskFilter struct {
	// State selects tasks in this state.
	State TaskState
	// OnlySilent selects tasks with an execution that has sent nothing for longer than plausible.
	OnlySilent bool
}

// Tasks lists the job's tasks with executions, in the order of their first events.
func (j *Job) Tasks(ctx context.Context, filter TaskFilter) *Iterator[TaskSummary] {
	if j.isSilent() {
		return failedIterator[TaskSummary](ErrNotConfigured)
	}
	query := url.Values{}
	set(query, "state", string(filter.State))
	if filter.OnlySilent {
		query.Set("silent", "true")
	}
	return pages(ctx, j.client, jobPath(j.ID, "/tasks"), query, "cursor", j.catchUp,
		func(body rawResponse) ([]TaskSummary, string, error) {
			var page struct {
				Tasks      []TaskSummary `json:"tasks"`
				NextCursor string        `json:"next_cursor"`
			}
			err := json.Unmarshal(body.text, &page)
			return page.Tasks, page.NextCursor, err
		})
}

// EventFilter selects the events of a list. The zero value selects all.
type EventFilter struct {
	// After is the sequence after which the list starts, in its order; 0 starts at the beginning.
	After int64
	// Descending lists the newest events first.
	Descending bool
	Task       string
	// Execution is the name of the execution, as shown.
	Execution string
	// Label selects progress events of an indicator, and DefaultIndicator those of the one without a label.
	Label            string
	DefaultIndicator bool
	// Type selects events of a type, such as "progress" or "execution_started".
	Type    string
	Verdict Verdict
}

// Events lists the job's events with their verdicts; oldest first by default.
func (j *Job) Events(ctx context.Context, filter EventFilter) *Iterator[Event] {
	if j.isSilent() {
		return failedIterator[Event](ErrNotConfigured)
	}
	query := url.Values{}
	set(query, "task", filter.Task)
	set(query, "execution", filter.Execution)
	set(query, "label", filter.Label)
	set(query, "type", filter.Type)
	set(query, "verdict", string(filter.Verdict))
	if filter.DefaultIndicator {
		query.Set("label", "")
	}
	if filter.Descending {
		query.Set("order", "desc")
	}
	if filter.After != 0 {
		query.Set("after", strconv.FormatInt(filter.After, 10))
	}
	return pages(ctx, j.client, jobPath(j.ID, "/events"), query, "after", j.catchUp,
		func(body rawResponse) ([]Event, string, error) {
			var page struct {
				Events    []Event `json:"events"`
				NextAfter *int64  `json:"next_after"`
			}
			if err := json.Unmarshal(body.text, &page); err != nil || page.NextAfter == nil {
				return page.Events, "", err
			}
			return page.Events, strconv.FormatInt(*page.NextAfter, 10), nil
		})
}

// get reads a resource of the job, including this client's writes.
func (j *Job) get(ctx context.Context, what string, query url.Values, into any) error {
	if j.isSilent() {
		return ErrNotConfigured
	}
	j.catchUp(ctx)
	return j.client.call(ctx, j.request(what, query), into)
}

func (j *Job) request(what string, query url.Values) request {
	path := jobPath(j.ID, what)
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return request{method: http.MethodGet, path: path, wait: requestWait}
}
