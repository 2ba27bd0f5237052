package ledger

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestStallsAndSilenceAreDecoded(t *testing.T) {
	var snapshot Snapshot
	must(t, json.Unmarshal([]byte(`{"job":"j","state":"running","sequence":1,"stalled_since":"2026-01-02T03:04:05Z",
		"tasks":{"silent":2},"progress":[{"label":"a","stalled_since":"2026-01-02T03:04:05Z"},
		{"label":"b","rate":0.5,"remaining_seconds":20}]}`), &snapshot))
	if snapshot.StalledSince.IsZero() || snapshot.Tasks.Silent != 2 || snapshot.Progress[0].StalledSince.IsZero() ||
		!snapshot.Progress[1].StalledSince.IsZero() || *snapshot.Progress[1].Rate != 0.5 ||
		*snapshot.Progress[1].RemainingSeconds != 20 || snapshot.Progress[0].Rate != nil {
		t.Errorf("the snapshot is %+v", snapshot)
	}
	var task TaskSummary
	must(t, json.Unmarshal([]byte(`{"executions":[{"silent_since":"2026-01-02T03:04:05Z"},{"silent_since":null}]}`), &task))
	if task.Executions[0].SilentSince.IsZero() || !task.Executions[1].SilentSince.IsZero() {
		t.Errorf("the task is %+v", task)
	}
}

func TestAnEstimateIsDecoded(t *testing.T) {
	text := `{"job":"j","state":"running","sequence":1,"estimate":{"at":"2026-01-02T03:04:05Z",
		"remaining_seconds":{"p10":1.5,"p50":2,"p90":4},"finish_at":{"p10":"2026-01-02T03:04:06.5Z",
		"p50":"2026-01-02T03:04:07Z","p90":"2026-01-02T03:04:09Z"},"basis":"history",
		"waiting_for":{"label":null,"tasks":["a"]},"track_record":{"jobs":48,"ended_inside":44},"reason":null}}`
	var snapshot Snapshot
	must(t, json.Unmarshal([]byte(text), &snapshot))
	estimate := snapshot.Estimate
	if estimate == nil || estimate.RemainingSeconds == nil || estimate.RemainingSeconds.P10 != 1.5 ||
		!estimate.FinishAt.P50.After(estimate.At) || estimate.WaitingFor.Tasks[0] != "a" ||
		*estimate.TrackRecord != (TrackRecord{Jobs: 48, EndedInside: 44}) {
		t.Errorf("the estimate is %+v", estimate)
	}
	must(t, json.Unmarshal([]byte(`{"job":"j","state":"running","sequence":1,"estimate":{"reason":"no_progress"}}`), &snapshot))
	if snapshot.Estimate.RemainingSeconds != nil || snapshot.Estimate.Reason != "no_progress" {
		t.Errorf("an estimate without a prediction is %+v", snapshot.Estimate)
	}
}

func TestAJobHasAStraightAnswer(t *testing.T) {
	client := newTestClient(t, sharedURL(t))
	job := newTestJob(t, client)
	ctx, execution := start(t, job, "tile")
	must(t, Add(ctx, "a", 4))
	must(t, Done(ctx, "a", 1))
	must(t, execution.Finish(ctx, Failed))
	settledSnapshot(t, job)
	answer, err := job.Answer(testContext(t))
	must(t, err)
	if answer.State != JobRunning || answer.Text == "" || answer.Percent == nil || *answer.Percent != 25 ||
		answer.FailedTasks != 1 || answer.AskAgainSeconds <= 0 {
		t.Errorf("the answer is %+v", answer)
	}
	if _, err := silentClient(t).Job("").Answer(testContext(t)); !errors.Is(err, ErrNotConfigured) {
		t.Errorf("without a ledger: %v", err)
	}
}
