package ledger

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Ends of programs, with everything that waits: executions, the job and the client.

// unresponsiveServer accepts connections and never responds.
func unresponsiveServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return "http://" + listener.Addr().String()
}

// absentServer returns a URL that refuses connections.
func absentServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, listener.Close())
	return "http://" + listener.Addr().String()
}

func TestTheEndOfAProgramWaitsOnceAndLogsOneLineInAnOutage(t *testing.T) {
	for name, url := range map[string]string{"hangs": unresponsiveServer(t), "refuses": absentServer(t)} {
		name, url := name, url
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logged := &recordingLogger{}
			client, err := NewClient(url, WithLogger(logged))
			must(t, err)
			job := client.Job("0190b2c4-0000-7000-8000-000000000000")
			began := time.Now()
			for _, task := range []string{"one", "two", "three"} {
				must(t, job.Run(testContext(t), task, func(ctx context.Context) error { return DefaultProgress().Done(ctx, 1) }))
			}
			if err := job.Finish(testContext(t), JobCompleted); !errors.Is(err, ErrUnavailable) {
				t.Errorf("the end of the job gives %v", err)
			}
			if err := client.Close(); !errors.Is(err, ErrUndelivered) {
				t.Errorf("closing gives %v", err)
			}
			// The close wait is 5 s. The rest is for a busy machine.
			if waited := time.Since(began); waited > closeWaitDefault+2*time.Second {
				t.Errorf("the end took %v", waited)
			}
			if lines := logged.all(); len(lines) != 1 {
				t.Errorf("logged was %q", lines)
			}
		})
	}
}

func TestALossLongAfterTheStartOfTheOutageIsLogged(t *testing.T) {
	logged := &recordingLogger{}
	now := time.Now()
	h := &health{logger: logged, now: func() time.Time { return now }}
	h.recordFailure("ledger", errors.New("away"))
	h.logLoss("ledger", 3, errors.New("away"))
	if lines := logged.all(); len(lines) != 1 {
		t.Errorf("logged was %q", lines)
	}
	now = now.Add(logPauseMin)
	h.logLoss("ledger", 3, errors.New("away"))
	h.logLoss("ledger", 4, nil)
	if lines := logged.all(); len(lines) != 2 || !strings.Contains(lines[1], "3 reports were given up") {
		t.Errorf("logged was %q", lines)
	}
}

func TestATimedOutWaitWithResponsesStartsNoOutage(t *testing.T) {
	logged := &recordingLogger{}
	now := time.Now()
	h := &health{logger: logged, now: func() time.Time { return now }}
	began := now
	now = now.Add(time.Second)
	h.recordSuccess("ledger")
	h.recordTimeout("ledger", began, 5*time.Second)
	if left := h.remainingWait(5 * time.Second); left != 5*time.Second || len(logged.all()) != 0 {
		t.Errorf("%v are left, logged was %q", left, logged.all())
	}
	h.recordTimeout("ledger", now.Add(time.Second), outageWaitMin/2)
	if len(logged.all()) != 0 {
		t.Errorf("after a short wait logged was %q", logged.all())
	}
	h.recordTimeout("ledger", now.Add(time.Second), 5*time.Second)
	now = now.Add(6 * time.Second)
	if left := h.remainingWait(5 * time.Second); left != 0 || len(logged.all()) != 1 {
		t.Errorf("after silence %v are left, logged was %q", left, logged.all())
	}
}

func TestClosingTriesOnceMoreInAnOutage(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	proxy := newFaultProxy(t, sharedURL(t), func(string, int) fault { return fault{cutBefore: true} })
	client, err := NewClient(proxy.URL, WithLogger(&recordingLogger{}), WithCloseWait(testTimeout))
	must(t, err)
	ctx, execution := start(t, client.Job(job.ID), "tile")
	must(t, DefaultProgress().Done(ctx, 3))
	proxy.await(t, "POST /executions")
	for execution.Stats().Failures == 0 {
		time.Sleep(time.Millisecond)
	}
	// As after a long outage, in which the pauses have grown.
	execution.mu.Lock()
	execution.delivery.retryAt = time.Now().Add(time.Hour)
	execution.mu.Unlock()
	client.health.mu.Lock()
	client.health.failingSince = time.Now().Add(-time.Hour)
	client.health.failedAt = time.Now()
	client.health.mu.Unlock()
	proxy.setFault(nil)
	must(t, client.Close())
	expectProgress(t, job, "(default): 3/0")
}

func TestAfterAnOutageTheEndOfAJobFollowsItsExecutions(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	proxy := newFaultProxy(t, sharedURL(t), func(string, int) fault { return fault{cutBefore: true} })
	client := newTestClient(t, proxy.URL, WithCloseWait(0))
	ctx, execution := start(t, client.Job(job.ID), "tile")
	must(t, DefaultProgress().Done(ctx, 3))
	if err := execution.Finish(ctx, Succeeded); !errors.Is(err, ErrUndelivered) {
		t.Errorf("the end of the execution gives %v", err)
	}
	if err := client.Job(job.ID).Finish(ctx, JobCompleted); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the end of the job gives %v", err)
	}
	proxy.await(t, "POST /executions")
	proxy.setFault(nil)
	must(t, client.Flush(testContext(t)))
	expectProgress(t, job, "(default): 3/0")
	if snapshot := settledSnapshot(t, job); snapshot.State != JobCompleted {
		t.Errorf("the job is %s", snapshot.State)
	}
	events := job.Events(testContext(t), EventFilter{Descending: true})
	if !events.Next() || events.Value().Type != "job_finished" {
		t.Errorf("the last event is %+v", events.Value())
	}
}

func TestTheEndOfAJobIsRefusedAtOnceOrInTheBackground(t *testing.T) {
	client := newTestClient(t, sharedURL(t))
	if err := client.Job("0190b2c4-0000-7000-8000-000000000000").Finish(testContext(t), JobFailed); !errors.Is(err, ErrNotFound) {
		t.Errorf("a job that is not there gives %v", err)
	}
	proxy := newFaultProxy(t, "", func(kind string, before int) fault { return problem(http.StatusUnauthorized, "Unauthorized") })
	var refusal *Problem
	if err := newTestClient(t, proxy.URL).Job("j").Finish(testContext(t), JobFailed); !errors.As(err, &refusal) || refusal.Status != 401 {
		t.Errorf("a rejected token gives %v", err)
	}
	release := make(chan struct{})
	proxy.setFault(func(kind string, before int) fault {
		f := problem(http.StatusNotFound, "No such job")
		f.hold = release
		return f
	})
	logged := &recordingLogger{}
	unattended := newTestClient(t, proxy.URL, WithCloseWait(0), WithLogger(logged))
	if err := unattended.Job("j").Finish(testContext(t), JobFailed); !errors.Is(err, ErrUnavailable) {
		t.Errorf("an end on its way gives %v", err)
	}
	close(release)
	if err := unattended.Flush(testContext(t)); err != nil && !errors.Is(err, ErrNotFound) {
		t.Errorf("flushing gives %v", err)
	}
	if lines := logged.all(); len(lines) != 1 || !strings.Contains(lines[0], "No such job") {
		t.Errorf("logged was %q", lines)
	}
	must(t, unattended.Close())
	if err := unattended.Job("j").Finish(testContext(t), JobFailed); !errors.Is(err, ErrUndelivered) {
		t.Errorf("on a closed client the end of a job gives %v", err)
	}
}
