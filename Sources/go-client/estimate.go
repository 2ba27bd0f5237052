package ledger

import (
	"context"
	"time"
)

// Estimate is a prediction of the remaining time of a running job, or the reason for none.
type Estimate struct {
	// At is the time at which it was made, by the ledger's clock.
	At time.Time `json:"at"`
	// RemainingSeconds is nil without a prediction.
	RemainingSeconds *SecondsQuantiles `json:"remaining_seconds"`
	// FinishAt is nil without a prediction.
	FinishAt *TimeQuantiles `json:"finish_at"`
	// Basis is "job", or "history" if earlier jobs of the name were used.
	Basis string `json:"basis"`
	// WaitingFor is the work that determines the end; nil if unknown.
	WaitingFor *WaitingFor `json:"waiting_for"`
	// TrackRecord says how good earlier estimates for the name were; nil if there is none.
	TrackRecord *TrackRecord `json:"track_record"`
	// Reason is that for no prediction: for example "finished" or "no_progress".
	Reason string `json:"reason"`
}

// SecondsQuantiles are quantiles of a time in seconds.
//
// Of ten jobs, eight should end between P10 and P90.
type SecondsQuantiles struct {
	P10 float64 `json:"p10"`
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
}

// TimeQuantiles are quantiles of the time at which a job ends.
type TimeQuantiles struct {
	P10 time.Time `json:"p10"`
	P50 time.Time `json:"p50"`
	P90 time.Time `json:"p90"`
}

// WaitingFor is the work that determines the end of a job.
type WaitingFor struct {
	// Label is that of the indicator; empty for the default one.
	Label string `json:"label"`
	// Tasks are those that will probably end last.
	Tasks []string `json:"tasks"`
}

// TrackRecord is the record of the estimates of earlier jobs with the same name.
type TrackRecord struct {
	// Jobs is the number of jobs whose estimates were scored, and EndedInside the number of those that ended between P10
	// and P90.
	Jobs        int64 `json:"jobs"`
	EndedInside int64 `json:"ended_inside"`
}

// Answer says how far a job is, when it ends and what holds it up, in words and as facts.
type Answer struct {
	// Text is the answer in a few English sentences.
	Text  string   `json:"text"`
	State JobState `json:"state"`
	// Percent is that of the whole job; nil if no units are declared.
	Percent *int `json:"percent"`
	// RemainingSeconds and FinishAt are nil without an estimate.
	RemainingSeconds *SecondsQuantiles `json:"remaining_seconds"`
	FinishAt         *TimeQuantiles    `json:"finish_at"`
	// StalledSince is the time of the last advance, if that is longer ago than plausible; otherwise zero.
	StalledSince time.Time `json:"stalled_since"`
	FailedTasks  int64     `json:"failed_tasks"`
	// WaitingFor is the work that determines the end; nil if unknown.
	WaitingFor *WaitingFor `json:"waiting_for"`
	// AskAgainSeconds is the time after which the answer may have changed.
	AskAgainSeconds float64 `json:"ask_again_seconds"`
}

// Answer asks the ledger how far the job is, when it ends and what holds it up.
//
// It does not contain unsent reports. Errors: ErrNotFound, ErrUnavailable, ErrNotConfigured.
func (j *Job) Answer(ctx context.Context) (*Answer, error) {
	if j.isSilent() {
		return nil, ErrNotConfigured
	}
	var answer Answer
	if err := j.client.call(ctx, j.request("/answer", nil), &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}
