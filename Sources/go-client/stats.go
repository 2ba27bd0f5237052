package ledger

// Stats holds the delivery statistics of an execution. Counters only grow.
//
// Dropped is the number to watch: 0 means that nothing was lost. The clients for Python and Swift count the same.
type Stats struct {
	// Taken counts accepted calls of Add and Done.
	Taken int64
	// Refused counts calls with invalid values, and calls after the end. Such a call returned an error, and the first one
	// of its kind was logged. They are also part of Dropped.
	Refused int64
	// Reports counts the events made of accepted calls. Calls on the same indicator share one.
	Reports int64
	// Delivered counts events that the ledger has recorded durably, including the start and the end of the execution.
	// Discarded events are not included.
	Delivered int64
	// Discarded counts events that are recorded but will never count: with the verdict conflict or over_limit, or
	// duplicate for a report that was sent once. They are also part of Dropped. The first one is logged. The client reads
	// verdicts only at its check interval.
	Discarded int64
	// Dropped counts everything that was lost: refused calls, invalid notes, discarded events, events that the ledger
	// refused for good or that were given up at the end, and calls on a closed client.
	Dropped int64
	// Requests counts all requests, and Failures the failed ones. A failed request is repeated unless its reports are
	// dropped.
	Requests, Failures int64
	// Pending is the number of events that the ledger has not recorded yet.
	Pending int
	// Attempt is the execution's attempt; 0 until the ledger has assigned it, if none was given.
	Attempt int
	// IsStarted is true once the ledger has recorded the start.
	IsStarted bool
	// IsSuperseded is true once a newer execution of the task has started.
	IsSuperseded bool
	// JobEnded is the state in which the job has ended, as far as the client knows; empty while it is running.
	JobEnded JobState
	// LastError is the error of the last request; nil if it succeeded.
	LastError error

	// Calls is the old name of Taken.
	//
	// Deprecated: use Taken.
	Calls int64
	// Invalid counts the refused calls with invalid values.
	//
	// Deprecated: use Refused, which includes calls after the end.
	Invalid int64
	// Err is the old name of LastError.
	//
	// Deprecated: use LastError.
	Err error
}

// undelivered returns the number of lost events that the ledger has not recorded.
func (d *delivery) undelivered() int64 {
	return d.counts.Dropped - d.counts.Refused - d.counts.Discarded - d.droppedNotes
}
