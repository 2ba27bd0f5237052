package ledger

import "time"

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
	// Reason is that for no prediction: "finished", "total_unknown", "no_progress" or "past_unknown".
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
