package ledger

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// SnapshotOption says which snapshot is wanted.
type SnapshotOption func(url.Values)

// AtSequence asks for the job as it was when the event with this sequence was its last: 0 is before the first one.
func AtSequence(sequence int64) SnapshotOption {
	return func(query url.Values) { query.Set("at_sequence", strconv.FormatInt(sequence, 10)) }
}

// AtLeast asks for a snapshot that has reached this sequence, to read one's own writes. The ledger waits for it, for
// 5 s at most; ErrUnavailable is what comes after that.
func AtLeast(sequence int64) SnapshotOption {
	return func(query url.Values) { query.Set("min_sequence", strconv.FormatInt(sequence, 10)) }
}

// Policy says which executions of a task count.
type Policy string

// The policies. All asks what was attempted.
const (
	Last           Policy = "last"
	LastSuccessful Policy = "last_successful"
	All            Policy = "all"
)

// ByPolicy asks for the numbers by another rule than Last.
func ByPolicy(policy Policy) SnapshotOption {
	return func(query url.Values) { query.Set("policy", string(policy)) }
}

// Snapshot asks for the job's indicators and state: the present ones unless an option says otherwise. Errors:
// ErrNotFound, ErrInvalid for a sequence beyond the last, ErrUnavailable, ErrNotConfigured.
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
	err := j.client.call(ctx, j.request("/progress", query), true, &snapshot)
	if err == nil && !query.Has("at_sequence") {
		return j.seen(&snapshot, nil)
	}
	if err != nil {
		return nil, err
	}
	return &snapshot, nil
}

// History asks how the indicator of this label, "" being the default one, came to its numbers: at most so many points,
// or 500 where points is 0; every decrease is among them, with its cause. Errors: ErrNotFound also where no event has
// named the indicator, ErrUnavailable, ErrNotConfigured.
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

// Explain asks where each unit of an indicator went, execution by execution; "" is the default indicator. It collects
// all executions that reported on it: some 300 bytes for each. Errors: ErrNotFound also where no event has named the
// indicator, ErrUnavailable, ErrNotConfigured.
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
		// The other pages are of the same moment, or their sums would not fit the whole.
		query.Set("at_sequence", strconv.FormatInt(whole.Sequence, 10))
	}
}

// join adds the tasks of a further page, which may go on with the last task of the page before.
func (e *Explanation) join(tasks []ExplainedTask) {
	for _, task := range tasks {
		if last := len(e.Tasks) - 1; last >= 0 && e.Tasks[last].Task == task.Task {
			e.Tasks[last].Executions = append(e.Tasks[last].Executions, task.Executions...)
		} else {
			e.Tasks = append(e.Tasks, task)
		}
	}
}

// TaskFilter says which tasks to list. The zero value is all of them.
type TaskFilter struct {
	// State is the state of the tasks.
	State TaskState
}

// Tasks lists the tasks of the job with their executions, in the order in which they began.
func (j *Job) Tasks(ctx context.Context, filter TaskFilter) *Iterator[TaskSummary] {
	if j.isSilent() {
		return failedIterator[TaskSummary](ErrNotConfigured)
	}
	query := url.Values{}
	set(query, "state", string(filter.State))
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

// EventFilter says which events to list. The zero value is all of them.
type EventFilter struct {
	// After is the sequence beyond which events are listed, in the order asked for; 0 is from the beginning.
	After int64
	// Descending lists the newest first.
	Descending bool
	Task       string
	// Execution is the name of the execution, as shown.
	Execution string
	// Label is the indicator, and DefaultIndicator the one without a label: only progress events are then listed.
	Label            string
	DefaultIndicator bool
	// Type is the type of the events, as in "progress" or "execution_started".
	Type    string
	Verdict Verdict
}

// Events lists the history of the job with the verdict of every event: the oldest first unless told.
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

// get reads something of the job, with what this client wrote to the job before.
func (j *Job) get(ctx context.Context, what string, query url.Values, into any) error {
	if j.isSilent() {
		return ErrNotConfigured
	}
	j.catchUp(ctx)
	return j.client.call(ctx, j.request(what, query), true, into)
}

func (j *Job) request(what string, query url.Values) request {
	path := jobPath(j.ID, what)
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return request{method: http.MethodGet, path: path, wait: requestWait}
}
