package ledger

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits of the ledger that concern a reporter. They are part of the ledger's meaning, and the server answers
// them all at /v1/limits. What is outside of them is refused here, at the call, because that is where the mistake is.
const (
	// IncrementMax is the most that one Add or Done can report: 2^53 - 1, which every JSON reader holds exactly.
	// Sums are exact whatever their size.
	IncrementMax = 1<<53 - 1
	// LabelScalarsMax is the length of the longest label, in Unicode scalars.
	LabelScalarsMax = 100
	// LabelsMax is how many indicators one execution can name, the default indicator being one of them.
	LabelsMax = 1000
	// AttemptMax is the highest attempt.
	AttemptMax = 1<<31 - 1
)

const (
	jobNameScalarsMax  = 200
	jobKeyScalarsMax   = 200
	tagsMax            = 50
	tagNameScalarsMax  = 100
	tagValueScalarsMax = 200
	taskScalarsMax     = 200
)

// How this package limits itself. Every queue, retry and wait has its number and its reason here.
const (
	// intervalDefault is how long increments are gathered before they are sent. The contract is "at most 1 s old";
	// the rest is for a busy scheduler.
	intervalDefault = 800 * time.Millisecond
	intervalMax     = time.Second
	// closeWaitDefault is how long the end of an execution waits for its last reports. It outlasts the restart of a
	// server, and is spent once in an outage, not once for each task.
	closeWaitDefault = 5 * time.Second
	// lastWaitPart is the part of the close wait that is kept for the end of a job and that of the client, in an outage
	// in which the ends of executions have spent the rest: a twentieth each, 250 ms, for one more try.
	lastWaitPart = 20
	// flushWaitMax bounds a Flush whose context has no deadline.
	flushWaitMax = time.Minute
	// checkIntervalDefault is how often an execution finds out whether it has been superseded. A zombie works for
	// nothing that long; asking costs the ledger one more query.
	checkIntervalDefault = 10 * time.Second
	// checkIntervalMin keeps a thousand executions from asking a thousand times a second.
	checkIntervalMin = 100 * time.Millisecond
	// drainMax is how long after its end an execution still tries to deliver what an outage kept back. Longer
	// outages are rare, and what waits costs memory.
	drainMax = 15 * time.Minute
	// drainingMax is how many ended executions and ends of jobs of one client do so at once: some 20 MB.
	drainingMax = 2000
	// batchSizeDefault is how many reports one request carries. The ledger takes 10,000, but a thousand with the longest
	// names stay well below its limit of 16 MiB, and a thousand are all the labels that an execution has.
	batchSizeDefault = 1000
	// requestWait bounds one try. The ledger itself waits up to 5 s for its projection before it answers a start.
	requestWait = 15 * time.Second
	// requestsMax is how many requests of one client are under way at once, so that ten thousand executions do not
	// become ten thousand connections. Fewer would saturate a server, but not one whose projection lags: a start then
	// takes 5 s, and must not hold up the reports of others.
	requestsMax = 32
	// pauseMin is the pause after the first failure; it doubles with each further one, up to pauseMax.
	pauseMin = 100 * time.Millisecond
	pauseMax = 15 * time.Second
	// failureMemory is how long after a failure a client goes by it. In an outage the next one comes sooner, as long as
	// anything tries; after it, nobody knows.
	failureMemory = 2 * (requestWait + pauseMax)
	// outageWaitMin is the shortest wait for the last reports that says something about the ledger when it was in vain.
	outageWaitMin = time.Second
	// secondSignalMin is how long after the first signal a second one counts.
	secondSignalMin = time.Second
	// retryAfterMax is the longest Retry-After that is believed.
	retryAfterMax = time.Minute
	// callRetryMax is how long reading, and what manages jobs, is tried again while the ledger cannot be reached.
	callRetryMax = 10 * time.Second
	// watchOutageMax is how long a watch keeps trying to resume.
	watchOutageMax = time.Hour
	// watchIdleTimeout is how long a live stream may say nothing, heartbeats included, before it is taken for dead.
	watchIdleTimeout = 45 * time.Second
	// pollWait is how long one long poll waits for a change; the ledger waits 30 s at most.
	pollWait = 25 * time.Second
	// responseBytesMax is the longest answer that is held in memory. A page of 1,000 events with long names is shorter.
	responseBytesMax = 64 << 20
	// pageSize is how many items an Iterator fetches at once; the ledger gives 1,000 at most.
	pageSize = 500
	// ownWritesMax is how many jobs a client remembers its last event of: some 1.5 MB.
	ownWritesMax = 10_000
	// logPauseMin keeps a ledger that comes and goes from filling the log.
	logPauseMin = time.Minute
)

// checkText tells whether the ledger could record a text: valid UTF-8 without NUL, of so many Unicode scalars.
func checkText(field, text string, scalarsMin, scalarsMax int) error {
	switch {
	case !utf8.ValidString(text):
		return &InvalidError{Field: field, Problem: "is not valid UTF-8"}
	case strings.IndexByte(text, 0) >= 0:
		return &InvalidError{Field: field, Problem: "contains NUL"}
	}
	scalars := utf8.RuneCountInString(text)
	if scalars < scalarsMin {
		return &InvalidError{Field: field, Problem: "is empty"}
	}
	if scalars > scalarsMax {
		problem := fmt.Sprintf("has %d Unicode scalars; %d are the most", scalars, scalarsMax)
		return &InvalidError{Field: field, Problem: problem}
	}
	return nil
}

// checkIncrement tells whether the ledger could record an increment.
func checkIncrement(field string, n int64) error {
	if n < 0 {
		return &InvalidError{Field: field, Problem: fmt.Sprintf("is %d; an increment is never negative", n)}
	}
	if n > IncrementMax {
		problem := fmt.Sprintf("is %d; one increment is at most %d", n, int64(IncrementMax))
		return &InvalidError{Field: field, Problem: problem}
	}
	return nil
}
