package ledger

import (
	"encoding/json"
	"fmt"
	"math/big"
	"time"
)

// JobState is the state of a job.
type JobState string

// The states of a job. All but JobRunning are also its outcomes.
const (
	JobRunning   JobState = "running"
	JobCompleted JobState = "completed"
	JobFailed    JobState = "failed"
	JobCanceled  JobState = "canceled"
)

// TaskState is the state of a task: the outcome of its last execution, TaskRunning or TaskAbandoned.
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

// Verdict is what the ledger made of an event.
type Verdict string

// The verdicts. Only VerdictCounted counts; VerdictDuplicate, VerdictConflict and VerdictOverLimit are discarded.
const (
	VerdictCounted    Verdict = "counted"
	VerdictSuperseded Verdict = "superseded"
	VerdictDuplicate  Verdict = "duplicate"
	VerdictConflict   Verdict = "conflict"
	VerdictOverLimit  Verdict = "over_limit"
)

// Snapshot is a job as of one sequence.
type Snapshot struct {
	// Job is the job's ID.
	Job  string            `json:"job"`
	Name string            `json:"name"`
	Key  string            `json:"key"`
	Tags map[string]string `json:"tags"`
	// State is running until the job is finished, and again when a newer execution starts after that.
	State JobState `json:"state"`
	// Sequence is the last event in the snapshot, and LedgerSequence the last one in the ledger: the snapshot lags
	// behind by the difference.
	Sequence       int64 `json:"sequence"`
	LedgerSequence int64 `json:"ledger_sequence"`
	// CreatedAt, StartedAt, UpdatedAt and FinishedAt are times of the ledger's clock; zero where it has not happened.
	CreatedAt  time.Time `json:"created_at"`
	StartedAt  time.Time `json:"started_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	FinishedAt time.Time `json:"finished_at"`
	// Now is the ledger's clock when it answered; from the Date header if an older ledger does not give it, and zero if it
	// is not known. Compute ages with Since, which goes by it.
	Now   time.Time  `json:"now"`
	Tasks TaskCounts `json:"tasks"`
	// Progress has the job's indicators, in the order in which events first named them.
	Progress []Indicator `json:"progress"`

	// receivedAt is when the answer was received, by our clock; zero if the snapshot was not received from a ledger.
	receivedAt time.Time
}

// UnmarshalJSON refuses what is no snapshot, such as the answer of something that is not a ledger.
func (s *Snapshot) UnmarshalJSON(text []byte) error {
	type plain Snapshot
	var snapshot plain
	if err := json.Unmarshal(text, &snapshot); err != nil {
		return err
	}
	if snapshot.Job == "" || snapshot.State == "" || snapshot.Sequence < 0 {
		return fmt.Errorf("ledger: a snapshot without job, state or sequence")
	}
	*s = Snapshot(snapshot)
	return nil
}

// Indicator returns the indicator of this label, "" being the default one, and whether the snapshot has it.
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

// TaskCounts says how many tasks a job has, by their state, and how many executions they took.
type TaskCounts struct {
	Total                int64 `json:"total"`
	Running              int64 `json:"running"`
	Succeeded            int64 `json:"succeeded"`
	Failed               int64 `json:"failed"`
	Canceled             int64 `json:"canceled"`
	Abandoned            int64 `json:"abandoned"`
	Executions           int64 `json:"executions"`
	SupersededExecutions int64 `json:"superseded_executions"`
}

// Indicator is how far a job is by one label.
type Indicator struct {
	// Label is empty for the default indicator.
	Label string `json:"label"`
	// Done and Total are the units that count. Done may exceed Total, and Total may be 0 while there is something done.
	Done  Units `json:"done"`
	Total Units `json:"total"`
	// AttemptedDone and AttemptedTotal include what superseded executions did: the difference was done for nothing.
	AttemptedDone  Units `json:"attempted_done"`
	AttemptedTotal Units `json:"attempted_total"`
	// UpdatedAt is when the indicator last changed, by the ledger's clock.
	UpdatedAt time.Time `json:"updated_at"`
}

// Percent returns done of total in percent, rounded down: 999 of 1,000 are 99. It may exceed 100. It is not known while
// the total is 0; beyond the largest int64 it is that.
func (i Indicator) Percent() (percent int64, isKnown bool) {
	if i.Total.Compare(Units{}) <= 0 {
		return 0, false
	}
	hundredfold := new(big.Int).Mul(i.Done.Big(), big.NewInt(100))
	percent, _ = unitsOf(hundredfold.Div(hundredfold, i.Total.Big())).Int64()
	return percent, true
}

// String returns the indicator as in "download: 3/10"; the default one is called "(default)".
func (i Indicator) String() string {
	label := i.Label
	if label == "" {
		label = "(default)"
	}
	return fmt.Sprintf("%s: %v/%v", label, i.Done, i.Total)
}

// Sum is a pair of sums of one indicator.
type Sum struct {
	Total Units `json:"total"`
	Done  Units `json:"done"`
}

// ExecutionReference names an execution in an answer.
type ExecutionReference struct {
	// Execution is its name; empty where nobody named it, and it is known by its attempt.
	Execution string `json:"execution"`
	Attempt   int    `json:"attempt"`
	// Sequence is its first event.
	Sequence int64 `json:"sequence"`
}

// TaskSummary is a task with its executions.
type TaskSummary struct {
	Task  string    `json:"task"`
	State TaskState `json:"state"`
	// Executions are its runs, and ExecutionCount how many there are.
	Executions     []ExecutionSummary `json:"executions"`
	ExecutionCount int64              `json:"execution_count"`
}

// ExecutionSummary is one run of a task.
type ExecutionSummary struct {
	// Execution is its name; empty where nobody named it.
	Execution string `json:"execution"`
	Attempt   int    `json:"attempt"`
	// Outcome is empty while it runs.
	Outcome       Outcome   `json:"outcome"`
	FirstSequence int64     `json:"first_sequence"`
	LastSequence  int64     `json:"last_sequence"`
	StartedAt     time.Time `json:"started_at"`
	LastAt        time.Time `json:"last_at"`
	// IsCounted says that it is the one of its task that counts; IsProvisional that it failed and counts until the next
	// one starts.
	IsCounted     bool `json:"counted"`
	IsProvisional bool `json:"provisional"`
	// Progress is what it reported.
	Progress []ExecutionProgress `json:"progress"`
}

// ExecutionProgress is what one execution reported on one indicator.
type ExecutionProgress struct {
	Label string `json:"label"`
	Sum
}

// Event is one entry of a job's history. What does not apply to it is zero or nil.
type Event struct {
	Sequence  int64  `json:"sequence"`
	Type      string `json:"type"`
	Task      string `json:"task"`
	Execution string `json:"execution"`
	Attempt   int    `json:"attempt"`
	// Report is the number that the reporter gave it; 0 where it gave none.
	Report int64  `json:"report"`
	Label  string `json:"label"`
	// Total and Done are increments; nil where the reporter left them out, which means 0.
	Total   *int64            `json:"total"`
	Done    *int64            `json:"done"`
	Outcome string            `json:"outcome"`
	Name    string            `json:"name"`
	Key     string            `json:"key"`
	Tags    map[string]string `json:"tags"`
	// At is the reporter's clock, where it told; RecordedAt the ledger's.
	At         time.Time `json:"at"`
	RecordedAt time.Time `json:"recorded_at"`
	// Inferred lists what is shown here and was not given.
	Inferred []string `json:"inferred"`
	// Verdict is empty while the projection has not reached the event.
	Verdict Verdict `json:"verdict"`
	// IsLate says that its execution was superseded before it arrived.
	IsLate       bool                `json:"late"`
	SupersededBy *ExecutionReference `json:"superseded_by"`
	// DuplicateOf is the event that it repeats; 0 where it is none.
	DuplicateOf int64 `json:"duplicate_of"`
	// Hash is its place in the hash chain, in hexadecimal.
	Hash string `json:"hash"`
}

// Explanation says where each unit of an indicator went.
type Explanation struct {
	Label string `json:"label"`
	// Sequence is the last event that is explained.
	Sequence int64 `json:"sequence"`
	// Tasks are those that reported on the indicator.
	Tasks []ExplainedTask `json:"tasks"`
	// Conservation is the whole: received = counted + superseded + discarded.
	Conservation Conservation `json:"conservation"`
}

// ExplainedTask is what the executions of one task reported on an indicator.
type ExplainedTask struct {
	Task       string               `json:"task"`
	Executions []ExplainedExecution `json:"executions"`
}

// ExplainedExecution is what became of the units that one execution reported.
type ExplainedExecution struct {
	Execution  string `json:"execution"`
	Attempt    int    `json:"attempt"`
	Counted    Sum    `json:"counted"`
	Superseded Sum    `json:"superseded"`
	Discarded  Sum    `json:"discarded"`
	// SupersededBy is the execution that took its place; nil where none did.
	SupersededBy *ExecutionReference `json:"superseded_by"`
}

// Conservation is where all units of an indicator went. Attempted = counted + superseded.
type Conservation struct {
	Received   Sum `json:"received"`
	Counted    Sum `json:"counted"`
	Superseded Sum `json:"superseded"`
	Discarded  Sum `json:"discarded"`
	Attempted  Sum `json:"attempted"`
}

// History is how an indicator came to its numbers.
type History struct {
	Label string `json:"label"`
	// Sequence is the last event that it includes.
	Sequence int64          `json:"sequence"`
	Points   []HistoryPoint `json:"points"`
}

// HistoryPoint is an indicator as of one event.
type HistoryPoint struct {
	Sequence int64     `json:"sequence"`
	At       time.Time `json:"at"`
	Sum
	// Cause says why the numbers fell; nil where they did not.
	Cause *HistoryCause `json:"cause"`
}

// HistoryCause is a newer execution that took an older one's place, and what was lost by it.
type HistoryCause struct {
	Task string `json:"task"`
	ExecutionReference
	Superseded ExecutionReference `json:"superseded"`
	Lost       Sum                `json:"lost"`
}
