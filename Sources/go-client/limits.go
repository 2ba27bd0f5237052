package ledger

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of the ledger for reporters.
//
// They are part of the ledger's specification; the server returns all of them at /v1/limits. Calls that exceed them are
// refused at once, because the mistake is in the call.
const (
	// IncrementMax is the largest increment of one Add or Done: 2^53 - 1, which every JSON parser holds exactly.
	// Sums are exact at any size.
	IncrementMax = 1<<53 - 1
	// LabelScalarsMax is the maximum length of a label, in Unicode scalars.
	LabelScalarsMax = 100
	// LabelsMax is the maximum number of indicators of one execution, including the default indicator.
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
	// executionScalarsMax is the maximum length of the name of an execution.
	executionScalarsMax = 200
)

// Limits of this package for queues, retries and waits, with their reasons.
const (
	// The intervals, pauses and limits of reports are those of all clients: see Reporting.md of the Swift client, and the
	// table Tests/reporter-contract/cases.json.

	// intervalDefault is the time for which increments are collected before they are sent.
	intervalDefault = time.Second
	intervalMax     = time.Second
	// closeWaitDefault is how long the end of an execution waits for its last reports. It outlasts the restart of a
	// server. All ends in one outage share it.
	closeWaitDefault = 5 * time.Second
	// lastWaitPart is the fraction of the close wait that the ends of a job and of the client have for one more try after
	// the ends of executions have used the rest in an outage: a twentieth each, 250 ms.
	lastWaitPart = 20
	// flushWaitMax limits a Flush whose context has no deadline.
	flushWaitMax = time.Minute
	// checkIntervalDefault is how often an execution checks whether it is superseded. A zombie continues for that long;
	// each check costs the ledger one more query.
	checkIntervalDefault = 10 * time.Second
	// heartbeatInterval is the time without anything to send after which an execution repeats its start, which shows that
	// it lives. The ledger allows half as long again until the execution is silent.
	heartbeatInterval = 30 * time.Second
	// checkIntervalMin limits a thousand executions to ten thousand checks per second.
	checkIntervalMin = 100 * time.Millisecond
	// drainMax is how long after its end an execution keeps trying to deliver its reports in an outage. Longer outages
	// are rare, and undelivered reports cost memory.
	drainMax = 15 * time.Minute
	// drainingMax is how many ended executions, and ends of jobs, of one client do so at once: some 20 MB.
	drainingMax = 2000
	// batchSizeDefault is the maximum number of reports in one request. The ledger accepts 10,000, but a thousand with the
	// longest names stay well below its limit of 16 MiB, and an execution has a thousand labels at most.
	batchSizeDefault = 1000
	// requestWait limits one try. The ledger itself waits up to 5 s for its projection before it responds to a start.
	requestWait = 15 * time.Second
	// requestsMax limits the requests of one client that are in flight, so that ten thousand executions do not open ten
	// thousand connections. Fewer would saturate a healthy server, but not one whose projection lags: a start then takes
	// 5 s and must not delay the reports of other executions.
	requestsMax = 32
	// pauseMin is the pause after the first failure. It doubles with each further one, up to pauseMax.
	pauseMin = 200 * time.Millisecond
	pauseMax = 30 * time.Second
	// failureMemory is how long after a failure an outage is assumed to last. While anything retries, the next failure
	// comes sooner.
	failureMemory = retryAfterMax + retryAfterMax/10 + requestWait
	// outageWaitMin is the shortest timed-out wait for the last reports that counts as an outage.
	outageWaitMin = time.Second
	// secondSignalMin is the time after the first signal from which a second one ends the process at once.
	secondSignalMin = time.Second
	// retryAfterMax limits the effect of a Retry-After header.
	retryAfterMax = 300 * time.Second
	// retryAfterSpread is the part of such a pause that is added at most, because all executions are asked for the same.
	retryAfterSpread = 0.1
	// callRetryMax is how long reads, and the creation of jobs, are retried while the ledger is unreachable.
	callRetryMax = 10 * time.Second
	// watchOutageMax is how long a watch tries to resume.
	watchOutageMax = time.Hour
	// watchIdleTimeout is the time without data, heartbeats included, after which a stream is considered dead.
	watchIdleTimeout = 45 * time.Second
	// pollWait is how long one long poll waits for a change. The ledger waits 30 s at most.
	pollWait = 25 * time.Second
	// responseBytesMax limits a response held in memory. A page of 1,000 events with long names is shorter.
	responseBytesMax = 64 << 20
	// pageSize is the number of items that an Iterator fetches at once. The ledger returns 1,000 at most.
	pageSize = 500
	// ownWritesMax limits the jobs whose last own event a client remembers: some 1.5 MB.
	ownWritesMax = 10_000
	// logPauseMin is the minimum time between two logged outages, so that an unstable ledger does not fill the log.
	logPauseMin = time.Minute
)

// checkText validates a text as the ledger does.
//
// It must be UTF-8 without NUL, with a limited number of Unicode scalars.
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
		problem := fmt.Sprintf("has %d Unicode scalars; the maximum is %d", scalars, scalarsMax)
		return &InvalidError{Field: field, Problem: problem}
	}
	return nil
}

// checkIncrement validates an increment as the ledger does.
func checkIncrement(field string, n int64) error {
	if n < 0 {
		return &InvalidError{Field: field, Problem: fmt.Sprintf("is %d; an increment must not be negative", n)}
	}
	if n > IncrementMax {
		problem := fmt.Sprintf("is %d; the maximum of one increment is %d", n, int64(IncrementMax))
		return &InvalidError{Field: field, Problem: problem}
	}
	return nil
}
