package ledger

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A newer server may add fields and values at any time. The client ignores new fields, and passes on new values.

const newerSnapshot = `{"job":"01890000-0000-7000-8000-000000000000","key":null,"name":"n","tags":{},
	"state":"hibernating","sequence":3,"ledger_sequence":3,"created_at":"2026-01-02T03:04:05.000006Z",
	"tasks":{"total":2,"running":1,"hibernating":1},
	"progress":[{"label":"a","done":3,"total":10,"attempted_done":4,"attempted_total":10,"rate":1.5}],
	"something_new":{"a":[1]}}`

func TestASnapshotOfANewerServerIsRead(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write([]byte(newerSnapshot)); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	client := newTestClient(t, server.URL)
	snapshot, err := client.Job("01890000-0000-7000-8000-000000000000").Snapshot(testContext(t))
	must(t, err)
	if snapshot.State != "hibernating" || snapshot.Sequence != 3 || snapshot.Tasks.Total != 2 || snapshot.Tasks.Running != 1 {
		t.Errorf("the snapshot is %+v", snapshot)
	}
	indicator, isThere := snapshot.Indicator("a")
	if !isThere || indicator.String() != "a: 3/10" || indicator.AttemptedDone.String() != "4" {
		t.Errorf("the indicator is %+v", indicator)
	}
}

func TestAnEventOfANewerServerIsRead(t *testing.T) {
	var event Event
	must(t, json.Unmarshal([]byte(`{"sequence":2,"type":"hibernated","task":"t","weight":2,"verdict":"quarantined"}`), &event))
	if event.Sequence != 2 || event.Type != "hibernated" || event.Verdict != "quarantined" {
		t.Errorf("the event is %+v", event)
	}
}

func TestAnUnknownVerdictIsNoCollision(t *testing.T) {
	now := time.Now()
	isSuperseded, collision := newDelivery(now).accepted([]Verdict{VerdictCounted, "quarantined"}, now, true)
	if isSuperseded || collision != "" {
		t.Errorf("superseded %v, collision %q", isSuperseded, collision)
	}
}
