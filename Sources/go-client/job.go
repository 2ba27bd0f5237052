package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// Job is a job of the ledger: what is fixed about it, and the way to everything else.
//
// A nil Job, and one without an ID, is silent: executions of it report nothing, and reading it fails with
// ErrNotConfigured.
type Job struct {
	client *Client
	// ID is the ledger's name for the job, to be handed to the workers. It is empty where the client is silent.
	ID string
	// Name, Key and Tags are what the job was created with. They are empty in a Job that Client.Job made.
	Name string
	Key  string
	Tags map[string]string
	// Found is the snapshot that came with the answer by which the job was created, found or listed; nil where there was
	// none. It does not change: Snapshot asks for the present one.
	Found *Snapshot
}

// CreateOption says more about a job that is to be created.
type CreateOption func(*jobDescription)

// jobDescription is a job as it is created.
type jobDescription struct {
	Name string            `json:"name"`
	Key  string            `json:"key,omitempty"`
	Tags map[string]string `json:"tags,omitempty"`

	isKeyGiven bool
}

// Key is the caller's own name for the job, unique in the ledger, of 1 to 200 Unicode scalars. Creating a job again
// with the same key, name and tags finds it, which makes creating safe to repeat: give one.
func Key(key string) CreateOption {
	return func(d *jobDescription) { d.Key, d.isKeyGiven = key, true }
}

// Tag gives the job a tag, by which jobs can be listed. A job has up to 50; names have 1 to 100 Unicode scalars, values
// up to 200.
func Tag(name, value string) CreateOption {
	return func(d *jobDescription) {
		if d.Tags == nil {
			d.Tags = make(map[string]string)
		}
		d.Tags[name] = value
	}
}

func (d *jobDescription) check() error {
	if err := checkText("name", d.Name, 1, jobNameScalarsMax); err != nil {
		return err
	}
	if d.isKeyGiven {
		if err := checkText("key", d.Key, 1, jobKeyScalarsMax); err != nil {
			return err
		}
	}
	if len(d.Tags) > tagsMax {
		return &InvalidError{Field: "tags", Problem: fmt.Sprintf("are %d; a job has at most %d", len(d.Tags), tagsMax)}
	}
	for name, value := range d.Tags {
		if err := checkText("tag name", name, 1, tagNameScalarsMax); err != nil {
			return err
		}
		if err := checkText("tag "+name, value, 0, tagValueScalarsMax); err != nil {
			return err
		}
	}
	return nil
}

// CreateJob creates a job, named by 1 to 200 Unicode scalars; or finds the one that was created with the same key and
// content. It waits for the ledger, and tries again for ten seconds where that cannot be reached.
//
// Errors: *InvalidError; ErrConflict where another job has the key; ErrUnavailable. Without a key it is not repeated
// after a lost answer, because that could create two. With an error the job has no ID and is silent: a program may go on
// with it.
func (c *Client) CreateJob(ctx context.Context, name string, options ...CreateOption) (*Job, error) {
	description := jobDescription{Name: name}
	for _, option := range options {
		if option != nil {
			option(&description)
		}
	}
	silent := &Job{client: c, Name: name, Key: description.Key, Tags: description.Tags}
	if err := description.check(); err != nil {
		return silent, err
	}
	if c.IsSilent() {
		return silent, nil
	}
	body, err := json.Marshal(description)
	if err != nil {
		return silent, fmt.Errorf("ledger: the job cannot be encoded: %w", err)
	}
	var snapshot Snapshot
	r := request{method: http.MethodPost, path: "/v1/jobs", body: body, wait: requestWait}
	if err := c.call(ctx, r, description.isKeyGiven, &snapshot); err != nil {
		return silent, err
	}
	c.ownWrites.wrote(snapshot.Job, snapshot.Sequence)
	c.ownWrites.saw(snapshot.Job, snapshot.Sequence)
	return c.found(&snapshot), nil
}

// Job returns the job of this ID without asking the ledger, for a worker that was handed the ID. An ID that the ledger
// does not know shows when something is read, and in the log when something is reported; an empty one is silent.
func (c *Client) Job(id string) *Job { return &Job{client: c, ID: id} }

// FindJob asks for the job of this ID. Errors: ErrNotFound, *InvalidError, ErrUnavailable, ErrNotConfigured.
func (c *Client) FindJob(ctx context.Context, id string) (*Job, error) {
	if id == "" && !c.IsSilent() {
		return nil, &InvalidError{Field: "job", Problem: "is empty"}
	}
	snapshot, err := c.Job(id).Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return c.found(snapshot), nil
}

// FindJobByKey asks for the job of this key. Errors: ErrNotFound, *InvalidError, ErrUnavailable, ErrNotConfigured.
func (c *Client) FindJobByKey(ctx context.Context, key string) (*Job, error) {
	if err := checkText("key", key, 1, jobKeyScalarsMax); err != nil {
		return nil, err
	}
	jobs := c.ListJobs(ctx, JobFilter{Key: key})
	if jobs.Next() {
		return jobs.Value(), nil
	}
	if err := jobs.Err(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: no job has the key %q", ErrNotFound, key)
}

// JobFilter says which jobs to list. The zero value is all of them.
type JobFilter struct {
	// State is the state of the jobs.
	State JobState
	// Name is their name.
	Name string
	// Key is their key: one job has it at most.
	Key string
	// Tags are tags that each of them has.
	Tags map[string]string
}

// ListJobs lists jobs, the newest first, each with its snapshot in Found.
func (c *Client) ListJobs(ctx context.Context, filter JobFilter) *Iterator[*Job] {
	query := url.Values{}
	set(query, "state", string(filter.State))
	set(query, "name", filter.Name)
	set(query, "key", filter.Key)
	for name, value := range filter.Tags {
		query.Set("tag."+name, value)
	}
	read := func(body rawResponse) (jobs []*Job, next string, err error) {
		var page struct {
			Jobs       []Snapshot `json:"jobs"`
			NextCursor string     `json:"next_cursor"`
		}
		if err := json.Unmarshal(body.text, &page); err != nil {
			return nil, "", err
		}
		for i := range page.Jobs {
			page.Jobs[i].receive(body.clock, body.receivedAt)
			jobs = append(jobs, c.found(&page.Jobs[i]))
		}
		return jobs, page.NextCursor, nil
	}
	return pages(ctx, c, "/v1/jobs", query, "cursor", c.catchUpAll, read)
}

func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

func (c *Client) found(s *Snapshot) *Job {
	return &Job{client: c, ID: s.Job, Name: s.Name, Key: s.Key, Tags: s.Tags, Found: s}
}

// Progress returns the job's indicators as they were when it was created, found or listed; Snapshot asks for the
// present ones.
func (j *Job) Progress() []Indicator {
	if j == nil || j.Found == nil {
		return nil
	}
	return j.Found.Progress
}

// Indicator returns the job's indicator of this label, "" being the default one, as it was when the job was created,
// found or listed, and whether the job had it.
func (j *Job) Indicator(label string) (indicator Indicator, isThere bool) {
	if j == nil {
		return Indicator{Label: label}, false
	}
	return j.Found.Indicator(label)
}

func (j *Job) isSilent() bool { return j == nil || j.ID == "" || j.client.IsSilent() }

// StartExecution starts a new execution of a task, named by 1 to 200 Unicode scalars: from now on what earlier
// executions of it have done does not count. The context that it returns leads Progress and DefaultProgress to it.
//
// It never waits for the ledger: the start is sent in the background, and repeated until it is recorded. So a task
// starts as quickly behind a ledger that is away. Ask Execution.Started where it matters that the start is recorded, or
// that it is not superseded already. Executions of the same task of one client are recorded in the order of these
// calls.
//
// The only error is *InvalidError, for a task or an attempt that cannot be recorded. The context and the execution can
// be used in any case, and do nothing then; so do those of a silent client. End the execution with Finish or Close, or
// use Run, which does.
func (j *Job) StartExecution(
	ctx context.Context, task string, options ...StartOption,
) (context.Context, *Execution, error) {
	var settings startSettings
	for _, option := range options {
		if option != nil {
			option(&settings)
		}
	}
	ctx = orBackground(ctx)
	err := checkStart(task, settings)
	var c *Client
	var id string
	if err == nil && !j.isSilent() {
		c, id = j.client, j.ID
	}
	execution := newExecution(c, id, task, settings)
	if j != nil && j.client != nil {
		execution.health = &j.client.health
	}
	if settings.cancelWhenSuperseded {
		ctx, execution.cancelTask = context.WithCancel(ctx)
	}
	ctx = NewContext(ctx, execution)
	taskContext := ctx
	execution.isTaskCanceled = func() bool { return errors.Is(taskContext.Err(), context.Canceled) }
	if err != nil {
		execution.identity.task = ""
		execution.dropAll()
		if execution.health != nil {
			execution.health.logOnce("invalid start", "nothing of an execution is reported: %v", err)
		}
		return ctx, execution, err
	}
	if c == nil {
		return ctx, execution, nil
	}
	if settings.attemptProblem != nil {
		c.health.logOnce("attempt", "%v; the ledger numbers the execution", settings.attemptProblem)
	}
	predecessor, isOpen := c.join(execution, execution.key)
	if !isOpen {
		c.health.logOnce("closed", "the client is closed: nothing of task %q is reported", task)
		return ctx, execution.dropAll(), nil
	}
	go execution.run(predecessor)
	return ctx, execution, nil
}

func checkStart(task string, settings startSettings) error {
	if err := checkText("task", task, 1, taskScalarsMax); err != nil {
		return err
	}
	if settings.isAttemptGiven && (settings.attempt < 1 || settings.attempt > AttemptMax) {
		problem := fmt.Sprintf("is %d; attempts are from 1 to %d", settings.attempt, int64(AttemptMax))
		return &InvalidError{Field: "attempt", Problem: problem}
	}
	return nil
}

// Run does the work as an execution of a task, and returns what the work returns. The execution has succeeded where
// that is nil, is canceled where the context was, and has failed otherwise: also where the work panics, which goes on
// panicking.
//
// What goes wrong in reporting is logged once, and neither returned nor a reason not to do the work: not even a task or
// an attempt that cannot be recorded.
func (j *Job) Run(
	ctx context.Context, task string, work func(ctx context.Context) error, options ...StartOption,
) error {
	taskContext, execution, _ := j.StartExecution(ctx, task, options...)
	// Close comes in every case, a panic and runtime.Goexit included.
	defer execution.Close()
	if err := work(taskContext); err != nil {
		return err
	}
	// What is not delivered is logged, and stands in the stats: the work has been done all the same.
	_ = execution.Finish(context.Background(), Succeeded)
	return nil
}

// Finish ends the job with this outcome. Executions should have been finished before: a newer one opens the job again.
//
// It waits as the end of an execution does: until the end is recorded, for the client's close wait at most (5 s), which
// is spent once in an outage. What is not delivered by then is delivered in the background, after the reports of the
// executions that ended before, for up to 15 minutes. It is safe to repeat. Errors: ErrNotFound, ErrUnavailable (on its
// way), *InvalidError, a *Problem if the ledger refuses the token.
func (j *Job) Finish(ctx context.Context, outcome JobState) error {
	switch outcome {
	case JobCompleted, JobFailed, JobCanceled:
	default:
		return &InvalidError{Field: "outcome", Problem: fmt.Sprintf("is %q", string(outcome))}
	}
	if j.isSilent() {
		return nil
	}
	return j.client.finishJob(ctx, j.ID, outcome)
}
