package ledger

import "context"

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
