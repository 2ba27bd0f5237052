package ledger

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"
	"testing"
)

// No call panics, ends or blocks the task, for any arguments.

// nilContext is the context of a caller without one.
var nilContext context.Context

func TestNilReceiversContextsAndOptionsDoNotPanic(t *testing.T) {
	real := newTestClient(t, sharedURL(t))
	job := newTestJob(t, real)
	for name, client := range map[string]*Client{"nil": nil, "zero": {}, "silent": silentClient(t), "real": real} {
		jobs := map[string]*Job{"nil": nil, "zero": {}, "by ID": client.Job("x"), "without ID": client.Job("")}
		if name == "real" {
			jobs["real"] = job
		}
		for kind, job := range jobs {
			ran := false
			if err := job.Run(nilContext, "task", func(ctx context.Context) error {
				ran = true
				must(t, Progress("a").Done(ctx, 1))
				return Progress("a").Add(nilContext, 1)
			}, nil); err != nil || !ran {
				t.Errorf("%s client, %s job: the work gives %v", name, kind, err)
			}
			ctx, execution, err := job.StartExecution(nilContext, "task", nil, OnSuperseded(nil))
			must(t, err)
			must(t, DefaultProgress().Done(ctx, 1))
			_ = execution.Started(nilContext)
			_ = execution.Flush(nilContext)
			_ = execution.Finish(nilContext, Succeeded)
			_ = execution.Close()
			_, _ = job.Snapshot(nilContext, nil)
			_, _ = job.History(nilContext, "a", -1)
			_, _ = job.Explain(nilContext, "a")
			job.Tasks(nilContext, TaskFilter{}).Next()
			job.Events(nilContext, EventFilter{}).Next()
			job.Watch(nilContext).Close()
			_ = job.Progress()
			if kind != "real" {
				_ = job.Finish(nilContext, JobCompleted)
			}
		}
		_, _ = client.FindJob(nilContext, "x")
		_, _ = client.FindJobByKey(nilContext, "x")
		client.ListJobs(nilContext, JobFilter{}).Next()
		created, _ := client.CreateJob(nilContext, "harmless", nil)
		if created == nil || created.Name != "harmless" {
			t.Errorf("%s client: created is %+v", name, created)
		}
		_ = client.Flush(nilContext)
		client.FlushOnSignal()()
	}
	var execution *Execution
	must(t, execution.Flush(nilContext))
	must(t, execution.Started(nilContext))
	must(t, execution.Finish(nilContext, Succeeded))
	must(t, FromContext(NewContext(nilContext, nil)).Done("a", 1))
	must(t, new(Execution).Done("a", 1))
	must(t, new(Execution).Finish(nilContext, Failed))
	var iterator *Iterator[Event]
	iterator.Close()
	if iterator.Next() || new(Iterator[Event]).Next() || iterator.Err() != nil || iterator.Value().Type != "" {
		t.Error("an iterator without a job has a value")
	}
	if _, isThere := (*Snapshot)(nil).Indicator("a"); isThere {
		t.Error("a nil snapshot has an indicator")
	}
	if (*Problem)(nil).Error() == "" || (*InvalidError)(nil).Error() == "" || errors.Is((*Problem)(nil), ErrNotFound) {
		t.Error("a nil error has no text")
	}
}

func TestAnInvalidConfigurationGivesASilentClient(t *testing.T) {
	for name, make := range map[string]func() (*Client, error){
		"URL":    func() (*Client, error) { return NewClient("nonsense") },
		"option": func() (*Client, error) { return NewClient("http://host", nil, WithInterval(-1)) },
	} {
		client, err := make()
		if !errors.Is(err, ErrInvalid) || !client.IsSilent() {
			t.Errorf("%s: %v, silent %v", name, err, client.IsSilent())
		}
		must(t, client.Job("j").Run(testContext(t), "tile", func(ctx context.Context) error {
			return DefaultProgress().Done(ctx, 1)
		}))
		must(t, client.Close())
	}
}

func TestInvalidReportsAreDroppedCountedAndLoggedOnce(t *testing.T) {
	logged := &recordingLogger{}
	client := newTestClient(t, sharedURL(t), WithLogger(logged))
	job := newTestJob(t, client)
	ctx, execution := start(t, job, "tile")
	wrong := 0
	for _, label := range []string{"a\x00b", "\xff", "\xed\xa0\x80", strings.Repeat("x", LabelScalarsMax+1), strings.Repeat("y", 1<<20)} {
		for i := 0; i < 20; i++ {
			if err := Progress(label).Done(ctx, 1); !errors.Is(err, ErrInvalid) {
				t.Fatalf("%.20q gives %v", label, err)
			}
			wrong++
		}
	}
	for _, n := range []int64{-1, -1 << 63, IncrementMax + 1, 1 << 60, 1<<63 - 1} {
		if err := Progress("a").Add(ctx, n); !errors.Is(err, ErrInvalid) {
			t.Fatalf("%d gives %v", n, err)
		}
		wrong++
	}
	for i := 0; i < 1100; i++ {
		if err := Progress(fmt.Sprint("label ", i)).Done(ctx, 1); (err == nil) != (i < LabelsMax) {
			t.Fatalf("label %d gives %v", i, err)
		}
	}
	wrong += 1100 - LabelsMax
	must(t, execution.Finish(ctx, Succeeded))
	for i := 0; i < 3; i++ {
		if err := DefaultProgress().Done(ctx, 1); !errors.Is(err, ErrEnded) {
			t.Errorf("after the end it gives %v", err)
		}
	}
	stats := execution.Stats()
	if stats.Invalid != int64(wrong) || stats.Refused != int64(wrong)+3 || stats.Dropped != stats.Refused ||
		stats.Delivered != LabelsMax+2 {
		t.Errorf("%d were wrong, and the stats are %+v", wrong, stats)
	}
	if lines := logged.all(); len(lines) != 2 || len(lines[0]) > 300 ||
		!strings.Contains(lines[0], "NUL") || !strings.Contains(lines[1], "has ended") {
		t.Errorf("logged was %q", lines)
	}
}

func TestRunDoesTheWorkEvenIfTheTaskIsInvalid(t *testing.T) {
	logged := &recordingLogger{}
	client := newTestClient(t, sharedURL(t), WithLogger(logged))
	job := newTestJob(t, client)
	for _, task := range []string{"", "a\x00b", "\xff", strings.Repeat("t", 1<<20)} {
		ran := false
		err := job.Run(testContext(t), task, func(ctx context.Context) error {
			ran = true
			must(t, DefaultProgress().Done(ctx, 1))
			if stats := FromContext(ctx).Stats(); stats.Dropped != 2 {
				t.Errorf("the stats are %+v", stats)
			}
			return nil
		}, Attempt(-7))
		if err != nil || !ran {
			t.Errorf("%.20q: done %v, %v", task, ran, err)
		}
	}
	if lines := logged.all(); len(lines) != 1 || len(lines[0]) > 300 {
		t.Errorf("logged was %q", lines)
	}
}

// hostileTransport panics, as a caller's own round tripper may.
type hostileTransport struct{}

func (hostileTransport) RoundTrip(*http.Request) (*http.Response, error) { panic("hostile") }

// hostileLogger panics, too.
type hostileLogger struct{}

func (hostileLogger) Printf(string, ...any) { panic("hostile") }

func TestPanicsOfCallbacksLoggersAndTransportsDoNotEndTheProgram(t *testing.T) {
	client, err := NewClient("http://127.0.0.1:1", WithHTTPClient(&http.Client{Transport: hostileTransport{}}),
		WithLogger(hostileLogger{}), WithCloseWait(0))
	must(t, err)
	must(t, client.Job("j").Run(testContext(t), "tile", func(ctx context.Context) error {
		_ = DefaultProgress().Done(ctx, -1)
		_ = FromContext(ctx).Flush(canceledContext())
		return nil
	}))
	soon, cancel := context.WithTimeout(testContext(t), pauseMin)
	defer cancel()
	if _, err := client.FindJob(soon, "j"); err == nil || !strings.Contains(err.Error(), "hostile") {
		t.Errorf("reading gives %v", err)
	}
	_ = client.Close()

	var nilLogger *log.Logger
	client, err = NewClient("http://127.0.0.1:1", WithLogger(nilLogger), WithCloseWait(0))
	must(t, err)
	_, execution := start(t, client.Job("j"), "tile")
	_ = execution.Done("", -1)
	_ = client.Close()

	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	logged := &recordingLogger{}
	client = newTestClient(t, sharedURL(t), WithLogger(logged))
	_, newer := start(t, client.Job(job.ID), "tile", Attempt(2))
	must(t, newer.Started(testContext(t)))
	called := make(chan struct{})
	_, zombie := start(t, client.Job(job.ID), "tile", Attempt(1), OnSuperseded(func(*Execution) {
		defer close(called)
		panic("hostile")
	}))
	awaitSuperseded(t, zombie)
	<-called
	must(t, zombie.Finish(testContext(t), Failed))
}

func canceledContext() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// brokenTransport fails every request at once.
type brokenTransport struct{}

func (brokenTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("broken")
}

func FuzzReporting(f *testing.F) {
	f.Add("tile", 1, "download", int64(1), uint8(0))
	f.Add("\x00", -1, "\xff", int64(-1<<63), uint8(255))
	f.Add(strings.Repeat("t", 201), 1<<31, strings.Repeat("l", 101), int64(1<<60), uint8(7))
	f.Fuzz(func(t *testing.T, task string, attempt int, label string, n int64, how uint8) {
		client, err := NewClient("http://127.0.0.1:1", WithHTTPClient(&http.Client{Transport: brokenTransport{}}),
			WithLogger(&recordingLogger{}), WithCloseWait(0))
		must(t, err)
		job := client.Job(label)
		if how&1 != 0 {
			job = nil
		}
		if how&2 != 0 {
			must(t, client.Close())
		}
		ctx := context.Background()
		if how&4 != 0 {
			ctx = nil
		}
		ctx, execution, err := job.StartExecution(ctx, task, Attempt(attempt))
		if err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("starting %q gives %v", task, err)
		}
		const calls = 3
		failed := int64(0)
		for i := 0; i < calls; i++ {
			for _, call := range []func(context.Context, int64, ...Note) error{Progress(label).Add, Progress(label).Done} {
				if how&8 != 0 && i == 2 {
					_ = execution.Finish(ctx, Outcome(label))
					_ = execution.Close()
				}
				switch err := call(ctx, n); {
				case errors.Is(err, ErrInvalid), errors.Is(err, ErrEnded):
					failed++
				case err != nil:
					t.Errorf("reporting %d on %q gives %v", n, label, err)
				}
			}
		}
		stats := execution.Stats()
		if stats.Taken+failed != 2*calls || stats.Refused != failed {
			t.Errorf("of %d calls %d failed, and the stats are %+v", 2*calls, failed, stats)
		}
		if created, err := client.CreateJob(canceledContext(), task, Key(label), Tag(label, task)); created == nil {
			t.Errorf("creating %q gives no job, %v", task, err)
		}
		_ = execution.Close()
		_ = client.Close()
	})
}
