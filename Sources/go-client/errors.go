package ledger

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Errors for errors.Is.
var (
	// ErrInvalid matches every *InvalidError: the mistake is in the call, and repeating it does not help.
	ErrInvalid = errors.New("ledger: invalid value")
	// ErrNotFound means that the job does not exist, or that none of its events names the indicator.
	ErrNotFound = errors.New("ledger: not found")
	// ErrConflict means that the request contradicts the ledger: another job has the key.
	ErrConflict = errors.New("ledger: conflict")
	// ErrSuperseded means that a newer execution of the task has started. Reports of this one are recorded but do not
	// count; it should stop.
	ErrSuperseded = errors.New("ledger: the execution is superseded")
	// ErrJobCanceled means that the job is canceled, so that the execution was not started and reports nothing.
	ErrJobCanceled = errors.New("ledger: the job is canceled")
	// ErrEnded means that the execution has been finished or closed.
	ErrEnded = errors.New("ledger: the execution has ended")
	// ErrUndelivered means that reports have not reached the ledger yet, or were dropped; see Stats.
	ErrUndelivered = errors.New("ledger: not delivered")
	// ErrUnavailable means that the ledger is unreachable, is overloaded, or gave no usable response.
	ErrUnavailable = errors.New("ledger: unavailable")
	// ErrNotConfigured means that a read is impossible because no URL is configured.
	ErrNotConfigured = errors.New("ledger: no URL is configured (PROGRESS_LEDGER_URL)")
)

// InvalidError is the error of a call with a value that cannot be recorded.
type InvalidError struct {
	// Field is the value's name: "label", "done", "total", "task", "attempt", "name", "key", "tag", "url", …
	Field string
	// Problem continues a sentence that begins with the field's name.
	Problem string
}

func (e *InvalidError) Error() string {
	if e == nil {
		return ErrInvalid.Error()
	}
	return "ledger: " + e.Field + " " + e.Problem
}

// Is makes errors.Is(err, ErrInvalid) true.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Problem is an error response of the ledger (RFC 9457).
type Problem struct {
	// Status is the HTTP status.
	Status int `json:"status"`
	// Title names the kind of problem.
	Title string `json:"title"`
	// Detail describes the problem for people.
	Detail string `json:"detail"`
	// RequestID is the id of the request, by which the server's log names it.
	RequestID string `json:"request_id"`
	// Errors lists every invalid field or parameter, up to 100.
	Errors []FieldProblem `json:"errors"`
	// JobState is the state of the job that refused the start of an execution; otherwise empty.
	JobState JobState `json:"job_state"`
}

// FieldProblem describes an invalid field of a request.
type FieldProblem struct {
	// Pointer is the JSON pointer of the field, such as /2/done; empty for a query parameter.
	Pointer string `json:"pointer"`
	// Parameter is the name of the query parameter.
	Parameter string `json:"parameter"`
	// Detail describes the problem of the field.
	Detail string `json:"detail"`
}

func (p *Problem) Error() string {
	if p == nil {
		return "ledger: a problem"
	}
	text := fmt.Sprintf("ledger: %d %s", p.Status, p.Title)
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	if len(p.Errors) > 0 {
		var fields []string
		for _, field := range p.Errors {
			fields = append(fields, strings.TrimSpace(field.Pointer+field.Parameter+" "+field.Detail))
		}
		text += " (" + strings.Join(fields, "; ") + ")"
	}
	return text
}

// refusedPositions returns the positions of the events that pointers such as /2/done name, each once.
func (p *Problem) refusedPositions(count int) []int {
	if p == nil {
		return nil
	}
	var positions []int
	isFound := make(map[int]bool)
	for _, field := range p.Errors {
		name, _, _ := strings.Cut(strings.TrimPrefix(field.Pointer, "/"), "/")
		position, err := strconv.ParseUint(name, 10, 31)
		if err != nil || int(position) >= count || !strings.HasPrefix(field.Pointer, "/") || isFound[int(position)] {
			continue
		}
		isFound[int(position)] = true
		positions = append(positions, int(position))
	}
	return positions
}

// Is compares with ErrNotFound, ErrConflict, ErrJobCanceled, ErrInvalid, ErrUnavailable.
func (p *Problem) Is(target error) bool {
	if p == nil {
		return false
	}
	switch target {
	case ErrNotFound:
		return p.Status == http.StatusNotFound
	case ErrConflict:
		return p.Status == http.StatusConflict
	case ErrJobCanceled:
		return p.Status == http.StatusConflict && p.JobState == JobCanceled
	case ErrInvalid:
		return p.Status == http.StatusUnprocessableEntity
	case ErrUnavailable:
		return p.Status >= 500 || p.Status == http.StatusTooManyRequests
	}
	return false
}
