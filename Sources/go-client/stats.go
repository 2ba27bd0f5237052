package ledger

// Stats says what became of what an execution reported. Counters only grow.
type Stats struct {
	// Calls of Add and Done that were taken.
	Calls int64
	// Invalid calls, refused for their values: their callers were given an error, and the first one was logged.
	Invalid int64
	// Reports that were made of the calls so far: calls on the same indicator share one.
	Reports int64
	// Delivered reports: durably recorded by the ledger.
	Delivered int64
	// Dropped reports: refused by the ledger for good, or given up at the end. The start and the end of the execution
	// are among them, and calls that came after the end or on a closed client.
	Dropped int64
	// Discarded reports: recorded by the ledger, which counts them nowhere (verdicts conflict and over_limit, and
	// duplicate for a report that was sent once). The first one is logged. Known only where the client looked at the
	// verdicts.
	Discarded int64
	// Requests that were made, and Failures among them. A request that failed was repeated unless its reports are in
	// Dropped.
	Requests, Failures int64
	// Pending is how many indicators have increments, or reports, that the ledger has not acknowledged.
	Pending int
	// Attempt is the execution's number; 0 while nobody knows it: where none was given the ledger decides.
	Attempt int
	// IsStarted says that the ledger has recorded the start.
	IsStarted bool
	// IsSuperseded says that a newer execution of the task has started.
	IsSuperseded bool
	// Err is what went wrong with the last request; nil where it went well.
	Err error
}
