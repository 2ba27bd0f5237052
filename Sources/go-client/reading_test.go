package ledger

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// newSupersededJob returns a job with a task started twice, and 4 units wasted.
func newSupersededJob(t *testing.T) (*Client, *Job) {
	t.Helper()
	client := newTestClient(t, sharedURL(t))
	job := newTestJob(t, client)
	ctx, first := start(t, job, "tile", Attempt(1))
	must(t, Progress("a").Add(ctx, 10))
	must(t, Progress("a").Done(ctx, 4))
	must(t, first.Finish(ctx, Failed))
	ctx, second := start(t, job, "tile", Attempt(2))
	must(t, Progress("a").Add(ctx, 10))
	must(t, Progress("a").Done(ctx, 1))
	must(t, DefaultProgress().Add(ctx, 0))
	must(t, second.Finish(ctx, Succeeded))
	expectProgress(t, job, "a: 1/10", "(default): 0/0")
	return client, job
}

func TestEveryNumberIsExplained(t *testing.T) {
	_, job := newSupersededJob(t)
	explanation, err := job.Explain(testContext(t), "a")
	must(t, err)
	whole := explanation.Conservation
	if fmt.Sprint(whole.Received.Done, whole.Counted.Done, whole.Superseded.Done, whole.Discarded.Done, whole.Attempted.Done) != "5 1 4 0 5" {
		t.Errorf("the whole is %+v", whole)
	}
	executions := explanation.Tasks[0].Executions
	if explanation.Tasks[0].Task != "tile" || len(executions) != 2 || executions[0].SupersededBy == nil ||
		executions[0].SupersededBy.Attempt != 2 || executions[1].SupersededBy != nil {
		t.Errorf("the executions are %+v", executions)
	}
	if _, err := job.Explain(testContext(t), "never named"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a label without events gives %v", err)
	}
	if _, err := job.Explain(testContext(t), ""); err != nil {
		t.Errorf("the default indicator gives %v", err)
	}
}

func TestSilentExecutionsAreCountedAndListed(t *testing.T) {
	client := newTestClient(t, sharedURL(t))
	job, err := client.CreateJob(testContext(t), "silent", Tag("ledger.lease", "1"))
	must(t, err)
	ctx, lost := start(t, job, "lost")
	must(t, Progress("a").Add(ctx, 10))
	must(t, lost.Flush(testContext(t)))
	for {
		snapshot, err := job.Snapshot(testContext(t), nil)
		must(t, err)
		if snapshot.Tasks.Silent == 1 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	tasks := job.Tasks(testContext(t), TaskFilter{OnlySilent: true})
	if !tasks.Next() || tasks.Value().Task != "lost" || tasks.Value().Executions[0].SilentSince.IsZero() || tasks.Next() {
		t.Errorf("the silent task is %+v, %v", tasks.Value(), tasks.Err())
	}
	must(t, lost.Finish(testContext(t), Succeeded))
	if tasks := job.Tasks(testContext(t), TaskFilter{OnlySilent: true}); tasks.Next() {
		t.Errorf("a task that has ended is silent: %+v", tasks.Value())
	}
}

func TestADecreaseHasItsCause(t *testing.T) {
	_, job := newSupersededJob(t)
	history, err := job.History(testContext(t), "a", 0)
	must(t, err)
	var cause *HistoryCause
	for _, point := range history.Points {
		if point.Cause != nil {
			cause = point.Cause
		}
	}
	if cause == nil || cause.Task != "tile" || cause.Attempt != 2 || cause.Superseded.Attempt != 1 ||
		cause.Lost.Done.Compare(UnitsOf(4)) != 0 {
		t.Errorf("the cause is %+v", cause)
	}
	last := history.Points[len(history.Points)-1]
	if last.Done.String() != "1" || last.Total.String() != "10" || last.At.IsZero() {
		t.Errorf("the last point is %+v", last)
	}
}

func TestEventsArePagedAndFiltered(t *testing.T) {
	_, job := newSupersededJob(t)
	counts := map[Verdict]int{}
	sequence := int64(0)
	events := job.Events(testContext(t), EventFilter{})
	for events.Next() {
		sequence++
		event := events.Value()
		counts[event.Verdict]++
		if event.Sequence != sequence || event.Hash == "" || event.RecordedAt.IsZero() {
			t.Errorf("event %d is %+v", sequence, event)
		}
	}
	must(t, events.Err())
	if counts[VerdictSuperseded] != 3 || counts[VerdictCounted] != int(sequence)-3 {
		t.Errorf("the verdicts are %v", counts)
	}
	newest := job.Events(testContext(t), EventFilter{Descending: true, Type: "progress", DefaultIndicator: true})
	if !newest.Next() || newest.Value().Label != "" || newest.Value().Task != "tile" || newest.Next() {
		t.Errorf("filtered, the history is %+v, %v", newest.Value(), newest.Err())
	}
	after := job.Events(testContext(t), EventFilter{After: sequence - 1})
	if !after.Next() || after.Value().Sequence != sequence || after.Next() {
		t.Errorf("after %d comes %+v, %v", sequence-1, after.Value(), after.Err())
	}
}

func TestTasksShowTheirExecutions(t *testing.T) {
	_, job := newSupersededJob(t)
	tasks := job.Tasks(testContext(t), TaskFilter{State: TaskSucceeded})
	if !tasks.Next() {
		t.Fatal(tasks.Err())
	}
	task := tasks.Value()
	if task.Task != "tile" || len(task.Executions) != 2 || task.Executions[0].IsCounted || !task.Executions[1].IsCounted ||
		task.Executions[1].Progress[0].Done.String() != "1" || task.Executions[0].Outcome != Failed {
		t.Errorf("the task is %+v", task)
	}
	if failed := job.Tasks(testContext(t), TaskFilter{State: TaskFailed}); failed.Next() || failed.Err() != nil {
		t.Errorf("a failed task is listed: %+v, %v", failed.Value(), failed.Err())
	}
}

func TestSnapshotsOfThePastAndByOtherPolicies(t *testing.T) {
	_, job := newSupersededJob(t)
	created, err := job.Snapshot(testContext(t), AtSequence(1))
	must(t, err)
	if created.Sequence != 1 || len(created.Progress) != 0 || created.Name != "test "+t.Name() {
		t.Errorf("at first it was %+v", created)
	}
	attempted, err := job.Snapshot(testContext(t), ByPolicy(All))
	must(t, err)
	if len(attempted.Progress) == 0 || attempted.Progress[0].String() != "a: 5/20" {
		t.Errorf("attempted was %v", attempted.Progress)
	}
	if _, err := job.Snapshot(testContext(t), AtSequence(1_000_000)); !errors.Is(err, ErrInvalid) {
		t.Errorf("the future gives %v", err)
	}
}

func TestJobsAreFoundAndListed(t *testing.T) {
	client := newTestClient(t, sharedURL(t))
	tag := fmt.Sprint(time.Now().UnixNano())
	var newest *Job
	// More than one page.
	for i := 0; i <= pageSize; i++ {
		var err error
		newest, err = client.CreateJob(testContext(t), "listed", Tag("run", tag))
		must(t, err)
	}
	must(t, newest.Finish(testContext(t), JobFailed))
	settledSnapshot(t, newest)
	count := 0
	jobs := client.ListJobs(testContext(t), JobFilter{Name: "listed", Tags: map[string]string{"run": tag}})
	for jobs.Next() {
		if count == 0 && (jobs.Value().ID != newest.ID || jobs.Value().Found == nil) {
			t.Errorf("the first is %+v", jobs.Value())
		}
		count++
	}
	must(t, jobs.Err())
	if count != pageSize+1 {
		t.Errorf("%d jobs are listed", count)
	}
	failed := client.ListJobs(testContext(t), JobFilter{State: JobFailed, Tags: map[string]string{"run": tag}})
	if !failed.Next() || failed.Value().ID != newest.ID || failed.Next() {
		t.Errorf("the failed one is not found: %v", failed.Err())
	}
	found, err := client.FindJob(testContext(t), newest.ID)
	must(t, err)
	if found.Name != "listed" || found.Tags["run"] != tag || found.Found.State != JobFailed || len(found.Progress()) != 0 {
		t.Errorf("found is %+v", found)
	}
	if _, err := client.FindJob(testContext(t), "0190b2c4-0000-7000-8000-000000000000"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown job gives %v", err)
	}
	if _, err := client.FindJobByKey(testContext(t), "unknown"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown key gives %v", err)
	}
	if _, err := client.FindJob(testContext(t), "a job/with?signs"); err == nil {
		t.Error("an ID that is none finds something")
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := client.FindJob(canceled, newest.ID); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled context gives %v", err)
	}
}
