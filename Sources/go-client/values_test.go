package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// silentClient returns a client without a URL, independent of the environment.
func silentClient(t testing.TB) *Client {
	t.Helper()
	t.Setenv("PROGRESS_LEDGER_URL", "")
	return newTestClient(t, "")
}

func TestInvalidValuesAreRefusedByTheCall(t *testing.T) {
	long := strings.Repeat("é", LabelScalarsMax)
	cases := []struct {
		name, label string
		n           int64
		field       string
	}{
		{name: "zero", label: "a", n: 0},
		{name: "the largest", label: "a", n: IncrementMax},
		{name: "beyond the largest", label: "a", n: IncrementMax + 1, field: "done"},
		{name: "negative", label: "a", n: -1, field: "done"},
		{name: "the longest label", label: long, n: 1},
		{name: "a label too long", label: long + "é", n: 1, field: "label"},
		{name: "a label that is not UTF-8", label: "\xff", n: 1, field: "label"},
		{name: "a label with a lone surrogate", label: "\xed\xa0\x80", n: 1, field: "label"},
		{name: "a label with NUL", label: "a\x00b", n: 1, field: "label"},
	}
	_, silent, err := silentClient(t).Job("").StartExecution(context.Background(), "tile")
	must(t, err)
	contexts := map[string]context.Context{
		"without an execution":       context.Background(),
		"with one of a silent job":   NewContext(context.Background(), silent),
		"with one that is recording": nil,
	}
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	recording, execution := start(t, job, "tile")
	contexts["with one that is recording"] = recording
	for kind, ctx := range contexts {
		for _, c := range cases {
			err := Progress(c.label).Done(ctx, c.n)
			var invalid *InvalidError
			switch {
			case c.field == "" && err != nil:
				t.Errorf("%s %s: %v", c.name, kind, err)
			case c.field != "" && (!errors.As(err, &invalid) || invalid.Field != c.field || !errors.Is(err, ErrInvalid)):
				t.Errorf("%s %s gives %v", c.name, kind, err)
			}
		}
		if err := Progress("a").Add(ctx, -1); !errors.Is(err, ErrInvalid) {
			t.Errorf("a negative total %s gives %v", kind, err)
		}
	}
	must(t, execution.Finish(testContext(t), Succeeded))
	// Refused reports leave no trace, and the server accepts all others.
	expectProgress(t, job, fmt.Sprintf("a: %d/0", int64(IncrementMax)), long+": 1/0")
	if stats := execution.Stats(); stats.Refused != 7 || stats.Taken != 3 || stats.Dropped != 7 ||
		stats.Invalid != stats.Refused || stats.Calls != stats.Taken {
		t.Errorf("the stats are %+v", stats)
	}
}

func TestOnlyTheFirstThousandLabelsAreReported(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	ctx, execution := start(t, job, "tile")
	must(t, DefaultProgress().Done(ctx, 1))
	for i := 1; i < LabelsMax; i++ {
		must(t, Progress(fmt.Sprint("label ", i)).Done(ctx, 1))
	}
	if err := Progress("one more").Done(ctx, 1); !errors.Is(err, ErrInvalid) {
		t.Errorf("label 1,001 gives %v", err)
	}
	must(t, Progress("label 7").Done(ctx, 1))
	must(t, execution.Finish(ctx, Succeeded))
	if snapshot := settledSnapshot(t, job); len(snapshot.Progress) != LabelsMax {
		t.Errorf("there are %d indicators", len(snapshot.Progress))
	}
	// The start and the end are events too.
	if stats := execution.Stats(); stats.Delivered != LabelsMax+2 || stats.Discarded != 0 {
		t.Errorf("the stats are %+v", stats)
	}
}

func TestInvalidStartsReturnAUsableExecution(t *testing.T) {
	job := newTestClient(t, sharedURL(t)).Job("whatever")
	cases := map[string]func() (context.Context, *Execution, error){
		"no task": func() (context.Context, *Execution, error) { return job.StartExecution(testContext(t), "") },
		"a task too long": func() (context.Context, *Execution, error) {
			return job.StartExecution(testContext(t), strings.Repeat("t", 201))
		},
		"attempt 0": func() (context.Context, *Execution, error) {
			return job.StartExecution(testContext(t), "tile", Attempt(0))
		},
		"an attempt too high": func() (context.Context, *Execution, error) {
			return job.StartExecution(testContext(t), "tile", Attempt(AttemptMax+1))
		},
	}
	for name, call := range cases {
		ctx, execution, err := call()
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s gives %v", name, err)
		}
		// A caller that ignores the error can continue.
		must(t, DefaultProgress().Done(ctx, 1))
		must(t, execution.Flush(ctx))
		must(t, execution.Close())
	}
}

func TestWithoutAURLEverythingIsSilent(t *testing.T) {
	for name, client := range map[string]*Client{"no URL": silentClient(t), "nil": nil} {
		if !client.IsSilent() {
			t.Errorf("%s: it is not silent", name)
		}
		job, err := client.CreateJob(context.Background(), "mosaic", Key("k"))
		must(t, err)
		err = job.Run(context.Background(), "tile", func(ctx context.Context) error {
			must(t, Progress("download").Add(ctx, 10))
			must(t, FromContext(ctx).Flush(ctx))
			must(t, FromContext(ctx).Started(ctx))
			return DefaultProgress().Done(ctx, 1)
		}, Attempt(1))
		must(t, err)
		must(t, job.Finish(context.Background(), JobCompleted))
		if _, err := job.Snapshot(context.Background()); !errors.Is(err, ErrNotConfigured) {
			t.Errorf("%s: reading gives %v", name, err)
		}
		if _, err := job.Wait(context.Background()); !errors.Is(err, ErrNotConfigured) {
			t.Errorf("%s: waiting gives %v", name, err)
		}
		jobs := client.ListJobs(context.Background(), JobFilter{})
		if jobs.Next() || !errors.Is(jobs.Err(), ErrNotConfigured) {
			t.Errorf("%s: listing gives %v", name, jobs.Err())
		}
		client.FlushOnSignal()()
		must(t, client.Flush(context.Background()))
		must(t, client.Close())
	}
	var job *Job
	ctx, execution, err := job.StartExecution(context.Background(), "tile")
	must(t, err)
	must(t, DefaultProgress().Done(ctx, 1))
	must(t, execution.Finish(ctx, Succeeded))
	var none *Execution
	must(t, none.Done("", 1))
	must(t, none.Close())
	if none.Name() != "" || none.Superseded() != nil || none.Stats() != (Stats{}) {
		t.Error("a nil execution is something")
	}
}

func TestAClosedClientReportsNothing(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	client := newTestClient(t, sharedURL(t))
	ctx, open := start(t, client.Job(job.ID), "open")
	must(t, DefaultProgress().Done(ctx, 1))
	must(t, client.Close())
	must(t, client.Close())
	expectProgress(t, job, "(default): 1/0")
	must(t, DefaultProgress().Done(ctx, 1))
	if stats := open.Stats(); stats.Dropped != 1 || stats.Delivered != 2 {
		t.Errorf("the stats are %+v", stats)
	}
	later, execution := start(t, client.Job(job.ID), "later")
	must(t, DefaultProgress().Done(later, 1))
	if err := execution.Finish(later, Succeeded); !errors.Is(err, ErrUndelivered) {
		t.Errorf("finishing gives %v", err)
	}
	// The start, the report and the end are dropped.
	if stats := execution.Stats(); stats.Dropped != 3 || stats.Pending != 0 {
		t.Errorf("the stats are %+v", stats)
	}
	expectProgress(t, job, "(default): 1/0")
}

func TestAnInvalidConfigurationNamesTheSetting(t *testing.T) {
	for _, url := range []string{"localhost:8080", "ftp://host", "http://", "http://host/?a=b", "http://ho st"} {
		if _, err := NewClient(url); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q gives %v", url, err)
		}
	}
	t.Setenv("PROGRESS_LEDGER_URL", "nonsense")
	if _, err := NewClient(""); err == nil || !strings.Contains(err.Error(), "PROGRESS_LEDGER_URL") {
		t.Errorf("a wrong variable gives %v", err)
	}
	t.Setenv("PROGRESS_LEDGER_URL", "http://user:secret@host/base/")
	client, err := NewClient("")
	must(t, err)
	if strings.Contains(client.address, "secret") || !strings.HasSuffix(client.url, "host/base") {
		t.Errorf("the address is %q, the URL %q", client.address, client.url)
	}
	for name, option := range map[string]ClientOption{
		"token": WithToken("a\nb"), "http": WithHTTPClient(nil), "logger": WithLogger(nil), "interval": WithInterval(2 * intervalMax),
		"wait": WithCloseWait(-1), "look": WithLookInterval(0),
	} {
		if _, err := NewClient("http://host", option); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

func TestInvalidJobsAreRefusedByTheCall(t *testing.T) {
	client := silentClient(t)
	many := make([]CreateOption, 51)
	for i := range many {
		many[i] = Tag(fmt.Sprint(i), "")
	}
	for name, options := range map[string][]CreateOption{
		"an empty key": {Key("")}, "a long key": {Key(strings.Repeat("k", 201))}, "an empty tag": {Tag("", "v")},
		"a long tag": {Tag("k", strings.Repeat("v", 201))}, "too many tags": many,
	} {
		if _, err := client.CreateJob(context.Background(), "job", options...); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s gives %v", name, err)
		}
	}
	if _, err := client.CreateJob(context.Background(), ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("no name gives %v", err)
	}
}

func TestTheAttemptOfTheEnvironmentIsRecorded(t *testing.T) {
	t.Setenv("PROGRESS_LEDGER_ATTEMPT", "6")
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	_, execution := start(t, job, "tile", AttemptFromEnvironment())
	must(t, execution.Started(testContext(t)))
	if execution.Stats().Attempt != 6 {
		t.Errorf("the attempt is %d", execution.Stats().Attempt)
	}
	t.Setenv("PROGRESS_LEDGER_ATTEMPT", "six")
	logged := &recordingLogger{}
	_, execution = start(t, newTestClient(t, sharedURL(t), WithLogger(logged)).Job(job.ID), "tile", AttemptFromEnvironment())
	must(t, execution.Started(testContext(t)))
	if execution.Stats().Attempt != 7 || len(logged.all()) != 1 || !strings.Contains(logged.all()[0], "six") {
		t.Errorf("the attempt is %d, and logged was %q", execution.Stats().Attempt, logged.all())
	}
}
