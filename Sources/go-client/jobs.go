package ledger

import "context"

// Jobs creates, finds and lists the jobs of a client: client.Jobs.Get(ctx, id). The zero value is silent.
type Jobs struct{ client *Client }

// JobProgress is a job with its indicators when it was read. Everything that a Job does, it does too.
type JobProgress struct {
	*Job
	// Progress has the job's indicators, in the order in which events first named them.
	Progress []Indicator
}

// Create is Client.CreateJob.
func (j Jobs) Create(ctx context.Context, name string, options ...CreateOption) (*Job, error) {
	return j.client.CreateJob(ctx, name, options...)
}

// Get asks for the job of this ID, and for its progress. Errors: as of Client.FindJob.
//
// With an error the job has no progress and can be reported to all the same, as one of Client.Job.
func (j Jobs) Get(ctx context.Context, id string) (*JobProgress, error) {
	job, err := j.client.FindJob(ctx, id)
	if err != nil {
		return &JobProgress{Job: j.client.Job(id)}, err
	}
	return &JobProgress{Job: job, Progress: job.Progress()}, nil
}

// GetByKey asks for the job of this key, and for its progress. Errors: as of Client.FindJobByKey. With an error the job
// has no progress and is silent.
func (j Jobs) GetByKey(ctx context.Context, key string) (*JobProgress, error) {
	job, err := j.client.FindJobByKey(ctx, key)
	if err != nil {
		return &JobProgress{Job: &Job{client: j.client, Key: key}}, err
	}
	return &JobProgress{Job: job, Progress: job.Progress()}, nil
}

// List is Client.ListJobs.
func (j Jobs) List(ctx context.Context, filter JobFilter) *Iterator[*Job] {
	return j.client.ListJobs(ctx, filter)
}
