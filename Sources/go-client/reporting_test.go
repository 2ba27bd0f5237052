package ledger

import (
	"context"
	"errors"
	"testing"
)

func TestReportsArriveWithTheirSums(t *testing.T) {
	client := newTestClient(t, sharedURL(t))
	job := newTestJob(t, client)
	ctx, execution := start(t, job, "tile-17", Attempt(2))
	for i := 0; i < 10; i++ {
		must(t, Progress("download").Add(ctx, 10))
		must(t, Progress("download").Done(ctx, 1))
	}
	must(t, DefaultProgress().Done(ctx, 1))
	must(t, DefaultProgress().Add(ctx, IncrementMax))
	must(t, DefaultProgress().Add(ctx, IncrementMax))
	must(t, Progress("declared").Add(ctx, 0))
	must(t, execution.Finish(ctx, Succeeded))
	expectProgress(t, job, "download: 10/100", "(default): 1/18014398509481982", "declared: 0/0")
	if stats := execution.Stats(); stats.Delivered != stats.Reports || stats.Pending != 0 || stats.Calls != 24 ||
		stats.Attempt != 2 || !stats.IsStarted {
		t.Errorf("the stats are %+v", stats)
	}
	if err := DefaultProgress().Done(ctx, 1); !errors.Is(err, ErrEnded) {
		t.Errorf("reporting after the end gives %v", err)
	}
}

func TestRunRecordsHowTheWorkEnded(t *testing.T) {
	client := newTestClient(t, sharedURL(t))
	job := newTestJob(t, client)
	must(t, job.Run(testContext(t), "good", func(ctx context.Context) error { return DefaultProgress().Done(ctx, 1) }))
	broken := errors.New("broken")
	if err := job.Run(testContext(t), "bad", func(context.Context) error { return broken }); err != broken {
		t.Errorf("the work's error became %v", err)
	}
	func() {
		defer func() {
			if recover() != "boom" {
				t.Error("the panic was swallowed")
			}
		}()
		_ = job.Run(testContext(t), "worse", func(context.Context) error { panic("boom") })
	}()
	canceled, cancel := context.WithCancel(testContext(t))
	err := job.Run(canceled, "stopped", func(ctx context.Context) error { cancel(); return ctx.Err() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the canceled work's error became %v", err)
	}
	settled(t, job)
	found := map[string]TaskState{}
	tasks := job.Tasks(testContext(t), TaskFilter{})
	for tasks.Next() {
		found[tasks.Value().Task] = tasks.Value().State
	}
	must(t, tasks.Err())
	wanted := map[string]TaskState{"good": TaskSucceeded, "bad": TaskFailed, "worse": TaskFailed, "stopped": TaskCanceled}
	for task, state := range wanted {
		if found[task] != state {
			t.Errorf("task %s is %s; %s is right", task, found[task], state)
		}
	}
}
