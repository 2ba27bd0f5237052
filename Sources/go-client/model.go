package ledger

import (
	"encoding/json"
	"fmt"
	"math/big"
	"time"
)

// JobState is the state of a job.
type JobState string

// The states of a job. All except JobRunning are also its outcomes.
const (
	JobRunning   JobState = "running"
	JobCompleted JobState = "completed"
	JobFailed    JobState = "failed"
	JobCanceled  JobState = "canceled"
)

// TaskState is the state of a task.
//
// It is the outcome of the last execution, TaskRunning or TaskAbandoned.
type TaskState string

// The states of a task.
const (
	TaskRunning   TaskState = "running"
	TaskSucceeded TaskState = "succeeded"
	TaskFailed    TaskState = "failed"
	TaskCanceled  TaskState = "canceled"
	// TaskAbandoned is a task without an outcome in a job that has ended.
	TaskAbandoned TaskState = "abandoned"
)

// Verdict is the ledger's classification of an event.
type Verdict string

// The verdicts.
//
// Only counted events count. Duplicates, conflicts and those over the limit are discarded.
const (
	VerdictCounted    Verdict = "counted"
	VerdictSuperseded Verdict = "superseded"
	VerdictDuplicate  Verdict = "duplicate"
	VerdictConflict   Verdict = "conflict"
	VerdictOverLimit  Verdict = "over_limit"
)

// Snapshot is the state of a job at one sequence.
type Snapshot struct {
	// Job is the job's ID.
	Job  string            `json:"job"`
	Name string            `json:"name"`
	Key  string            `json:"key"`
	Tags map[string]string `json:"tags"`
	// State is running until the job has finished, and again if a newer execution starts after that.
	State JobState `json:"state"`
	// Sequence is that of the last event in the snapshot, LedgerSequence that of the last event in the ledger. Their
	// difference is the lag.
	Sequence       int64 `json:"sequence"`
	LedgerSequence int64 `json:"ledger_sequence"`
	// CreatedAt, StartedAt, UpdatedAt and FinishedAt are times of the ledger's clock; zero if it has not happened.
	CreatedAt  time.Time `json:"created_at"`
	StartedAt  time.Time `json:"started_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	FinishedAt time.Time `json:"finished_at"`
	// Now is the ledger's clock at the time of the response. Older ledgers give it only in the Date header. It is zero if
	// unknown. Compute ages with Since, which uses it.
	Now time.Time `json:"now"`
	// IdleSince is the time of the last event if all tasks have ended and the job has not; otherwise zero.
	IdleSince time.Time  `json:"idle_since"`
	Tasks     TaskCounts `json:"tasks"`
	// Estimate is that of the remaining time; nil from an older ledger.
	Estimate *Estimate `json:"estimate"`
	// StalledSince is the time of the last advance, if that is longer ago than plausible; otherwise zero.
	StalledSince time.Time `json:"stalled_since"`
	// Message is the newest message of the job's reports.
	Message string `json:"message"`
	// Progress lists the job's indicators, in the order in which events first named them.
	Progress []Indicator `json:"progress"`

	// receivedAt is the local time of the response; zero if the snapshot is not from a ledger.
	receivedAt time.Time
}

// UnmarshalJSON decodes and validates a snapshot.
//
// The server may not be a ledger.
func (s *Snapshot) UnmarshalJSON(text []byte) error {
	type plain Snapshot
	var snapshot plain
	if err := json.Unmarshal(text, &snapshot); err != nil {
		return err
	}
	if snapshot.Job == "" || snapshot.State == "" || snapshot.Sequence < 0 {
		return fmt.Errorf("ledger: a snapshot lacks its job, state or sequence")
	}
	*s = Snapshot(snapshot)
	return nil
}

// Indicator returns the indicator with this label, and whether it exists.
//
// The default one has the label "".
func (s *Snapshot) Indicator(label string) (indicator Indicator, isThere bool) {
	if s == nil {
		return Indicator{Label: label}, false
	}
	for _, indicator := range s.Progress {
		if indicator.Label == label {
			return indicator, true
		}
	}
	return Indicator{Label: label}, false
}

// TaskCounts holds the numbers of a job's tasks by state, and of their executions.
type TaskCounts struct {
	Total                int64 `json:"total"`
	Running              int64 `json:"running"`
	Succeeded            int64 `json:"succeeded"`
	Failed               int64 `json:"failed"`
	Canceled             int64 `json:"canceled"`
	Abandoned            int64 `json:"abandoned"`
	Executions           int64 `json:"executions"`
	SupersededExecutions int64 `json:"superseded_executions"`
	// Silent is the number of running executions that have sent nothing for longer than plausible: their workers may be
	// lost.
	Silent int64 `json:"silent"`
}

// Indicator is a pair of done and total units of a job, identified by its label.
type Indicator struct {
	// Label is empty for the default indicator.
	Label string `json:"label"`
	// Done and Total are the counted units. Done may exceed Total, which may be 0.
	Done  Units `json:"done"`
	Total Units `json:"total"`
	// AttemptedDone and AttemptedTotal include the units of superseded executions. The difference is wasted work.
	AttemptedDone  Units `json:"attempted_done"`
	AttemptedTotal Units `json:"attempted_total"`
	// UpdatedAt is the time of the last change, by the ledger's clock.
	UpdatedAt time.Time `json:"updated_at"`
	// StalledSince is the time of its last advance, if that is longer ago than plausible; otherwise zero.
	StalledSince time.Time `json:"stalled_since"`
	// Rate is the recent number of units per second; nil before anything is done, and after the job has ended.
	Rate *float64 `json:"rate"`
	// RemainingSeconds is the time that the units left take at this rate; nil without a rate or a total.
	RemainingSeconds *float64 `json:"remaining_seconds"`
	// Unit is the unit, such as bytes or tiles; empty if no report gave one.
	Unit string `json:"unit"`
	// Message is the newest message of its reports.
	Message string `json:"message"`
	// CarriedDone is the part of Done that earlier executions did, as their successors have reported.
	CarriedDone Units `json:"carried_done"`
}

// Percent returns the percentage done, rounded down: 99 for 999 of 1,000.
//
// It may exceed 100, and is limited to the largest int64. It is unknown while the total is 0.
func (i Indicator) Percent() (percent int64, isKnown bool) {
	if i.Total.Compare(Units{}) <= 0 {
		return 0, false
	}
	hundredfold := new(big.Int).Mul(i.Done.Big(), big.NewInt(100))
	percent, _ = unitsOf(hundredfold.Div(hundredfold, i.Total.Big())).Int64()
	return percent, true
}

// String returns text such as "download: 3/10" or "(default): 3/10".
func (i Indicator) String() string {
	label := i.Label
	if label == "" {
		label = "(default)"
	}
	return fmt.Sprintf("%s: %v/%v", label, i.Done, i.Total)
}

// Sum is a pair of total and done units.
type Sum struct {
	Total Units `json:"total"`
	Done  Units `json:"done"`
}

// ExecutionReference identifies an execution.
type ExecutionReference struct {
	// Execution is its name; empty for an unnamed execution, which its attempt identifies.
	Execution string `json:"execution"`
	Attempt   int    `json:"attempt"`
	// Sequence is that of its first event.
	Sequence int64 `json:"sequence"`
}

// TaskSummary is a task with its executions.
type TaskSummary struct {
	Task  string    `json:"task"`
	State TaskState `json:"state"`
	// Executions lists its executions, and ExecutionCount is their number.
	Executions     []ExecutionSummary `json:"executions"`
	ExecutionCount int64              `json:"execution_count"`
}

// ExecutionSummary is an execution with its progress.
type ExecutionSummary struct {
	// Execution is its name; empty for an unnamed execution.
	Execution string `json:"execution"`
	Attempt   int    `json:"attempt"`
	// Outcome is empty while the execution is running.
	Outcome       Outcome   `json:"outcome"`
	FirstSequence int64     `json:"first_sequence"`
	LastSequence  int64     `json:"last_sequence"`
	StartedAt     time.Time `json:"started_at"`
	LastAt        time.Time `json:"last_at"`
	// IsCounted is true for the execution of the task that counts. IsProvisional is true if it failed, and counts only
	// until the next one starts.
	IsCounted     bool `json:"counted"`
	IsProvisional bool `json:"provisional"`
	// Reporter identifies the token or subject that started it; empty without authentication.
	Reporter string `json:"reporter"`
	// SilentSince is the time of its last event, if that is longer ago than plausible; otherwise zero.
	SilentSince time.Time `json:"silent_since"`
	// Message is why it ended, or its newest message. Link is where to look for more, such as its log.
	Message string `json:"message"`
	Link    string `json:"link"`
	// Progress lists the sums of its reports by label.
	Progress []ExecutionProgress `json:"progress"`
}

// ExecutionProgress is the sum of an execution's reports on one indicator.
type ExecutionProgress struct {
	Label string `json:"label"`
	Sum
}

// Event is one entry of a job's history. Fields that do not apply are zero or nil.
type Event struct {
	Sequence  int64  `json:"sequence"`
	Type      string `json:"type"`
	Task      string `json:"task"`
	Execution string `json:"execution"`
	Attempt   int    `json:"attempt"`
	// Report is the reporter's number of the report; 0 if it gave none.
	Report int64  `json:"report"`
	Label  string `json:"label"`
	// Total and Done are increments; nil if absent, which means 0.
	Total   *int64            `json:"total"`
	Done    *int64            `json:"done"`
	Outcome string            `json:"outcome"`
	Name    string            `json:"name"`
	Key     string            `json:"key"`
	Tags    map[string]string `json:"tags"`
	// At is the time by the reporter's clock, if given; RecordedAt is the time by the ledger's clock.
	At         time.Time `json:"at"`
	RecordedAt time.Time `json:"recorded_at"`
	// Inferred lists the fields that are shown but not part of the event.
	Inferred []string `json:"inferred"`
	// Verdict is empty until the projection has reached the event.
	Verdict Verdict `json:"verdict"`
	// IsLate is true if the execution was superseded before the event arrived.
	IsLate       bool                `json:"late"`
	SupersededBy *ExecutionReference `json:"superseded_by"`
	// DuplicateOf is the sequence of the event that it repeats; 0 if it is not a duplicate.
	DuplicateOf int64 `json:"duplicate_of"`
	// Message, Link, Unit and Part are the event's notes, the unit of its indicator, and the process that sent it.
	Message string `json:"message"`
	Link    string `json:"link"`
	Unit    string `json:"unit"`
	Part    string `json:"part"`
	// Carried is the part of Done that an earlier execution did.
	Carried int64 `json:"carried"`
	// Hash is the event's hash in the job's chain, in hexadecimal.
	Hash string `json:"hash"`
}

// Explanation breaks an indicator down by execution.
type Explanation struct {
	Label string `json:"label"`
	// Sequence is that of the last event included.
	Sequence int64 `json:"sequence"`
	// Tasks lists the tasks with reports on the indicator.
	Tasks []ExplainedTask `json:"tasks"`
	// Conservation holds the sums of all: received = counted + superseded + discarded.
	Conservation Conservation `json:"conservation"`
}

// ExplainedTask holds the contributions of one task's executions to an indicator.
type ExplainedTask struct {
	Task       string               `json:"task"`
	Executions []ExplainedExecution `json:"executions"`
}

// ExplainedExecution is the contribution of one execution to an indicator.
type ExplainedExecution struct {
	Execution  string `json:"execution"`
	Attempt    int    `json:"attempt"`
	Counted    Sum    `json:"counted"`
	Superseded Sum    `json:"superseded"`
	Discarded  Sum    `json:"discarded"`
	// SupersededBy is the superseding execution; nil if there is none.
	SupersededBy *ExecutionReference `json:"superseded_by"`
}

// Conservation holds all units of an indicator by their fate.
//
// Attempted = counted + superseded.
type Conservation struct {
	Received   Sum `json:"received"`
	Counted    Sum `json:"counted"`
	Superseded Sum `json:"superseded"`
	Discarded  Sum `json:"discarded"`
	Attempted  Sum `json:"attempted"`
}

// History is the development of an indicator.
type History struct {
	Label string `json:"label"`
	// Sequence is that of the last event included.
	Sequence int64          `json:"sequence"`
	Points   []HistoryPoint `json:"points"`
}

// HistoryPoint is an indicator at one event.
type HistoryPoint struct {
	Sequence int64     `json:"sequence"`
	At       time.Time `json:"at"`
	Sum
	// Cause is the reason for a decrease; nil if there is none.
	Cause *HistoryCause `json:"cause"`
}

// HistoryCause is a superseding execution, the superseded one, and the lost units.
type HistoryCause struct {
	Task string `json:"task"`
	ExecutionReference
	Superseded ExecutionReference `json:"superseded"`
	Lost       Sum                `json:"lost"`
}
