package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// awaitSuperseded waits until the execution has noticed that it is superseded.
func awaitSuperseded(t *testing.T, execution *Execution) {
	t.Helper()
	select {
	case <-execution.Superseded():
	case <-time.After(testTimeout):
		t.Fatal("it does not notice that it is superseded")
	}
	if !execution.Stats().IsSuperseded {
		t.Error("the stats do not show that it is superseded")
	}
}

func TestAZombieNoticesByItsStart(t *testing.T) {
	client := newTestClient(t, sharedURL(t))
	job := newTestJob(t, client)
	_, newer := start(t, job, "tile", Attempt(2))
	must(t, newer.Started(testContext(t)))
	ctx, zombie := start(t, job, "tile", Attempt(1))
	if err := zombie.Started(ctx); !errors.Is(err, ErrSuperseded) {
		t.Errorf("its start gives %v", err)
	}
	awaitSuperseded(t, zombie)
	must(t, DefaultProgress().Done(ctx, 5))
	must(t, zombie.Finish(ctx, Failed))
	must(t, newer.Finish(ctx, Succeeded))
	expectProgress(t, job)
	if err := newer.Started(ctx); err != nil {
		t.Errorf("the start of the newer one gives %v", err)
	}
}

func TestASupersededExecutionNoticesByItsReports(t *testing.T) {
	// Reads of the events are refused, so that only the verdicts remain.
	proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault {
		if kind == "GET /events" {
			return problem(http.StatusGone, "Retired")
		}
		return fault{}
	})
	client := newTestClient(t, proxy.URL, WithLookInterval(checkIntervalMin), WithInterval(10*time.Millisecond))
	job := newTestJob(t, client)
	called := make(chan *Execution, 2)
	ctx, zombie := start(t, job, "tile", OnSuperseded(func(e *Execution) { called <- e }), CancelWhenSuperseded())
	must(t, zombie.Started(ctx))
	must(t, DefaultProgress().Done(ctx, 1))
	must(t, zombie.Flush(ctx))
	if ctx.Err() != nil || zombie.Stats().IsSuperseded {
		t.Fatal("it is superseded before there is another one")
	}
	_, newer := start(t, job, "tile")
	must(t, newer.Started(testContext(t)))
	stop := time.After(testTimeout)
	for ctx.Err() == nil {
		must(t, DefaultProgress().Done(ctx, 1))
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		case <-stop:
			t.Fatal("its context is not canceled")
		}
	}
	awaitSuperseded(t, zombie)
	if <-called != zombie {
		t.Error("the callback was given another execution")
	}
	must(t, zombie.Close())
	must(t, newer.Finish(testContext(t), Succeeded))
	if len(called) > 0 {
		t.Error("the callback was called twice")
	}
	if snapshot := settledSnapshot(t, job); len(snapshot.Progress) != 0 {
		t.Errorf("the zombie's units count: %v", snapshot.Progress)
	}
	tasks := job.Tasks(testContext(t), TaskFilter{})
	if !tasks.Next() || tasks.Value().Executions[0].Outcome != Canceled && tasks.Value().Executions[1].Outcome != Canceled {
		t.Errorf("a zombie whose context was canceled is not canceled: %+v", tasks.Value())
	}
}

func TestASupersededExecutionWithoutReportsNotices(t *testing.T) {
	client := newTestClient(t, sharedURL(t), WithLookInterval(checkIntervalMin))
	job := newTestJob(t, client)
	_, zombie := start(t, job, "tile")
	must(t, zombie.Started(testContext(t)))
	_, newer := start(t, job, "tile")
	must(t, newer.Started(testContext(t)))
	awaitSuperseded(t, zombie)
	select {
	case <-newer.Superseded():
		t.Error("the newer execution is marked as superseded")
	default:
	}
}

func TestASecondStartOfATaskIsAnotherExecutionAndCountsInFull(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	logged := &recordingLogger{}
	ctx, first := start(t, newTestClient(t, sharedURL(t), WithLogger(logged), WithLookInterval(checkIntervalMin)).Job(job.ID),
		"tile", Attempt(1))
	must(t, DefaultProgress().Done(ctx, 1))
	must(t, first.Flush(ctx))
	// A second process does the same, with the same attempt.
	later, second := start(t, newTestClient(t, sharedURL(t)).Job(job.ID), "tile", Attempt(1))
	must(t, DefaultProgress().Done(later, 10))
	must(t, second.Flush(later))
	awaitSuperseded(t, first)
	must(t, DefaultProgress().Done(ctx, 1))
	must(t, first.Finish(ctx, Succeeded))
	must(t, second.Finish(later, Succeeded))
	expectProgress(t, job, "(default): 10/0")
	if first.Name() == second.Name() {
		t.Error("two executions have the same name")
	}
	if lines := logged.all(); len(lines) != 1 || !strings.Contains(lines[0], "is superseded: a newer execution counts") {
		t.Errorf("logged was %q", lines)
	}
}

func TestReportsThatCollideWithAnotherReporterAreCountedAndLogged(t *testing.T) {
	for _, verdict := range []Verdict{VerdictDuplicate, VerdictConflict, VerdictOverLimit} {
		verdict := verdict
		t.Run(string(verdict), func(t *testing.T) {
			t.Parallel()
			body := fmt.Sprintf(`{"first_sequence": 3, "last_sequence": 3, "verdicts": [%q]}`, verdict)
			proxy := newFaultProxy(t, "", func(kind string, before int) fault {
				f := fault{status: http.StatusCreated, mediaType: "application/json", body: body}
				if kind == "POST /executions" {
					f.body = `{"attempt": 1, "sequence": 2}`
				}
				return f
			})
			logged := &recordingLogger{}
			client := newTestClient(t, proxy.URL, WithLogger(logged))
			ctx, execution := start(t, client.Job("j"), "tile")
			must(t, execution.Started(ctx))
			execution.mu.Lock()
			execution.delivery.checkAt = time.Now()
			execution.mu.Unlock()
			must(t, DefaultProgress().Done(ctx, 1))
			must(t, execution.Flush(ctx))
			if stats := execution.Stats(); stats.Discarded != 1 {
				t.Errorf("the stats are %+v", stats)
			}
			if lines := logged.all(); len(lines) != 1 || !strings.Contains(lines[0], string(verdict)) {
				t.Errorf("logged was %q", lines)
			}
		})
	}
	// A duplicate after a lost response is expected.
	d := newDelivery(time.Now())
	_, err := d.report("a", 0, 1, time.Now)
	must(t, err)
	d.flush()
	expectStep(t, d, time.Now(), stepSend)
	d.requestFailed(errors.New("lost"), time.Now(), 0, 0)
	if _, collision := d.accepted([]Verdict{VerdictDuplicate}, time.Now(), true); collision != "" || d.counts.Discarded != 0 {
		t.Errorf("a repeated report clashes: %s, %+v", collision, d.counts)
	}
}

func TestAResubmissionWithATooLowAttemptIsLogged(t *testing.T) {
	logged := &recordingLogger{}
	client := newTestClient(t, sharedURL(t), WithLogger(logged))
	job := newTestJob(t, client)
	// The first submission was tried three times. The second one starts to count again.
	t.Setenv("AIRFLOW_CTX_TASK_ID", "load")
	t.Setenv("AIRFLOW_CTX_TRY_NUMBER", "3")
	_, before := start(t, job, "tile", AttemptFromEnvironment())
	must(t, before.Finish(testContext(t), Failed))
	t.Setenv("AIRFLOW_CTX_TRY_NUMBER", "1")
	ctx, again := start(t, job, "tile", AttemptFromEnvironment())
	if err := again.Started(ctx); !errors.Is(err, ErrSuperseded) {
		t.Errorf("its start gives %v", err)
	}
	if lines := logged.all(); len(lines) != 1 || !strings.Contains(lines[0], "attempt 1 from Airflow") ||
		!strings.Contains(lines[0], "superseded from its start by attempt 3") {
		t.Errorf("logged was %q", lines)
	}
}

func TestOfATaskThatJobsOfASchedulerTakeTheLaterDeliveryCounts(t *testing.T) {
	for _, variables := range []struct{ job, count string }{
		{"SLURM_JOB_ID", "SLURM_RESTART_COUNT"}, {"AWS_BATCH_JOB_ID", "AWS_BATCH_JOB_ATTEMPT"},
		{"JOB_COMPLETION_INDEX", "JOB_INDEX_FAILURE_COUNT"},
	} {
		t.Run(variables.job, func(t *testing.T) {
			job := newTestJob(t, newTestClient(t, sharedURL(t)))
			// A worker of a queue fails, one in a restarted job too, and one in a job that runs since long succeeds.
			for index, worker := range []struct{ job, count string }{{"5001", "1"}, {"5002", "5"}, {"5001", "1"}} {
				t.Setenv(variables.job, worker.job)
				t.Setenv(variables.count, worker.count)
				ctx, execution := start(t, job, "tile", AttemptFromEnvironment())
				must(t, execution.Started(ctx))
				if attempt := execution.Stats().Attempt; attempt != index+1 {
					t.Errorf("the attempt of delivery %d is %d", index+1, attempt)
				}
				must(t, execution.Finish(ctx, Failed))
			}
		})
	}
}

func TestOfATaskThatAVariableNamesALaterSubmissionToSlurmSupersedesAllRestartsOfEarlierOnes(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	t.Setenv("PROGRESS_LEDGER_TASK", "tile")
	for _, submission := range []struct {
		id, restarts string
		attempt      int
	}{{"77", "2", 77*32 + 2}, {"78", "0", 78 * 32}} {
		t.Setenv("SLURM_JOB_ID", submission.id)
		t.Setenv("SLURM_RESTART_COUNT", submission.restarts)
		found, _ := EngineTaskFromEnvironment()
		ctx, execution := start(t, job, found.Task, Attempt(found.Attempt))
		must(t, execution.Started(ctx))
		if attempt := execution.Stats().Attempt; attempt != submission.attempt {
			t.Errorf("the attempt is %d", attempt)
		}
		must(t, execution.Finish(ctx, Failed))
	}
}

func TestAStartThatTheLedgerHasLostIsRecordedAgain(t *testing.T) {
	responses := map[string]string{
		"there is no event": `{"events": []}`,
		"there is another execution's event": `{"events": [{"sequence": %d, "task": "tile", "execution": "other",
			"type": "execution_started", "verdict": "superseded"}]}`,
	}
	for name, body := range responses {
		body := body
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := newTestJob(t, newTestClient(t, sharedURL(t)))
			sequence := make(chan int64, 1)
			proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault {
				if kind == "GET /events" && before == 0 {
					text := strings.Replace(body, "%d", fmt.Sprint(<-sequence), 1)
					return fault{status: 200, mediaType: "application/json", body: text}
				}
				return fault{}
			})
			client := newTestClient(t, proxy.URL, WithLookInterval(checkIntervalMin))
			ctx, execution := start(t, client.Job(job.ID), "tile")
			must(t, execution.Started(ctx))
			execution.mu.Lock()
			sequence <- execution.delivery.startSequence
			execution.mu.Unlock()
			proxy.await(t, "GET /events")
			proxy.await(t, "POST /executions")
			must(t, execution.Started(ctx))
			if execution.Stats().IsSuperseded {
				t.Error("the only execution is marked as superseded")
			}
			must(t, execution.Finish(ctx, Succeeded))
		})
	}
}

func TestACheckDoesNotSupersedeItsOwnExecution(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	proxy := newFaultProxy(t, sharedURL(t), nil)
	_, execution := start(t, newTestClient(t, proxy.URL, WithLookInterval(checkIntervalMin)).Job(job.ID), "tile")
	// At the second check, the result of the first one has been processed.
	proxy.await(t, "GET /events")
	proxy.await(t, "GET /events")
	if execution.Stats().IsSuperseded {
		t.Error("the only execution is marked as superseded")
	}
	must(t, execution.Finish(testContext(t), Succeeded))
}

func TestExecutionsOfATaskStartInTheOrderOfTheCalls(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	release := make(chan struct{})
	proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault {
		if kind == "POST /executions" && before == 0 {
			return fault{hold: release}
		}
		return fault{}
	})
	client := newTestClient(t, proxy.URL)
	ctx, first := start(t, client.Job(job.ID), "tile")
	must(t, DefaultProgress().Done(ctx, 1))
	proxy.await(t, "POST /executions")
	later, second := start(t, client.Job(job.ID), "tile")
	must(t, DefaultProgress().Done(later, 10))
	// Another task is not delayed. When it has started, the second execution would have started too.
	_, other := start(t, client.Job(job.ID), "other")
	must(t, other.Started(ctx))
	if second.Stats().Requests != 0 {
		t.Error("the second start has overtaken the first")
	}
	close(release)
	must(t, second.Finish(ctx, Succeeded))
	must(t, first.Close())
	must(t, other.Close())
	expectProgress(t, job, "(default): 10/0")
	if second.Stats().Attempt != 2 {
		t.Errorf("the second has attempt %d", second.Stats().Attempt)
	}
}

func TestASuccessorStartsWhenItsPredecessorGivesUp(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	release := make(chan struct{})
	defer close(release)
	proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault {
		if before == 0 {
			return fault{hold: release, cutBefore: true}
		}
		return fault{}
	})
	client := newTestClient(t, proxy.URL)
	_, first := start(t, client.Job(job.ID), "tile")
	proxy.await(t, "POST /executions")
	_, second := start(t, client.Job(job.ID), "tile")
	first.abandon()
	must(t, second.Started(testContext(t)))
	if err := first.Started(context.Background()); !errors.Is(err, ErrUndelivered) {
		t.Errorf("the start that was given up gives %v", err)
	}
}
