package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// Job is a job of the ledger, to report to and to read.
//
// A nil Job, or one without an ID, is silent: its executions report nothing, and reads fail with ErrNotConfigured.
type Job struct {
	client *Client
	// ID identifies the job in the ledger; pass it to the workers. It is empty if the client is silent.
	ID string
	// Name, Key and Tags are those of the job's creation. They are empty in a Job made by Client.Job.
	Name string
	Key  string
	Tags map[string]string
	// Found is the snapshot of when the job was created, found or listed; nil if there was none. It does not change:
	// Snapshot reads the current one.
	Found *Snapshot
}

// CreateOption sets a property of a new job.
type CreateOption func(*jobDescription)

// jobDescription is the request to create a job.
type jobDescription struct {
	Name string            `json:"name"`
	Key  string            `json:"key,omitempty"`
	Tags map[string]string `json:"tags,omitempty"`

	isKeyGiven bool
}

// Key sets the caller's unique name for the job, of 1 to 200 Unicode scalars.
//
// Creating a job again with the same key, name and tags returns the same job. Creation with a key is safe to repeat.
func Key(key string) CreateOption {
	return func(d *jobDescription) { d.Key, d.isKeyGiven = key, true }
}

// Tag adds a tag to the job, by which jobs can be listed.
//
// A job has up to 50 tags. Their names have 1 to 100 Unicode scalars, their values up to 200.
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
		return &InvalidError{Field: "tags", Problem: fmt.Sprintf("are %d; the maximum of a job is %d", len(d.Tags), tagsMax)}
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

// CreateJob creates a job, or returns the one with the same key and content.
//
// The name has 1 to 200 Unicode scalars. The call waits for the ledger, and retries for 10 s while it is unreachable.
// Without a key the retries create one job too.
//
// Errors: *InvalidError; ErrConflict if another job has the key; ErrUnavailable, after which a further call without a
// key may create a second job. With an error the returned job has no ID and is silent, so that the program can continue
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
		return silent, fmt.Errorf("ledger: cannot encode the job: %w", err)
	}
	var snapshot Snapshot
	r := request{method: http.MethodPost, path: "/v1/jobs", body: body, wait: requestWait}
	if !description.isKeyGiven {
		r.header = map[string]string{"Idempotency-Key": newRandomName()}
	}
	if err := c.call(ctx, r, &snapshot); err != nil {
		return silent, err
	}
	c.ownWrites.wrote(snapshot.Job, snapshot.Sequence)
	c.ownWrites.saw(snapshot.Job, snapshot.Sequence)
	return c.found(&snapshot), nil
}

// Job returns the job with this ID without a request, for a worker.
//
// If the job does not exist, reads return ErrNotFound, and the first refused report is logged. An empty ID
// makes the job silent.
func (c *Client) Job(id string) *Job { return &Job{client: c, ID: id} }

// FindJob reads the job with this ID.
//
// Errors: ErrNotFound, *InvalidError, ErrUnavailable, ErrNotConfigured.
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

// FindJobByKey reads the job with this key.
//
// Errors: ErrNotFound, *InvalidError, ErrUnavailable, ErrNotConfigured.
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

// JobFilter selects the jobs of a list. The zero value selects all.
type JobFilter struct {
	// State selects jobs in this state.
	State JobState
	// Name selects jobs with this name.
	Name string
	// Key selects the job with this key, if there is one.
	Key string
	// Tags selects jobs with all of these tags.
	Tags map[string]string
}

// ListJobs lists jobs, newest first, each with its snapshot in Found.
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

// Progress returns the indicators of when the job was created, found or listed.
//
// Snapshot reads the current ones.
func (j *Job) Progress() []Indicator {
	if j == nil || j.Found == nil {
		return nil
	}
	return j.Found.Progress
}

// Indicator returns the indicator with this label, and whether it exists.
//
// It is that of when the job was created, found or listed. The default indicator has the label "".
func (j *Job) Indicator(label string) (indicator Indicator, isThere bool) {
	if j == nil {
		return Indicator{Label: label}, false
	}
	return j.Found.Indicator(label)
}

func (j *Job) isSilent() bool { return j == nil || j.ID == "" || j.client.IsSilent() }

// StartExecution starts an execution of a task, superseding all earlier ones.
//
// The task's name has 1 to 200 Unicode scalars. In the returned context, Progress and DefaultProgress report to the
// execution.
//
// StartExecution never waits for the ledger: the start is sent in the background, and repeated until it is recorded. So
// a task starts as quickly if the ledger is unreachable. Call Execution.Started if the start must be recorded, and not
// superseded, before the work begins. A client records the executions of one task in the order of these calls.
//
// The only error is *InvalidError, for a task or an attempt that cannot be recorded. The context and the execution can
// be used even then, and drop all reports. End the execution with Finish or Close, or use Run.
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
			execution.health.logOnce("invalid start", "cannot report an execution: %v", err)
		}
		return ctx, execution, err
	}
	if c == nil {
		return ctx, execution, nil
	}
	if settings.linkProblem != nil {
		execution.delivery.dropNotes(1)
		execution.logDropped(settings.linkProblem)
	}
	if settings.attemptProblem != nil {
		c.health.logOnce("attempt", "%v; the ledger assigns the attempt", settings.attemptProblem)
	}
	predecessor, isOpen := c.register(execution, execution.key)
	if !isOpen {
		c.health.logOnce("closed", "cannot report task %q: the client is closed", task)
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
		problem := fmt.Sprintf("is %d; an attempt is a number from 1 to %d", settings.attempt, int64(AttemptMax))
		return &InvalidError{Field: "attempt", Problem: problem}
	}
	return nil
}

// Run does the work as an execution of a task, and returns the error of the work.
//
// The execution succeeds if the work returns nil. Otherwise it is canceled if the context was canceled, and fails if
// not; its message is the type of the error, or its text (WithErrorMessages). A panic of the work is a failure, and
// continues.
//
// Problems of reporting are logged once. They are not returned, and never prevent the work: not even a task or an
// attempt that cannot be recorded does.
func (j *Job) Run(
	ctx context.Context, task string, work func(ctx context.Context) error, options ...StartOption,
) error {
	taskContext, execution, _ := j.StartExecution(ctx, task, options...)
	// Close runs in every case, including a panic and runtime.Goexit.
	defer execution.Close()
	if err := work(taskContext); err != nil {
		withText := j != nil && j.client != nil && j.client.errorMessages
		_ = execution.closeWith(notes{message: errorMessage(err, withText)})
		return err
	}
	// Undelivered reports are logged and counted. They do not make the work fail.
	_ = execution.Finish(context.Background(), Succeeded)
	return nil
}

// Finish ends the job with this outcome.
//
// End the executions first: a newer one reopens the job. Like the end of an execution, Finish waits until it is
// recorded, for the client's close wait at most (5 s), which all ends in one outage share. After that it is delivered
// in the background for up to 15 minutes, behind the reports of the executions that ended before. It is safe to repeat.
//
// A Message says why it ended. An invalid one is dropped, and a Link is ignored.
//
// Errors: ErrNotFound; ErrUnavailable if it is still undelivered; *InvalidError; a *Problem if the token is refused.
func (j *Job) Finish(ctx context.Context, outcome JobState, options ...Note) error {
	switch outcome {
	case JobCompleted, JobFailed, JobCanceled:
	default:
		problem := fmt.Sprintf("is %q; expected completed, failed or canceled", string(outcome))
		return &InvalidError{Field: "outcome", Problem: problem}
	}
	if j.isSilent() {
		return nil
	}
	return j.client.finishJob(ctx, j.ID, outcome, notesOf(options).message)
}
