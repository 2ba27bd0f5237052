package ledger

import (
	"context"
	"math"
)

// ProgressReporter reports on one indicator of the execution of a context.
//
// It is a value that can be kept and shared.
type ProgressReporter struct {
	label, unit string
}

// Progress returns a reporter for the indicator with this label.
//
// A label has up to 100 Unicode scalars. The default indicator has the label "". Add and Done refuse an invalid label.
func Progress(label string) ProgressReporter { return ProgressReporter{label: label} }

// DefaultProgress returns a reporter for the default indicator, without a label.
func DefaultProgress() ProgressReporter { return ProgressReporter{} }

// WithUnit returns a reporter that also gives the unit of the indicator, such as bytes, files or tiles.
//
// It has 1 to 32 Unicode scalars. The first one that the job's reports give counts. Numbers of bytes are shown as
// KiB, MiB, …. An invalid one is dropped and counted, and the units of its report count.
func (p ProgressReporter) WithUnit(unit string) ProgressReporter {
	p.unit = unit
	return p
}

// Add declares n more units of work, from 0 to IncrementMax, with notes if there are any.
//
// Zero declares the indicator.
//
// It returns at once: it adds a number under a lock, and a background sender sends it within a second. Errors:
// *InvalidError for a value that cannot be recorded (a number that is negative or above IncrementMax, a label that is
// too long, not UTF-8, contains NUL, or is the 1,001st of its execution), and ErrEnded after the end of the execution.
// Such a report is dropped and counted, and the error may be ignored. An unreachable ledger is not an error; see
// Execution.Stats.
//
// Without an execution in the context, Add only validates its arguments.
func (p ProgressReporter) Add(ctx context.Context, n int64, options ...Note) error {
	execution := FromContext(ctx)
	if p.unit == "" && len(options) == 0 {
		return execution.report(p.label, n, 0)
	}
	return execution.reportDetailed(detailedReport{label: p.label, total: n, unit: p.unit, notes: notesOf(options)})
}

// Done reports n more units of work as done, from 0 to IncrementMax.
//
// Cost and errors are those of Add.
func (p ProgressReporter) Done(ctx context.Context, n int64, options ...Note) error {
	execution := FromContext(ctx)
	if p.unit == "" && len(options) == 0 {
		return execution.report(p.label, 0, n)
	}
	return execution.reportDetailed(detailedReport{label: p.label, done: n, unit: p.unit, notes: notesOf(options)})
}

// Skip reports n units as done that an earlier execution of this task did already: a resume from a checkpoint.
//
// They count as done, but not in rates, and the ledger does not count that they are done again as wasted (its carried
// units). Report units not done before with Done, also if their result was in a cache or there was nothing to
// do; otherwise the ledger subtracts them from the work that was wasted. Errors are those of Add.
func (p ProgressReporter) Skip(ctx context.Context, n int64, options ...Note) error {
	return FromContext(ctx).reportDetailed(
		detailedReport{label: p.label, done: n, carried: true, unit: p.unit, notes: notesOf(options)})
}

// SetTotal declares that this process has n units of work in all.
//
// It is for work that knows its size instead of increments, and sends the difference to what this process has declared
// before. A smaller total changes nothing, because the ledger cannot take units back. Errors are those of Add.
func (p ProgressReporter) SetTotal(ctx context.Context, n int64, options ...Note) error {
	return FromContext(ctx).reportDetailed(
		detailedReport{label: p.label, total: n, isPosition: true, unit: p.unit, notes: notesOf(options)})
}

// SetDone reports that this process is at position n: n units are done in all.
//
// It is for work that knows its position, such as an offset in a file, and sends the difference to what this process
// has reported before. A lower position changes nothing, so that work done again within one execution counts once. The
// position is one per label and execution of this process: if several goroutines have positions of their own, only the
// highest counts. Use a label for each of them, or Repeatable. Errors are those of Add.
func (p ProgressReporter) SetDone(ctx context.Context, n int64, options ...Note) error {
	return FromContext(ctx).reportDetailed(
		detailedReport{label: p.label, done: n, isPosition: true, unit: p.unit, notes: notesOf(options)})
}

// Integer is any integer type.
type Integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

// Add declares n more units of work on the indicator with this label.
//
// It is Progress(label).Add(ctx, n) for any integer type, such as len(files) or a uint64.
func Add[N Integer](ctx context.Context, label string, n N, options ...Note) error {
	return Progress(label).Add(ctx, increment(n), options...)
}

// Done reports n more units of work as done on the indicator with this label.
//
// It is Progress(label).Done(ctx, n) for any integer type.
func Done[N Integer](ctx context.Context, label string, n N, options ...Note) error {
	return Progress(label).Done(ctx, increment(n), options...)
}

// increment converts a number to int64.
//
// Larger ones become the largest int64, which is refused as they are.
func increment[N Integer](n N) int64 {
	if n > 0 && uint64(n) > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(n)
}

// contextKey is the key of the execution in a context.
type contextKey struct{}

// NewContext returns a context for reports to this execution.
//
// StartExecution does this itself. NewContext is for work with a context from elsewhere.
func NewContext(ctx context.Context, execution *Execution) context.Context {
	return context.WithValue(orBackground(ctx), contextKey{}, execution)
}

// FromContext returns the execution of a context, or nil, which is silent.
func FromContext(ctx context.Context) *Execution {
	execution, _ := orBackground(ctx).Value(contextKey{}).(*Execution)
	return execution
}

// orBackground replaces a nil context, on which the standard library panics.
func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}
