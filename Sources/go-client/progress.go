package ledger

import (
	"context"
	"math"
)

// ProgressReporter reports on one indicator of whatever execution a context leads to. It is a value that costs nothing
// and may be kept and shared.
type ProgressReporter struct {
	label string
}

// Progress reports on the indicator of this label, up to 100 Unicode scalars; "" is the default indicator. A label that
// is not right is refused by Add and Done.
func Progress(label string) ProgressReporter { return ProgressReporter{label: label} }

// DefaultProgress reports on the default indicator, which has no label.
func DefaultProgress() ProgressReporter { return ProgressReporter{} }

// Add declares n more units of work, from 0 to IncrementMax. Zero makes the indicator known.
//
// It returns at once: it adds a number under a lock, and a background sender does the rest within a second. The only
// errors are the caller's: *InvalidError for a value that cannot be recorded (a negative number, one above
// IncrementMax, a label that is too long, not UTF-8, with NUL, or the 1,001st of its execution), and ErrEnded after
// the execution was finished. A ledger that is down, slow or refusing is no error here; see Execution.Stats.
//
// Where the context has no execution, it checks the values and does nothing else.
func (p ProgressReporter) Add(ctx context.Context, n int64) error {
	return FromContext(ctx).Add(p.label, n)
}

// Done reports n more units of work done, from 0 to IncrementMax. It costs and fails as Add does.
func (p ProgressReporter) Done(ctx context.Context, n int64) error {
	return FromContext(ctx).Done(p.label, n)
}

// Integer is any integer type.
type Integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

// Add declares n more units of work on the indicator of this label; "" is the default indicator.
//
// It does what Progress(label).Add(ctx, n) does, for a number of any integer type, such as len(files) or a uint64.
func Add[N Integer](ctx context.Context, label string, n N) error {
	return Progress(label).Add(ctx, increment(n))
}

// Done reports n more units of work done on the indicator of this label; "" is the default indicator.
//
// It does what Progress(label).Done(ctx, n) does, for a number of any integer type.
func Done[N Integer](ctx context.Context, label string, n N) error {
	return Progress(label).Done(ctx, increment(n))
}

// increment converts a number. One that an int64 does not hold becomes the largest, which is refused as the number is.
func increment[N Integer](n N) int64 {
	if n > 0 && uint64(n) > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(n)
}

// contextKey is the key of the execution in a context.
type contextKey struct{}

// NewContext returns a context that leads Progress and DefaultProgress to this execution. StartExecution does this by
// itself; it is for work that gets its context from elsewhere.
func NewContext(ctx context.Context, execution *Execution) context.Context {
	return context.WithValue(orBackground(ctx), contextKey{}, execution)
}

// FromContext returns the execution that the context leads to; nil, which is silent, where there is none.
func FromContext(ctx context.Context) *Execution {
	execution, _ := orBackground(ctx).Value(contextKey{}).(*Execution)
	return execution
}

// orBackground replaces a nil context, which would make the standard library panic in the task.
func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}
