package ledger

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// newShiftedServer serves a job by a clock that differs from the local one.
//
// The clock is in the job or in the Date header.
func newShiftedServer(t *testing.T, shift time.Duration, isInJob bool) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, incoming *http.Request) {
		now := time.Now().Add(shift).UTC()
		text := strings.Replace(snapshotText(3, JobCompleted), `"name"`,
			fmt.Sprintf(`"updated_at": %q, "name"`, now.Add(-time.Minute).Format(time.RFC3339Nano)), 1)
		writer.Header().Set("Date", now.Format(http.TimeFormat))
		if isInJob {
			text = strings.Replace(text, `"name"`, fmt.Sprintf(`"now": %q, "name"`, now.Format(time.RFC3339Nano)), 1)
			// A cache or proxy may have set the header, so the job's clock takes precedence.
			writer.Header().Set("Date", now.Add(time.Hour).Format(http.TimeFormat))
		}
		mediaType := "application/json"
		switch {
		case strings.HasSuffix(incoming.URL.Path, "/watch"):
			mediaType = "text/event-stream"
			text = "event: snapshot\nid: 3\ndata: " + text + "\n\nevent: end\n\n"
		case incoming.Method == http.MethodGet && strings.HasSuffix(incoming.URL.Path, "/jobs"):
			text = `{"jobs": [` + text + `]}`
		}
		writer.Header().Set("Content-Type", mediaType)
		_, _ = writer.Write([]byte(text))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAgesUseTheClockOfTheLedger(t *testing.T) {
	for _, shift := range []time.Duration{-10 * time.Minute, 0, 10 * time.Minute} {
		for _, isInJob := range []bool{true, false} {
			client := newTestClient(t, newShiftedServer(t, shift, isInJob))
			reads := map[string]func() (*Snapshot, error){
				"Snapshot": func() (*Snapshot, error) { return client.Job("j").Snapshot(testContext(t)) },
				"Wait":     func() (*Snapshot, error) { return client.Job("j").Wait(testContext(t)) },
				"ListJobs": func() (*Snapshot, error) {
					jobs := client.ListJobs(testContext(t), JobFilter{})
					if !jobs.Next() {
						return nil, jobs.Err()
					}
					return jobs.Value().Found, nil
				},
				"CreateJob": func() (*Snapshot, error) {
					job, err := client.CreateJob(testContext(t), "n", Key("k"))
					return job.Found, err
				},
			}
			for name, read := range reads {
				snapshot, err := read()
				must(t, err)
				// The header has whole seconds. The rest is for a busy machine.
				age, isKnown := snapshot.Since(snapshot.UpdatedAt)
				if !isKnown || age < 59*time.Second || age > 90*time.Second {
					t.Errorf("%s of a clock %v off, in the job %v: the age is %v, %v", name, shift, isInJob, age, isKnown)
				}
			}
		}
	}
}

func TestAnAgeGrowsAndIsNeverNegative(t *testing.T) {
	now := time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
	snapshot := &Snapshot{UpdatedAt: now.Add(-time.Minute)}
	if _, isKnown := snapshot.Since(snapshot.UpdatedAt); isKnown {
		t.Error("an age is known without a clock")
	}
	local := time.Date(2020, 2, 29, 5, 0, 0, 0, time.UTC)
	snapshot.receive(serverClock{now: now, readAt: local.Add(-time.Hour)}, local.Add(-time.Minute))
	// The header of the stream is an hour old, the snapshot a minute.
	if !snapshot.Now.Equal(now.Add(59 * time.Minute)) {
		t.Errorf("the ledger's clock was %v", snapshot.Now)
	}
	for _, passed := range []time.Duration{0, time.Second, time.Hour} {
		age, isKnown := snapshot.ageAt(local.Add(passed), now.Add(59*time.Minute))
		if !isKnown || age != time.Minute+passed {
			t.Errorf("%v later the age is %v, %v", passed, age, isKnown)
		}
	}
	if age, isKnown := snapshot.ageAt(local, now.Add(24*time.Hour)); !isKnown || age != 0 {
		t.Errorf("the age of the future is %v, %v", age, isKnown)
	}
	if _, isKnown := snapshot.Since(time.Time{}); isKnown {
		t.Error("the age of a missing time is known")
	}
	if _, isKnown := (*Snapshot)(nil).Since(now); isKnown {
		t.Error("a nil snapshot has a clock")
	}
}

func TestAWatchIgnoresTheClockOfASnapshot(t *testing.T) {
	first := Snapshot{Job: "j", State: JobRunning, Sequence: 3, Now: time.Now()}
	w := &watch{last: &first}
	again := first
	again.Now = first.Now.Add(time.Minute)
	if w.isNew(&again) {
		t.Error("the same snapshot is returned twice")
	}
	again.Name = "another"
	if !w.isNew(&again) {
		t.Error("another snapshot of the same sequence is not returned")
	}
}
