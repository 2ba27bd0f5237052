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

// snapshotText returns a snapshot in the ledger's format.
func snapshotText(sequence int, state JobState) string {
	return laggingSnapshotText(sequence, sequence, state)
}

// laggingSnapshotText returns a snapshot that lags behind the ledger's last event.
func laggingSnapshotText(sequence, head int, state JobState) string {
	return fmt.Sprintf(`{"job": "j", "name": "n", "tags": {}, "state": %q, "sequence": %d, "ledger_sequence": %d, `+
		`"created_at": "2026-01-31T10:00:00.000001Z", "tasks": {}, "progress": [{"label": null, "done": %d, "total": 9}]}`,
		state, sequence, head, sequence)
}

func snapshotEvent(sequence int, state JobState) string {
	return laggingEvent(sequence, sequence, state)
}

func laggingEvent(sequence, head int, state JobState) string {
	return fmt.Sprintf("event: snapshot\nid: %d\ndata: %s\n\n", sequence, laggingSnapshotText(sequence, head, state))
}

// scriptedServer sends one part of a script per watch request, then disconnects.
type scriptedServer struct {
	*httptest.Server
	mu sync.Mutex
	// resumed holds the Last-Event-ID of every connection.
	resumed []string
}

func newScriptedServer(t *testing.T, parts ...string) *scriptedServer {
	t.Helper()
	server := &scriptedServer{}
	server.Server = httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, incoming *http.Request) {
		if !strings.HasSuffix(incoming.URL.Path, "/watch") || incoming.Header.Get("Accept") != "text/event-stream" {
			http.Error(writer, "unexpected", http.StatusBadRequest)
			return
		}
		server.mu.Lock()
		connection := len(server.resumed)
		server.resumed = append(server.resumed, incoming.Header.Get("Last-Event-ID"))
		server.mu.Unlock()
		if connection >= len(parts) {
			http.Error(writer, "the script has ended", http.StatusServiceUnavailable)
			return
		}
		if parts[connection] == "503" {
			writer.Header().Set("Retry-After", "0")
			http.Error(writer, "not now", http.StatusServiceUnavailable)
			return
		}
		writer.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = writer.Write([]byte(parts[connection]))
		writer.(http.Flusher).Flush()
		if strings.HasSuffix(parts[connection], "silence") {
			<-incoming.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)
	return server
}

// watchedSequences returns the sequences of all snapshots of a watch.
func watchedSequences(t *testing.T, snapshots *Iterator[*Snapshot]) string {
	t.Helper()
	var sequences []string
	for snapshots.Next() {
		sequences = append(sequences, fmt.Sprint(snapshots.Value().Sequence))
	}
	return strings.Join(sequences, " ")
}

func TestAWatchResumesAfterTheLastSnapshotAndEndsWithTheJob(t *testing.T) {
	server := newScriptedServer(t,
		": welcome\n\n"+snapshotEvent(3, JobRunning)+": heartbeat\n\n"+snapshotEvent(5, JobRunning)+"event: snapshot\nid: 6\ndata: {\"brok",
		"503",
		// Another server lags behind, and then repeats the last snapshot.
		laggingEvent(4, 5, JobRunning)+snapshotEvent(5, JobRunning),
		"retry: 1\r\n\r\nevent: something new\ndata: x\n\n"+strings.ReplaceAll(snapshotEvent(7, JobRunning), "\n", "\r\n")+
			snapshotEvent(9, JobCompleted)+"event: end\nid: 9\ndata: {}\n\n",
	)
	snapshots := newTestClient(t, server.URL).Job("j").Watch(testContext(t))
	if found := watchedSequences(t, snapshots); found != "3 5 7 9" || snapshots.Err() != nil {
		t.Errorf("watched was %q, %v", found, snapshots.Err())
	}
	if resumed := fmt.Sprintf("%q", server.resumed); resumed != `["" "5" "5" "5"]` {
		t.Errorf("it resumed from %s", resumed)
	}
	if snapshots.Next() {
		t.Error("there is something after the end")
	}
}

func TestAWatchFollowsALedgerThatWentBackToAnEarlierState(t *testing.T) {
	server := newScriptedServer(t,
		snapshotEvent(10, JobRunning),
		snapshotEvent(6, JobRunning)+snapshotEvent(6, JobRunning)+snapshotEvent(7, JobRunning),
		snapshotEvent(8, JobCompleted)+"event: end\n\n",
	)
	snapshots := newTestClient(t, server.URL).Job("j").Watch(testContext(t))
	if found := watchedSequences(t, snapshots); found != "10 6 7 8" || snapshots.Err() != nil {
		t.Errorf("watched was %q, %v", found, snapshots.Err())
	}
	if resumed := fmt.Sprintf("%q", server.resumed); resumed != `["" "10" "7"]` {
		t.Errorf("it resumed from %s", resumed)
	}
}

func TestAPollFollowsALedgerThatWentBackToAnEarlierState(t *testing.T) {
	sequences := []int{10, 6, 7}
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, incoming *http.Request) {
		if strings.HasSuffix(incoming.URL.Path, "/watch") || len(sequences) == 0 {
			http.NotFound(writer, incoming)
			return
		}
		state := JobRunning
		if len(sequences) == 1 {
			state = JobCompleted
		}
		writer.Header().Set("Content-Type", "application/json")
		writer.Header().Set("ETag", fmt.Sprint(len(sequences)))
		_, _ = writer.Write([]byte(snapshotText(sequences[0], state)))
		sequences = sequences[1:]
	}))
	defer server.Close()
	snapshots := newTestClient(t, server.URL).Job("j").Watch(testContext(t))
	if found := watchedSequences(t, snapshots); found != "10 6 7" || snapshots.Err() != nil {
		t.Errorf("watched was %q, %v", found, snapshots.Err())
	}
}

func TestAnIdleStreamIsOpenedAgain(t *testing.T) {
	server := newScriptedServer(t,
		snapshotEvent(2, JobRunning)+": silence", snapshotEvent(3, JobCompleted)+"event: end\n\n")
	snapshots := newTestClient(t, server.URL).Job("j").watch(testContext(t), 50*time.Millisecond)
	if found := watchedSequences(t, snapshots); found != "2 3" || snapshots.Err() != nil {
		t.Errorf("watched was %q, %v", found, snapshots.Err())
	}
}

func TestABufferedStreamIsReplacedByPolls(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault {
		if kind == "GET /watch" {
			return fault{hold: release, cutBefore: true}
		}
		return fault{}
	})
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	must(t, job.Finish(testContext(t), JobCompleted))
	settledSnapshot(t, job)
	snapshots := newTestClient(t, proxy.URL).Job(job.ID).watch(testContext(t), 50*time.Millisecond)
	if found := watchedSequences(t, snapshots); found != "2" || snapshots.Err() != nil {
		t.Errorf("watched was %q, %v", found, snapshots.Err())
	}
}

func TestAWatchEndsWithItsContext(t *testing.T) {
	server := newScriptedServer(t, snapshotEvent(2, JobRunning)+": silence")
	ctx, cancel := context.WithCancel(testContext(t))
	snapshots := newTestClient(t, server.URL).Job("j").Watch(ctx)
	if !snapshots.Next() {
		t.Fatal(snapshots.Err())
	}
	time.AfterFunc(10*time.Millisecond, cancel)
	if snapshots.Next() || !errors.Is(snapshots.Err(), context.Canceled) {
		t.Errorf("it ends with %v", snapshots.Err())
	}
}

func TestAWatchEndsIfTheTokenIsRefused(t *testing.T) {
	proxy := newFaultProxy(t, "http://nowhere", func(string, int) fault { return problem(403, "Forbidden") })
	snapshots := newTestClient(t, proxy.URL).Job("j").Watch(testContext(t))
	var refusal *Problem
	if snapshots.Next() || !errors.As(snapshots.Err(), &refusal) || refusal.Status != 403 {
		t.Errorf("it ends with %v", snapshots.Err())
	}
}

func TestTheServerCanBeWatchedByStreamAndByPolls(t *testing.T) {
	hasRoute := func(kind string, before int) fault { return fault{} }
	noRoute := func(kind string, before int) fault {
		if kind == "GET /watch" {
			return problem(http.StatusNotFound, "No such route")
		}
		return fault{cutBefore: kind == "GET /progress" && before%2 == 1}
	}
	for name, decide := range map[string]func(string, int) fault{"as it is": hasRoute, "by long polls, half of them cut": noRoute} {
		name, decide := name, decide
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newTestClient(t, sharedURL(t), WithInterval(time.Millisecond))
			job := newTestJob(t, client)
			url := sharedURL(t)
			if name != "as it is" {
				url = newFaultProxy(t, sharedURL(t), decide).URL
			}
			snapshots := newTestClient(t, url).Job(job.ID).Watch(testContext(t))
			if !snapshots.Next() || snapshots.Value().Sequence != 1 {
				t.Fatalf("the first is %+v, %v", snapshots.Value(), snapshots.Err())
			}
			ctx, execution := start(t, job, "tile")
			var last Snapshot
			for i := int64(1); i <= 5; i++ {
				must(t, DefaultProgress().Done(ctx, 1))
				must(t, execution.Flush(ctx))
				// The test sees each change before it makes the next one, so the watch is live.
				for {
					if !snapshots.Next() {
						t.Fatal(snapshots.Err())
					}
					if snapshots.Value().Sequence <= last.Sequence {
						t.Fatalf("%d comes after %d", snapshots.Value().Sequence, last.Sequence)
					}
					last = *snapshots.Value()
					indicator, _ := last.Indicator("")
					if indicator.Done.Compare(UnitsOf(i)) == 0 {
						break
					}
				}
			}
			must(t, execution.Finish(ctx, Succeeded))
			must(t, job.Finish(ctx, JobCompleted))
			for snapshots.Next() {
				last = *snapshots.Value()
			}
			if snapshots.Err() != nil || last.State != JobCompleted {
				t.Errorf("the last is %+v, %v", last, snapshots.Err())
			}
			final, err := job.Wait(ctx)
			must(t, err)
			if final.State != JobCompleted || final.Tasks.Succeeded != 1 {
				t.Errorf("waiting gives %+v", final)
			}
		})
	}
}

func TestAnUnknownJobCannotBeWatched(t *testing.T) {
	job := newTestClient(t, sharedURL(t)).Job("0190b2c4-0000-7000-8000-000000000000")
	if _, err := job.Wait(testContext(t)); !errors.Is(err, ErrNotFound) {
		t.Errorf("waiting gives %v", err)
	}
}
