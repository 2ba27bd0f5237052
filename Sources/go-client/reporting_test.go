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
	if stats := execution.Stats(); stats.Delivered != stats.Reports+2 || stats.Pending != 0 || stats.Taken != 24 ||
		stats.Attempt != 2 || !stats.IsStarted {
		t.Errorf("the stats are %+v", stats)
	}
	if err := DefaultProgress().Done(ctx, 1); !errors.Is(err, ErrEnded) {
		t.Errorf("reporting after the end gives %v", err)
	}
}

type bytesRead uint32

func TestNumbersOfEveryIntegerTypeAreReported(t *testing.T) {
	client := newTestClient(t, sharedURL(t))
	job := newTestJob(t, client)
	ctx, execution := start(t, job, "tile")
	must(t, Add(ctx, "a", len("four")))
	must(t, Add(ctx, "a", uint64(IncrementMax)))
	must(t, Done(ctx, "a", int8(1)))
	must(t, Done(ctx, "a", bytesRead(2)))
	must(t, Done(ctx, "a", uint8(255)))
	must(t, Done(ctx, "", 7))
	for name, err := range map[string]error{
		"negative": Done(ctx, "a", int8(-1)), "too large": Add(ctx, "a", uint64(1<<60)),
		"larger than an int64": Add(ctx, "a", ^uint64(0)), "negative without a context": Done(nilContext, "a", -1),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, execution.Finish(ctx, Succeeded))
	expectProgress(t, job, "a: 258/9007199254740995", "(default): 7/0")
}

func TestTheJobsOfAClientAreCreatedFoundAndListed(t *testing.T) {
	client := newTestClient(t, sharedURL(t))
	created, err := client.Jobs.Create(testContext(t), "jobs", Key(t.Name()))
	must(t, err)
	must(t, created.Run(testContext(t), "tile", func(ctx context.Context) error { return Done(ctx, "a", 3) }))
	found, err := client.Jobs.Get(testContext(t), created.ID)
	must(t, err)
	if len(found.Progress) != 1 || found.Progress[0].String() != "a: 3/0" || found.ID != created.ID || found.Name != "jobs" {
		t.Errorf("found is %+v", found)
	}
	if indicator, isThere := found.Indicator("a"); !isThere || indicator.Done.String() != "3" {
		t.Errorf("the indicator is %v, %v", indicator, isThere)
	}
	if _, isThere := found.Indicator("b"); isThere {
		t.Error("an indicator without events exists")
	}
	byKey, err := client.Jobs.GetByKey(testContext(t), t.Name())
	must(t, err)
	if byKey.ID != created.ID || len(byKey.Progress) != 1 {
		t.Errorf("by its key it is %+v", byKey)
	}
	if jobs := client.Jobs.List(testContext(t), JobFilter{Key: t.Name()}); !jobs.Next() || jobs.Value().ID != created.ID {
		t.Errorf("it is not listed: %v", jobs.Err())
	}
	// A caller that ignores the error can continue.
	for name, client := range map[string]*Client{"real": client, "zero": {}} {
		lost, err := client.Jobs.Get(testContext(t), "0190b2c4-0000-7000-8000-000000000000")
		if name == "real" && !errors.Is(err, ErrNotFound) || err == nil || len(lost.Progress) != 0 {
			t.Errorf("%s: a job that is not there is %+v, %v", name, lost, err)
		}
		must(t, lost.Run(testContext(t), "tile", func(ctx context.Context) error { return Done(ctx, "a", 3) }))
		none, err := client.Jobs.GetByKey(testContext(t), "no such key")
		if err == nil {
			t.Errorf("%s: a key that is not there finds %+v", name, none)
		}
		must(t, none.Run(testContext(t), "tile", func(ctx context.Context) error { return Done(ctx, "a", 3) }))
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
	settledSnapshot(t, job)
	found := map[string]TaskState{}
	tasks := job.Tasks(testContext(t), TaskFilter{})
	for tasks.Next() {
		found[tasks.Value().Task] = tasks.Value().State
	}
	must(t, tasks.Err())
	want := map[string]TaskState{"good": TaskSucceeded, "bad": TaskFailed, "worse": TaskFailed, "stopped": TaskCanceled}
	for task, state := range want {
		if found[task] != state {
			t.Errorf("task %s is %s; %s is right", task, found[task], state)
		}
	}
}
