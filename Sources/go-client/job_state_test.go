package ledger

import (
	"errors"
	"testing"
	"time"
)

func TestAnExecutionLearnsThatItsJobIsCanceledAndALaterOneDoesNotStart(t *testing.T) {
	client := newTestClient(t, sharedURL(t), WithInterval(10*time.Millisecond))
	job := newTestJob(t, client)
	told := make(chan JobState, 10)
	ctx, worker := start(t, job, "tile", OnJobEnded(func(_ *Execution, state JobState) {
		told <- state
		panic("no such luck")
	}))
	must(t, DefaultProgress().Done(ctx, 1))
	must(t, worker.Flush(ctx))
	if state := worker.JobEnded(); state != "" {
		t.Errorf("a running job has ended as %s", state)
	}
	must(t, job.Finish(testContext(t), JobCanceled))
	deadline := time.Now().Add(testTimeout)
	for worker.JobEnded() == "" && time.Now().Before(deadline) {
		must(t, DefaultProgress().Done(ctx, 1))
		must(t, worker.Flush(ctx))
	}
	must(t, DefaultProgress().Done(ctx, 1))
	must(t, worker.Finish(ctx, Succeeded))
	if state := <-told; state != JobCanceled || worker.JobEnded() != JobCanceled {
		t.Errorf("the callback gets %s, and the execution %s", state, worker.JobEnded())
	}
	if len(told) > 0 {
		t.Error("the task was notified of the end of the job twice")
	}
	lateContext, late := start(t, job, "late")
	if err := late.Started(lateContext); !errors.Is(err, ErrJobCanceled) {
		t.Errorf("the start in a canceled job gives %v", err)
	}
	must(t, DefaultProgress().Done(lateContext, 1))
	_ = late.Close()
	if stats := late.Stats(); stats.Delivered != 0 || stats.JobEnded != JobCanceled {
		t.Errorf("the execution of a canceled job has %+v", stats)
	}
	againContext, again := start(t, job, "again", ReopenCanceledJob())
	must(t, again.Started(againContext))
	must(t, again.Finish(againContext, Succeeded))
	snapshot, err := job.Snapshot(testContext(t))
	must(t, err)
	if snapshot.State != JobRunning || snapshot.Tasks.Total != 2 || snapshot.IdleSince.IsZero() {
		t.Errorf("the reopened job is %+v", snapshot)
	}
}
