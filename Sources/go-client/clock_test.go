package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Waits of callers by a clock that moves only when a caller pauses.

// manualClock is a clock whose pauses end at once.
type manualClock struct {
	mu     sync.Mutex
	moment time.Time
	pauses []time.Duration
}

// withManualClock replaces the clock of a client.
func withManualClock(m *manualClock) ClientOption {
	m.moment = time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
	return func(c *Client) error {
		c.clock = clock{now: m.now, sleep: m.sleep}
		c.health.now = m.now
		return nil
	}
}

func (m *manualClock) now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.moment
}

func (m *manualClock) advance(by time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moment = m.moment.Add(by)
}

func (m *manualClock) sleep(ctx context.Context, pause time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moment = m.moment.Add(pause)
	m.pauses = append(m.pauses, pause)
	return ctx.Err() == nil
}

// slept returns the number and the sum of the pauses.
func (m *manualClock) slept() (count int, sum time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, pause := range m.pauses {
		sum += pause
	}
	return len(m.pauses), sum
}

func TestACallIsRetriedForTenSeconds(t *testing.T) {
	requests := 0
	proxy := newFaultProxy(t, "", func(string, int) fault {
		requests++
		return problem(http.StatusServiceUnavailable, "Busy")
	})
	m := &manualClock{}
	_, err := newTestClient(t, proxy.URL, withManualClock(m)).FindJob(testContext(t), "j")
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("it gives %v", err)
	}
	// The next pause, which is at most pauseMin<<count, would have exceeded the limit.
	count, sum := m.slept()
	if sum > callRetryMax || sum+pauseMin<<count < callRetryMax || requests != count+1 {
		t.Errorf("%d requests in %v", requests, sum)
	}
}

func TestACallDoesNotWaitForALedgerThatAsksForMoreThanItsTime(t *testing.T) {
	for seconds, expected := range map[int]int{1: 2, 11: 1} {
		requests := 0
		proxy := newFaultProxy(t, "", func(string, int) fault {
			requests++
			f := problem(http.StatusServiceUnavailable, "Busy")
			f.retryAfter = fmt.Sprint(seconds)
			if requests == 2 {
				f = problem(http.StatusNotFound, "No such job")
			}
			return f
		})
		m := &manualClock{}
		_, err := newTestClient(t, proxy.URL, withManualClock(m)).FindJob(testContext(t), "j")
		if _, sum := m.slept(); requests != expected || err == nil || expected == 2 && sum < time.Second {
			t.Errorf("after Retry-After: %d there are %d requests and a pause of %v: %v", seconds, requests, sum, err)
		}
	}
}

func TestAWatchResumesForAnHourAfterEachSnapshot(t *testing.T) {
	parts := []string{snapshotEvent(1, JobRunning)}
	for i := 0; i < 100; i++ {
		parts = append(parts, "503")
	}
	parts = append(parts, snapshotEvent(2, JobRunning))
	server := newScriptedServer(t, parts...)
	m := &manualClock{}
	snapshots := newTestClient(t, server.URL, withManualClock(m)).Job("j").Watch(testContext(t))
	if !snapshots.Next() || !snapshots.Next() || snapshots.Value().Sequence != 2 {
		t.Fatalf("the second snapshot is %+v, %v", snapshots.Value(), snapshots.Err())
	}
	if _, sum := m.slept(); sum < 100*pauseMax/4 || sum > watchOutageMax {
		t.Fatalf("the first outage took %v, which tests nothing", sum)
	}
	resumed := m.now()
	if snapshots.Next() || !errors.Is(snapshots.Err(), ErrUnavailable) {
		t.Errorf("after the last snapshot come %+v, %v", snapshots.Value(), snapshots.Err())
	}
	if outage := m.now().Sub(resumed); outage <= watchOutageMax || outage > watchOutageMax+2*pauseMax {
		t.Errorf("it tried for %v", outage)
	}
}

func TestALedgerThatRespondsWithoutAWaitIsNotPolledInATightLoop(t *testing.T) {
	const unchanged = 20
	polls := 0
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, incoming *http.Request) {
		if strings.HasSuffix(incoming.URL.Path, "/watch") {
			http.NotFound(writer, incoming)
			return
		}
		polls++
		writer.Header().Set("ETag", fmt.Sprint(polls))
		state := JobRunning
		switch {
		case polls > 1 && polls <= 1+unchanged:
			writer.WriteHeader(http.StatusNotModified)
			return
		case polls > 1:
			state = JobCompleted
		}
		writer.Header().Set("Content-Type", "application/json")
		_, _ = writer.Write([]byte(snapshotText(polls, state)))
	}))
	defer server.Close()
	m := &manualClock{}
	snapshots := newTestClient(t, server.URL, withManualClock(m)).Job("j").Watch(testContext(t))
	if found := watchedSequences(t, snapshots); found != fmt.Sprint("1 ", unchanged+2) || snapshots.Err() != nil {
		t.Errorf("watched was %q, %v", found, snapshots.Err())
	}
	if count, sum := m.slept(); count != unchanged || sum != unchanged*pauseMin {
		t.Errorf("%d pauses of %v in all", count, sum)
	}
}

func TestASignalThatIsSentTwiceWithinASecondCountsOnce(t *testing.T) {
	began := time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
	moments := []time.Duration{0, 0, secondSignalMin - 1, secondSignalMin}
	hook := &signalHook{arrived: make(chan os.Signal, len(moments)), client: &Client{clock: clock{now: func() time.Time {
		moment := began.Add(moments[0])
		moments = moments[1:]
		return moment
	}}}}
	for range moments {
		hook.arrived <- syscall.SIGTERM
	}
	hook.await(nil)
	if len(moments) != 0 || len(hook.arrived) != 1 {
		t.Errorf("it waited for %d signals", cap(hook.arrived)-len(hook.arrived))
	}
}

func TestNoEndWaitsOnceTheOutageHasUsedUpTheCloseWait(t *testing.T) {
	m := &manualClock{}
	// If it did wait, the context would end first.
	client := newTestClient(t, unresponsiveServer(t), withManualClock(m), WithCloseWait(time.Hour))
	ctx, execution := start(t, client.Job("j"), "tile")
	must(t, DefaultProgress().Done(ctx, 1))
	client.health.recordFailure(client.address, errors.New("away"))
	m.advance(time.Hour)
	client.health.recordFailure(client.address, errors.New("away"))
	if err := execution.Finish(ctx, Succeeded); !errors.Is(err, ErrUndelivered) || ctx.Err() != nil {
		t.Errorf("the end gives %v, and the context %v", err, ctx.Err())
	}
	client.giveUp()
}
