package ledger

import (
	"context"
	"time"
)

// detailedReport is a report that is more than two increments.
type detailedReport struct {
	label string
	// total and done are increments, or sums if isPosition.
	total, done int64
	isPosition  bool
	// carried is true if an earlier execution did the units.
	carried bool
	unit    string
	notes   notes
}

// reportDetailed adds a report with its notes. An invalid note is dropped, counted and returned as the error, and the
// units count.
//
// It returns whether to wake the sender.
func (d *delivery) reportDetailed(r detailedReport, now func() time.Time) (wake bool, err error) {
	indicator, err := d.accept(r.label, r.total, r.done)
	if err != nil {
		return false, err
	}
	if r.unit != "" {
		if problem := checkUnit(r.unit); problem != nil {
			r.notes.problem, r.notes.invalid = problem, r.notes.invalid+1
			r.unit = ""
		}
	}
	d.dropNotes(int64(r.notes.invalid))
	if indicator == nil {
		return false, r.notes.problem
	}
	total, done := r.total, r.done
	if r.isPosition {
		total, done = larger(0, total-indicator.declared), larger(0, done-indicator.position)
		if total == 0 && done == 0 && r.notes.message == "" && r.notes.link == "" {
			return false, r.notes.problem
		}
	}
	if r.carried {
		indicator.carried.add(done)
	}
	if r.unit != "" {
		d.buffer.setUnit(indicator, r.unit)
	}
	if r.notes.message != "" {
		indicator.message = r.notes.message
	}
	if r.notes.link != "" {
		indicator.link = r.notes.link
	}
	return d.add(indicator, total, done, now), r.notes.problem
}

func larger(a, b int64) int64 {
	if a > b {
		return a
	}
	return b
}

// check validates a report without an execution.
func (r detailedReport) check() error {
	if err := checkReport(r.label, r.total, r.done); err != nil {
		return err
	}
	if r.unit != "" {
		if err := checkUnit(r.unit); err != nil {
			return err
		}
	}
	return r.notes.problem
}

// Repeatable is a piece of work within an execution that may be done again, and counts once.
//
//	piece := ledger.Progress("download").Repeatable(ctx)
//	for {
//		piece.Restart()
//		if err := fetch(tile, func() { piece.Done(1) }); !isTemporary(err) {
//			return err
//		}
//	}
//
// Its units are reported when they are done for the first time. Use one per piece; it is not for concurrent use.
type Repeatable struct {
	execution          *Execution
	reporter           ProgressReporter
	position, reported int64
}

// Repeatable returns a piece of work of the indicator that may be done again.
func (p ProgressReporter) Repeatable(ctx context.Context) *Repeatable {
	return &Repeatable{execution: FromContext(ctx), reporter: p}
}

// Restart begins again with the first unit. Nothing is taken back.
func (r *Repeatable) Restart() {
	if r != nil {
		r.position = 0
	}
}

// Done reports n more units since the last Restart as done; those that were reported before count once.
//
// Its errors are those of ProgressReporter.Done.
func (r *Repeatable) Done(n int64, options ...Note) error {
	if r == nil {
		return nil
	}
	if err := checkIncrement("done", n); err != nil {
		// Refused, counted and logged.
		return r.execution.Done(r.reporter.label, n)
	}
	r.position = saturated(r.position, n)
	fresh := larger(0, r.position-r.reported)
	if fresh == 0 && len(options) == 0 {
		return nil
	}
	r.reported += fresh
	return r.execution.reportDetailed(detailedReport{
		label: r.reporter.label, done: fresh, unit: r.reporter.unit, notes: notesOf(options),
	})
}
