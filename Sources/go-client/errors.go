package ledger

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Errors to be compared with by errors.Is.
var (
	// ErrInvalid is every *InvalidError: the mistake is in the call, and making the call again makes it again.
	ErrInvalid = errors.New("ledger: invalid value")
	// ErrNotFound says that the ledger has no such job, or that no event of the job names the indicator.
	ErrNotFound = errors.New("ledger: not found")
	// ErrConflict says that what was asked for contradicts what the ledger holds: a key that another job has.
	ErrConflict = errors.New("ledger: conflict")
	// ErrSuperseded says that a newer execution of the task has started: what this one reports is recorded and does not
	// count. It should stop.
	ErrSuperseded = errors.New("ledger: the execution is superseded")
	// ErrEnded says that progress was reported on an execution that has been finished or closed.
	ErrEnded = errors.New("ledger: the execution has ended")
	// ErrUndelivered says that reports have not reached the ledger yet, or were given up; Stats tells which.
	ErrUndelivered = errors.New("ledger: not delivered")
	// ErrUnavailable says that the ledger could not be reached, could not take more, or gave no usable answer.
	ErrUnavailable = errors.New("ledger: unavailable")
	// ErrNotConfigured says that something was to be read and there is no ledger: no URL was configured.
	ErrNotConfigured = errors.New("ledger: no URL is configured (PROGRESS_LEDGER_URL)")
)

// InvalidError says that a value cannot be recorded. It is returned by the call that was given the value.
type InvalidError struct {
	// Field is the value's name: "label", "done", "total", "task", "attempt", "name", "key", "tag", "url", …
	Field string
	// Problem continues a sentence that begins with the field.
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

// Problem is an answer by which the ledger refuses something (RFC 9457).
type Problem struct {
	// Status is the HTTP status.
	Status int `json:"status"`
	// Title names the kind of problem.
	Title string `json:"title"`
	// Detail says what is wrong, for people.
	Detail string `json:"detail"`
	// Instance finds the occurrence in the server's log, where there is something to be found.
	Instance string `json:"instance"`
	// Errors names every bad field or parameter, up to 100.
	Errors []FieldProblem `json:"errors"`
}

// FieldProblem is what is wrong with one field of a request.
type FieldProblem struct {
	// Pointer is the field in the body, as in /2/done; empty where it is a parameter of the query.
	Pointer string `json:"pointer"`
	// Parameter is the parameter of the query.
	Parameter string `json:"parameter"`
	// Detail says what is wrong with it.
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

// Is makes a Problem comparable with ErrNotFound, ErrConflict, ErrInvalid and ErrUnavailable.
func (p *Problem) Is(target error) bool {
	if p == nil {
		return false
	}
	switch target {
	case ErrNotFound:
		return p.Status == http.StatusNotFound
	case ErrConflict:
		return p.Status == http.StatusConflict
	case ErrInvalid:
		return p.Status == http.StatusUnprocessableEntity
	case ErrUnavailable:
		return p.Status >= 500 || p.Status == http.StatusTooManyRequests
	}
	return false
}
