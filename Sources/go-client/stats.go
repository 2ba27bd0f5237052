package ledger

// Stats holds the delivery statistics of an execution. Counters only grow.
type Stats struct {
	// Calls counts accepted calls of Add and Done.
	Calls int64
	// Invalid counts calls with invalid values. The call returned an error, and the first one was logged.
	Invalid int64
	// Reports counts the events made of these calls. Calls on the same indicator share one.
	Reports int64
	// Delivered counts reports that the ledger has recorded durably.
	Delivered int64
	// Dropped counts reports that the ledger refused for good or that were given up at the end, including the start and
	// the end of the execution, and calls after the end or on a closed client.
	Dropped int64
	// Discarded counts reports that are recorded but discarded: with the verdict conflict or over_limit, or duplicate for
	// a report that was sent once. The first one is logged. The client reads verdicts only at its check interval.
	Discarded int64
	// Requests counts all requests, and Failures the failed ones. A failed request is repeated unless its reports are
	// dropped.
	Requests, Failures int64
	// Pending is the number of indicators and reports that the ledger has not acknowledged.
	Pending int
	// Attempt is the execution's attempt; 0 until the ledger has assigned it, if none was given.
	Attempt int
	// IsStarted is true once the ledger has recorded the start.
	IsStarted bool
	// IsSuperseded is true once a newer execution of the task has started.
	IsSuperseded bool
	// Err is the error of the last request; nil if it succeeded.
	Err error
}
