package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"testing"
	"time"
)

// contractTable is the table of cases that all clients share; its README describes the fields.
type contractTable struct {
	Contract map[string]float64 `json:"contract"`
	Cases    []contractCase     `json:"cases"`
}

type contractCase struct {
	Name           string            `json:"name"`
	Calls          []contractCall    `json:"calls"`
	Replies        []contractReply   `json:"replies"`
	Until          float64           `json:"until"`
	AfterLast      *float64          `json:"seconds_after_last"`
	Requests       []contractRequest `json:"requests"`
	Statistics     map[string]any    `json:"statistics"`
	SupersededFrom *float64          `json:"superseded_from"`
	JobEnds        []JobState        `json:"job_ends"`
	// IsAttached is true if another process has started the execution.
	IsAttached bool `json:"attached"`
}

type contractCall struct {
	At      float64 `json:"at"`
	Call    string  `json:"call"`
	Label   string  `json:"label"`
	N       int64   `json:"n"`
	Count   int     `json:"count"`
	Outcome Outcome `json:"outcome"`
	Message string  `json:"message"`
	Link    string  `json:"link"`
	Unit    string  `json:"unit"`
}

// notes returns the notes of the call.
func (c contractCall) notes() notes {
	var options []Note
	if c.Message != "" {
		options = append(options, Message(c.Message))
	}
	if c.Link != "" {
		options = append(options, Link(c.Link))
	}
	return notesOf(options)
}

type contractReply struct {
	Reply      string   `json:"reply"`
	After      float64  `json:"after"`
	Status     int      `json:"status"`
	IsProblem  bool     `json:"problem"`
	RetryAfter *int     `json:"retry_after"`
	Refused    []int    `json:"refused"`
	Pointers   []string `json:"pointers"`
	Verdict    Verdict  `json:"verdict"`
	JobState   JobState `json:"job_state"`
}

type contractRequest struct {
	At      []float64 `json:"at"`
	Pause   []float64 `json:"pause"`
	Events  []event   `json:"events"`
	Reports []int64   `json:"reports"`
}

// expectedEvents returns the events of the request, with the identity of the execution.
func (r contractRequest) expectedEvents(execution identity) []event {
	events := append([]event(nil), r.Events...)
	if len(r.Reports) == 2 {
		for report := r.Reports[0]; report <= r.Reports[1]; report++ {
			label := fmt.Sprint("label ", report-r.Reports[0])
			events = append(events, event{Type: "progress", Report: report, Label: label, Done: 1})
		}
	}
	for i := range events {
		events[i].Task, events[i].Execution, events[i].Attempt = execution.task, execution.execution, execution.attempt
	}
	return events
}

// simulation runs one case: the task's calls, the client's decisions and the server's replies, by one clock.
type simulation struct {
	contractCase
	delivery delivery
	random   float64
	began    time.Time
	now      time.Time
	answered time.Time
	requests []simulatedRequest
	// jobEnds are the ends of the job that the task was notified of.
	jobEnds []JobState
	// inFlight is the step whose reply arrives at answered; nil without a request.
	inFlight *step
	reply    contractReply
}

type simulatedRequest struct {
	at, pause float64
	events    []event
}

func newSimulation(c contractCase, random float64) *simulation {
	s := &simulation{contractCase: c, random: random, began: time.Now()}
	s.now, s.answered = s.began, s.began
	s.delivery = delivery{
		interval: intervalDefault, checkInterval: checkIntervalDefault, isStartAllowed: true, batchSizeMax: batchSizeDefault,
		support: &fieldSupport{},
	}
	identity := identity{task: "tile-17", execution: "e", attempt: 2}
	s.delivery.buffer.identity = identity
	if c.IsAttached {
		identity.part = "part"
		s.delivery.attach(identity)
	}
	return s
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func (s *simulation) run() {
	isStarted := false
	for {
		var waitUntil time.Time
		if s.inFlight == nil && isStarted {
			next := s.delivery.next(s.now)
			switch next.kind {
			case stepStart:
				start := s.delivery.buffer.identity.event("execution_started")
				start.Link = s.delivery.link
				s.send(next, []event{start})
				continue
			case stepSend:
				s.send(next, next.batch.events)
				continue
			case stepCheck:
				s.delivery.checked(s.now)
				s.delivery.isSuperseded = s.delivery.isSuperseded || s.isSuperseded()
				continue
			case stepStop:
				s.delivery.abandon()
			case stepWait:
				waitUntil = next.until
			}
		}
		moment, isCall := waitUntil, false
		if s.inFlight != nil {
			moment = s.answered
		}
		if len(s.Calls) > 0 {
			if at := s.began.Add(seconds(s.Calls[0].At)); moment.IsZero() || !at.After(moment) {
				moment, isCall = at, true
			}
		}
		if moment.IsZero() || moment.After(s.end()) {
			return
		}
		s.now = moment
		switch {
		case isCall:
			call := s.Calls[0]
			s.Calls = s.Calls[1:]
			isStarted = isStarted || call.Call == "start"
			s.call(call)
		case s.inFlight != nil:
			s.receive()
		}
	}
}

// end returns the end of the simulation.
func (s *simulation) end() time.Time {
	end := s.began.Add(seconds(s.Until))
	if s.AfterLast == nil || len(s.requests) < len(s.Requests) {
		return end
	}
	if early := s.answered.Add(seconds(*s.AfterLast)); early.Before(end) {
		return early
	}
	return end
}

// call makes a call of the task.
func (s *simulation) call(call contractCall) {
	now := fixedClock(s.now)
	switch call.Call {
	case "start":
		s.delivery.link = call.Link
	case "add", "set_total":
		s.report(call, detailedReport{total: call.N, isPosition: call.Call == "set_total"})
	case "done", "set_done", "skip":
		s.report(call, detailedReport{done: call.N, isPosition: call.Call == "set_done", carried: call.Call == "skip"})
	case "done_labels":
		for i := 0; i < call.Count; i++ {
			_, _ = s.delivery.report(fmt.Sprint("label ", i), 0, 1, now)
		}
	case "flush":
		s.delivery.flush()
	case "finish":
		s.delivery.endNotes = call.notes()
		s.delivery.end(call.Outcome, s.now)
	}
}

// report reports the units of a call with its notes, as ProgressReporter does.
func (s *simulation) report(call contractCall, r detailedReport) {
	now := fixedClock(s.now)
	r.label, r.unit, r.notes = call.Label, call.Unit, call.notes()
	if !r.isPosition && !r.carried && r.unit == "" && call.Message+call.Link == "" {
		_, _ = s.delivery.report(r.label, r.total, r.done, now)
		return
	}
	_, _ = s.delivery.reportDetailed(r, now)
}

// send starts a request.
func (s *simulation) send(next step, events []event) {
	events = append([]event(nil), events...)
	for i := range events {
		if events[i].Report > 1<<52 {
			events[i].Report = -1
		}
	}
	s.requests = append(s.requests, simulatedRequest{
		at: s.now.Sub(s.began).Seconds(), pause: s.now.Sub(s.answered).Seconds(), events: events,
	})
	s.inFlight = &next
	s.reply = contractReply{Reply: "accept"}
	if len(s.Replies) > 0 {
		s.reply = s.Replies[0]
		s.Replies = s.Replies[1:]
	}
	s.answered = s.now.Add(seconds(s.reply.After))
	if s.reply.Reply == "none" {
		s.answered = s.now.Add(requestWait)
	}
}

func (s *simulation) isSuperseded() bool {
	return s.SupersededFrom != nil && s.now.Sub(s.began) >= seconds(*s.SupersededFrom)
}

// response returns the server's response to the request in flight.
func (s *simulation) response() (*httpResponse, error) {
	switch s.reply.Reply {
	case "away", "lost", "none":
		return nil, errors.New(s.reply.Reply)
	case "accept":
		return &httpResponse{status: http.StatusCreated, header: http.Header{"Content-Type": {"application/json"}}}, nil
	}
	response := &httpResponse{status: s.reply.Status, header: http.Header{"Content-Type": {"text/html"}}}
	if s.reply.IsProblem {
		problem := Problem{Title: "no", JobState: s.reply.JobState}
		for _, position := range s.reply.Refused {
			problem.Errors = append(problem.Errors, FieldProblem{Pointer: "/" + strconv.Itoa(position) + "/done"})
		}
		for _, pointer := range s.reply.Pointers {
			problem.Errors = append(problem.Errors, FieldProblem{Pointer: pointer})
		}
		response.header.Set("Content-Type", "application/problem+json")
		response.body, _ = json.Marshal(problem)
	}
	if s.reply.RetryAfter != nil {
		response.header.Set("Retry-After", strconv.Itoa(*s.reply.RetryAfter))
	}
	return response, nil
}

// receive settles the request in flight.
func (s *simulation) receive() {
	sent := *s.inFlight
	s.inFlight = nil
	response, err := s.response()
	found, cause := classify(response, err)
	if found == accepted {
		s.delivery.jobHasState(s.reply.JobState)
	}
	defer func() {
		if ended := s.delivery.takeJobEnd(); ended != "" {
			s.jobEnds = append(s.jobEnds, ended)
		}
	}()
	switch {
	case found == retryable || found == rejected && s.delivery.isPartUncertain(cause):
		s.delivery.requestFailed(cause, s.now, retryAfter(response), s.random)
	case sent.kind == stepStart && found == accepted:
		s.delivery.startWasRecorded(2, 2, s.now)
		s.delivery.isSuperseded = s.isSuperseded()
	case sent.kind == stepStart:
		s.delivery.startWasRejected(cause)
	case found == oversized:
		s.delivery.tooLarge(cause)
	case found == rejected:
		s.delivery.rejected(cause, len(sent.batch.events))
	default:
		var verdicts []Verdict
		if sent.isCheck {
			verdict := s.reply.Verdict
			if verdict == "" && s.isSuperseded() {
				verdict = VerdictSuperseded
			}
			for range sent.batch.events {
				verdicts = append(verdicts, verdict)
			}
		}
		isSuperseded, _ := s.delivery.accepted(verdicts, s.now, sent.isCheck)
		s.delivery.isSuperseded = s.delivery.isSuperseded || isSuperseded
	}
}

// statistics returns the statistics by the names of the table.
func (s *simulation) statistics() map[string]any {
	stats := s.delivery.stats()
	found := map[string]any{
		"taken": float64(stats.Taken), "refused": float64(stats.Refused), "delivered": float64(stats.Delivered),
		"discarded": float64(stats.Discarded), "dropped": float64(stats.Dropped), "pending": float64(stats.Pending),
		"failures": float64(stats.Failures), "is_superseded": stats.IsSuperseded, "has_error": stats.LastError != nil,
	}
	if stats.JobEnded != "" {
		found["job_ended"] = string(stats.JobEnded)
	}
	return found
}

func readContract(t *testing.T, name string) contractTable {
	t.Helper()
	content, err := os.ReadFile("../../Tests/reporter-contract/" + name)
	must(t, err)
	var table contractTable
	must(t, json.Unmarshal(content, &table))
	return table
}

func TestEveryCaseOfTheReporterContract(t *testing.T) {
	cases, more := readContract(t, "cases.json").Cases, readContract(t, "notes-and-parts.json").Cases
	if len(cases) == 0 || len(more) == 0 {
		t.Fatal("the table has no cases")
	}
	for _, c := range append(cases, more...) {
		for _, random := range []float64{0, 0.5, 1} {
			c, random := c, random
			t.Run(fmt.Sprint(c.Name, " ", random), func(t *testing.T) {
				s := newSimulation(c, random)
				s.run()
				s.check(t)
			})
		}
	}
}

// check compares the requests and the statistics with the case.
func (s *simulation) check(t *testing.T) {
	t.Helper()
	if len(s.requests) != len(s.Requests) {
		t.Fatalf("there are %d requests, not %d: %+v", len(s.requests), len(s.Requests), s.requests)
	}
	for i, request := range s.requests {
		expected := s.Requests[i]
		moment, bounds := request.at, expected.At
		if bounds == nil {
			moment, bounds = request.pause, expected.Pause
		}
		const tolerance = 0.001
		if len(bounds) != 2 || moment < bounds[0]-tolerance || moment > bounds[1]+tolerance {
			t.Errorf("request %d comes at %v, not in %v", i, moment, bounds)
		}
		if events := expected.expectedEvents(s.delivery.buffer.identity); !reflect.DeepEqual(request.events, events) {
			t.Errorf("request %d has the events %+v, not %+v", i, request.events, events)
		}
	}
	if len(s.jobEnds)+len(s.JobEnds) > 0 && !reflect.DeepEqual(s.jobEnds, s.JobEnds) {
		t.Errorf("the task was notified of the ends %v, not %v", s.jobEnds, s.JobEnds)
	}
	if found := s.statistics(); !reflect.DeepEqual(found, s.Statistics) {
		t.Errorf("the statistics are %v, not %v", found, s.Statistics)
	}
}

func TestTheLimitsAreThoseOfTheReporterContract(t *testing.T) {
	found := map[string]float64{
		"report_seconds": intervalDefault.Seconds(), "request_seconds": requestWait.Seconds(),
		"pause_seconds_min": pauseMin.Seconds(), "pause_seconds_max": pauseMax.Seconds(),
		"retry_after_seconds_max": retryAfterMax.Seconds(), "retry_after_spread": retryAfterSpread,
		"events_per_request_max": batchSizeDefault, "labels_per_execution_max": LabelsMax, "increment_max": IncrementMax,
		"delivery_seconds_after_end": drainMax.Seconds(), "heartbeat_seconds": heartbeatInterval.Seconds(),
		"watch_outage_seconds_max": watchOutageMax.Seconds(),
	}
	if contract := readContract(t, "cases.json").Contract; !reflect.DeepEqual(found, contract) {
		t.Errorf("the limits are %v, not %v", found, contract)
	}
}
