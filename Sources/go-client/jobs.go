package ledger

import "context"

// Jobs creates, finds and lists jobs, as in client.Jobs.Get(ctx, id).
//
// The zero value is silent.
type Jobs struct{ client *Client }

// JobProgress is a Job with the indicators of when it was read.
type JobProgress struct {
	*Job
	// Progress lists the job's indicators, in the order in which events first named them.
	Progress []Indicator
}

// Create creates a job, like Client.CreateJob.
func (j Jobs) Create(ctx context.Context, name string, options ...CreateOption) (*Job, error) {
	return j.client.CreateJob(ctx, name, options...)
}

// Get reads the job with this ID and its progress.
//
// The errors are those of Client.FindJob.
//
// If there is an error, the returned job has no progress, but accepts reports, like one of Client.Job.
func (j Jobs) Get(ctx context.Context, id string) (*JobProgress, error) {
	job, err := j.client.FindJob(ctx, id)
	if err != nil {
		return &JobProgress{Job: j.client.Job(id)}, err
	}
	return &JobProgress{Job: job, Progress: job.Progress()}, nil
}

// GetByKey reads the job with this key and its progress.
//
// The errors are those of Client.FindJobByKey.
//
// With an error the returned job has no progress and is silent.
func (j Jobs) GetByKey(ctx context.Context, key string) (*JobProgress, error) {
	job, err := j.client.FindJobByKey(ctx, key)
	if err != nil {
		return &JobProgress{Job: &Job{client: j.client, Key: key}}, err
	}
	return &JobProgress{Job: job, Progress: job.Progress()}, nil
}

// List lists jobs, like Client.ListJobs.
func (j Jobs) List(ctx context.Context, filter JobFilter) *Iterator[*Job] {
	return j.client.ListJobs(ctx, filter)
}
