package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestEveryReadContainsWhatTheSameClientWroteBefore(t *testing.T) {
	client := newTestClient(t, sharedURL(t))
	tag := fmt.Sprint(time.Now().UnixNano())
	reads := map[string]func(job *Job) bool{
		"FindJob": func(job *Job) bool {
			found, err := client.FindJob(testContext(t), job.ID)
			return err == nil && len(found.Progress()) == 1 && found.Progress()[0].String() == "a: 3/5"
		},
		"FindJobByKey": func(job *Job) bool {
			found, err := client.FindJobByKey(testContext(t), job.Key)
			return err == nil && len(found.Progress()) == 1 && found.Progress()[0].String() == "a: 3/5"
		},
		"Snapshot by a policy": func(job *Job) bool {
			snapshot, err := job.Snapshot(testContext(t), ByPolicy(LastSuccessful))
			return err == nil && len(snapshot.Progress) == 1 && snapshot.Progress[0].String() == "a: 3/5"
		},
		"Tasks": func(job *Job) bool {
			tasks := job.Tasks(testContext(t), TaskFilter{State: TaskSucceeded})
			return tasks.Next() && tasks.Value().Executions[0].Progress[0].Done.String() == "3"
		},
		"Events": func(job *Job) bool {
			events := job.Events(testContext(t), EventFilter{Descending: true})
			return events.Next() && events.Value().Verdict == VerdictCounted
		},
		"Explain": func(job *Job) bool {
			explanation, err := job.Explain(testContext(t), "a")
			return err == nil && explanation.Conservation.Counted.Done.String() == "3"
		},
		"History": func(job *Job) bool {
			history, err := job.History(testContext(t), "a", 0)
			return err == nil && len(history.Points) > 0 && history.Points[len(history.Points)-1].Done.String() == "3"
		},
		"ListJobs": func(job *Job) bool {
			jobs := client.ListJobs(testContext(t), JobFilter{Tags: map[string]string{"own": tag + "ListJobs"}})
			return jobs.Next() && jobs.Value().ID == job.ID && len(jobs.Value().Progress()) == 1
		},
		"Watch": func(job *Job) bool {
			snapshots := job.Watch(testContext(t))
			defer snapshots.Close()
			return snapshots.Next() && len(snapshots.Value().Progress) == 1 && snapshots.Value().Tasks.Succeeded == 1
		},
	}
	for name, read := range reads {
		name, read := name, read
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rounds, stale := 10, 0
			if name == "FindJob" {
				rounds = 100
			}
			for i := 0; i < rounds; i++ {
				job, err := client.CreateJob(testContext(t), "own writes", Key(fmt.Sprint(tag, name, i)), Tag("own", tag+name))
				must(t, err)
				must(t, job.Run(testContext(t), "tile", func(ctx context.Context) error {
					must(t, Progress("a").Add(ctx, 5))
					return Progress("a").Done(ctx, 3)
				}))
				if !read(job) {
					stale++
				}
			}
			if stale > 0 {
				t.Errorf("%d of %d reads lack the client's own events", stale, rounds)
			}
		})
	}
}

// laggingServer serves a job with a given head and a lagging projection.
type laggingServer struct {
	*httptest.Server
	mu sync.Mutex
	// head and folded are the sequences of the ledger's last event and of its projection.
	head, folded int
	requests     []string
}

func newLaggingServer(t *testing.T, status int) *laggingServer {
	server := &laggingServer{}
	server.Server = httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, incoming *http.Request) {
		server.mu.Lock()
		defer server.mu.Unlock()
		server.requests = append(server.requests, incoming.URL.RawQuery)
		var want int
		_, _ = fmt.Sscan(incoming.URL.Query().Get("min_sequence"), &want)
		if want > server.folded {
			writer.Header().Set("Content-Type", "application/problem+json")
			writer.WriteHeader(status)
			_, _ = fmt.Fprintf(writer, `{"title": "Not yet", "status": %d}`, status)
			return
		}
		writer.Header().Set("Content-Type", "application/json")
		text := strings.Replace(snapshotText(server.folded, JobRunning), `"ledger_sequence": `, `"was": `, 1)
		_, _ = writer.Write([]byte(strings.Replace(text, `"tags"`, fmt.Sprintf(`"ledger_sequence": %d, "tags"`, server.head), 1)))
	}))
	t.Cleanup(server.Close)
	return server
}

func TestAReadOfALaggingOrRestoredLedgerReturnsTheCurrentSnapshot(t *testing.T) {
	// For a sequence beyond the head, older ledgers respond 422 at once, newer ones 504 after a wait.
	for _, status := range []int{http.StatusGatewayTimeout, http.StatusUnprocessableEntity} {
		server := newLaggingServer(t, status)
		server.head, server.folded = 9, 6
		client := newTestClient(t, server.URL)
		client.ownWrites.wrote("J", 9)
		job := client.Job("j")
		snapshot, err := job.Snapshot(testContext(t))
		if err != nil || snapshot.Sequence != 6 || len(server.requests) != 2 {
			t.Fatalf("%d: behind a lag the read is %+v, %v, after %q", status, snapshot, err, server.requests)
		}
		if written, _ := client.ownWrites.last("j"); written != 9 {
			t.Errorf("%d: after a lag the client remembers %d", status, written)
		}
		// After a restore to a state without these events, reads must not wait for them again.
		server.head = 6
		_, err = job.Snapshot(testContext(t))
		must(t, err)
		server.requests = nil
		_, err = job.Snapshot(testContext(t))
		must(t, err)
		if len(server.requests) != 1 || server.requests[0] != "" {
			t.Errorf("%d: after a restore it is asked %q", status, server.requests)
		}
		// An explicit request of the caller is not replaced.
		if status == http.StatusUnprocessableEntity {
			if _, err := job.Snapshot(testContext(t), AtLeast(9)); !errors.Is(err, ErrInvalid) {
				t.Errorf("a sequence that is not there gives %v", err)
			}
		}
	}
}

func TestOwnWritesAreRememberedOfALimitedNumberOfJobs(t *testing.T) {
	var writes ownWrites
	for i := 0; i < 2*ownWritesMax; i++ {
		writes.wrote(fmt.Sprint(i), 1)
	}
	if len(writes.jobs) != ownWritesMax {
		t.Errorf("%d jobs are remembered", len(writes.jobs))
	}
	if written, _ := writes.last(fmt.Sprint(2*ownWritesMax - 1)); written != 1 {
		t.Error("the newest job is forgotten")
	}
}
