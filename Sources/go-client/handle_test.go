package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// playAttached reports to the execution in the environment, and then waits to be killed.
func playAttached(client *Client) {
	handle, isThere := HandleFromEnvironment()
	if !isThere {
		panic("there is no handle in the environment")
	}
	ctx, execution, err := client.Attach(context.Background(), handle)
	if err == nil {
		err = Progress("sent").Done(ctx, 100)
	}
	if err == nil {
		err = execution.Flush(ctx)
	}
	if err == nil {
		err = Progress("unsent").Done(ctx, 1)
	}
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestReportsOfKilledProcessesOfOneExecutionCountOnce(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	ctx, execution := start(t, job, "tile", Attempt(3))
	for i := 0; i < 3; i++ {
		command := startChild(t, "attached", sharedURL(t), job, execution.Handle().Environ()...)
		must(t, command.Process.Kill())
		expectEndBy(t, command, syscall.SIGKILL)
	}
	must(t, Progress("sent").Done(ctx, 1))
	must(t, execution.Finish(ctx, Succeeded))
	expectProgress(t, job, "sent: 301/0")
	expectOneExecution(t, job, TaskSucceeded)
}

// expectOneExecution fails the test unless the job has one task, in this state, with one execution.
func expectOneExecution(t *testing.T, job *Job, state TaskState) {
	t.Helper()
	tasks := job.Tasks(testContext(t), TaskFilter{})
	if !tasks.Next() || tasks.Value().State != state || tasks.Value().ExecutionCount != 1 || tasks.Next() {
		t.Errorf("the task is %+v, %v", tasks.Value(), tasks.Err())
	}
}

func TestReportsOfAttachedProcessesAreExactWhateverHappensToRequests(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	ctx, execution := start(t, job, "tile")
	must(t, execution.Started(testContext(t)))
	proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault {
		return fault{cutAfter: before%3 == 0, cutBefore: before%3 == 1}
	})
	var group sync.WaitGroup
	for i := 0; i < 3; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			client := newTestClient(t, proxy.URL)
			ctx, attached, err := client.Attach(context.Background(), execution.Handle())
			if err != nil {
				t.Error(err)
			}
			for n := 0; n < 100; n++ {
				if err := Done(ctx, "a", 1); err != nil {
					t.Error(err)
				}
				if err := Add(ctx, "a", 2); err != nil {
					t.Error(err)
				}
				if n%40 == 0 {
					_ = attached.Flush(testContext(t))
				}
			}
			if err := attached.Close(); err != nil {
				t.Error(err)
			}
			if stats := attached.Stats(); stats.Dropped != 0 || stats.Pending != 0 || stats.Delivered != stats.Reports {
				t.Errorf("the stats are %+v", stats)
			}
		}()
	}
	group.Wait()
	must(t, Done(ctx, "a", 1))
	must(t, execution.Finish(ctx, Failed))
	expectProgress(t, job, "a: 301/600")
	expectOneExecution(t, job, TaskFailed)
}

func TestAnAttachedProcessLearnsThatTheExecutionIsSuperseded(t *testing.T) {
	client := newTestClient(t, sharedURL(t))
	job := newTestJob(t, client)
	_, first := start(t, job, "tile", Attempt(1))
	must(t, first.Started(testContext(t)))
	_, second := start(t, job, "tile", Attempt(2))
	must(t, second.Started(testContext(t)))
	ctx, attached, err := client.Attach(context.Background(), first.Handle())
	must(t, err)
	must(t, Done(ctx, "a", 1))
	must(t, attached.Flush(testContext(t)))
	select {
	case <-attached.Superseded():
	case <-testContext(t).Done():
		t.Error("it does not notice")
	}
	must(t, attached.Finish(ctx, Failed))
	expectProgress(t, job)
}

func TestAHandleSurvivesItsVariables(t *testing.T) {
	handle := Handle{Job: "01890000-0000-7000-8000-000000000000", Task: "tile", Execution: "host-1", Attempt: 7, URL: "http://h"}
	for _, name := range []string{"JOB", "TASK", "EXECUTION", "ATTEMPT", "URL"} {
		t.Setenv("PROGRESS_LEDGER_"+name, "")
	}
	if found, isThere := HandleFromEnvironment(); isThere {
		t.Errorf("without variables the handle is %+v", found)
	}
	for _, variable := range handle.Environ() {
		name, content, _ := strings.Cut(variable, "=")
		t.Setenv(name, content)
	}
	if found, isThere := HandleFromEnvironment(); !isThere || found != handle {
		t.Errorf("the handle is %+v, not %+v", found, handle)
	}
	t.Setenv("PROGRESS_LEDGER_ATTEMPT", "seventh")
	if found, isThere := HandleFromEnvironment(); !isThere || found.Attempt != 0 {
		t.Errorf("with a wrong attempt the handle is %+v", found)
	}
	text, err := json.Marshal(handle)
	must(t, err)
	var read Handle
	must(t, json.Unmarshal(text, &read))
	if read != handle {
		t.Errorf("%s is read as %+v", text, read)
	}
}

func TestInvalidHandlesReturnAUsableExecution(t *testing.T) {
	client := newTestClient(t, sharedURL(t))
	valid := Handle{Job: "01890000-0000-7000-8000-000000000000", Task: "tile", Execution: "e"}
	noTask, noName, wrongAttempt := valid, valid, valid
	noTask.Task, noName.Execution, wrongAttempt.Attempt = "", "", -1
	for _, handle := range []Handle{noTask, noName, wrongAttempt, {Task: "tile", Execution: "e"}} {
		ctx, attached, err := client.Attach(context.Background(), handle)
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v gives %v", handle, err)
		}
		must(t, Done(ctx, "a", 1))
		_ = attached.Close()
		if stats := attached.Stats(); stats.Dropped == 0 {
			t.Errorf("the stats of %+v are %+v", handle, stats)
		}
	}
	ctx, attached, err := client.Attach(nilContext, Handle{})
	must(t, err)
	must(t, Done(ctx, "a", 1))
	must(t, attached.Close())
	var none *Client
	_, attached, err = none.Attach(context.Background(), valid)
	must(t, err)
	must(t, attached.Close())
	if found := attached.Handle(); found != (Handle{}) || found.Environ() != nil {
		t.Errorf("a silent execution has the handle %+v", found)
	}
}

func TestOptionalFieldsAreNamed(t *testing.T) {
	all := event{Message: "m", Link: "l", Unit: "u", Part: "p", Carried: 1}
	if text := all.fields().String(); text != "message, link, unit, part, carried" {
		t.Errorf("the fields are %q", text)
	}
	if rest := all.without(all.fields()); !reflect.DeepEqual(rest, event{}) {
		t.Errorf("without them the event is %+v", rest)
	}
}

func TestReportsOfAnAttachedProcessStartNoExecutionOfACanceledJob(t *testing.T) {
	client := newTestClient(t, sharedURL(t))
	job := newTestJob(t, client)
	must(t, job.Finish(testContext(t), JobCanceled))
	_, refused := start(t, job, "tile", Attempt(1))
	if err := refused.Started(testContext(t)); !errors.Is(err, ErrJobCanceled) {
		t.Errorf("the start gives %v", err)
	}
	handle := Handle{Job: job.ID, Task: "tile", Execution: "e", Attempt: 1}
	ctx, attached, err := client.Attach(context.Background(), handle)
	must(t, err)
	must(t, Done(ctx, "a", 7))
	_ = attached.Finish(ctx, Succeeded)
	if stats := attached.Stats(); stats.Dropped != 1 || stats.JobEnded != JobCanceled || stats.Pending != 0 {
		t.Errorf("the stats are %+v", stats)
	}
	snapshot, err := job.Snapshot(testContext(t))
	must(t, err)
	if snapshot.State != JobCanceled || len(snapshot.Progress) != 0 {
		t.Errorf("the job is %+v", snapshot)
	}
}

func TestAnAttachedProcessThatHasReportedGoesOnAfterTheJobIsCanceled(t *testing.T) {
	client := newTestClient(t, sharedURL(t))
	job := newTestJob(t, client)
	_, execution := start(t, job, "tile", Attempt(1))
	must(t, execution.Started(testContext(t)))
	ctx, attached, err := client.Attach(context.Background(), execution.Handle())
	must(t, err)
	must(t, Done(ctx, "a", 1))
	must(t, attached.Flush(testContext(t)))
	must(t, job.Finish(testContext(t), JobCanceled))
	must(t, Done(ctx, "a", 2))
	must(t, attached.Finish(ctx, Succeeded))
	expectProgress(t, job, "a: 3/0")
}

// refusedFieldsOf returns the refusal of a ledger that names these pointers.
func refusedFieldsOf(pointers ...string) *Problem {
	problem := &Problem{Status: http.StatusUnprocessableEntity}
	for _, pointer := range pointers {
		problem.Errors = append(problem.Errors, FieldProblem{Pointer: pointer})
	}
	return problem
}

// attachedDelivery returns a delivery whose first batch contains these events.
func attachedDelivery(known fieldSet, isResent bool, events ...event) *delivery {
	d := &delivery{support: &fieldSupport{}, batchSizeMax: batchSizeDefault}
	d.attach(identity{task: "tile", execution: "e", part: "p"})
	d.support.record(known)
	d.batches = []batch{newBatch(events, 1)}
	d.batches[0].isResent = isResent
	return d
}

func TestDuringAnUpgradePartsAreNumberedAnewOnlyIfNothingCanBeRecorded(t *testing.T) {
	report := event{Type: "progress", Report: 1, Part: "p", Done: 1}
	for _, known := range []fieldSet{0, partField} {
		d := attachedDelivery(known, false, report)
		refusal := refusedFieldsOf("/0/part")
		if d.isPartUncertain(refusal) {
			t.Error("the outcome of a batch that was sent once is known")
		}
		if lost := d.rejected(refusal, 1); lost != 0 || d.counts.Dropped != 0 {
			t.Errorf("%d reports are lost: %+v", lost, d.counts)
		}
		if found := d.batches[0].events[0]; found.Part != "" || found.Report < 1<<52 {
			t.Errorf("the report is sent as %+v", found)
		}
		if again := attachedDelivery(known, true, report); !again.isPartUncertain(refusal) {
			t.Error("a batch that may be recorded is sent with another number")
		}
	}
}

func TestARefusedContentDoesNotMakeItsFieldUnknown(t *testing.T) {
	d := attachedDelivery(0, true, event{Type: "progress", Link: "https://a"}, event{Type: "progress", Link: "https://b"})
	if lost := d.rejected(refusedFieldsOf("/0/link"), 2); lost != 0 {
		t.Errorf("%d reports are lost", lost)
	}
	events := d.batches[0].events
	if events[0].Link != "" || events[1].Link != "https://b" || d.support.lacks() != 0 || d.counts.Dropped != 1 {
		t.Errorf("the events are %+v, and the statistics %+v", events, d.counts)
	}
	if !d.batches[0].isResent {
		t.Error("a batch that was sent before is taken for a new one")
	}
	if d.rejected(refusedFieldsOf("/1/link"), 2); d.support.lacks() != linkField {
		t.Errorf("the ledger lacks %v", d.support.lacks())
	}
}
