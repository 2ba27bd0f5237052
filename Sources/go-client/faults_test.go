package ledger

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// reportAndFinish reports 3/5 and 2/2 on two indicators, in several requests.
func reportAndFinish(t *testing.T, job *Job) *Execution {
	t.Helper()
	ctx, execution := start(t, job, "tile")
	must(t, Progress("a").Add(ctx, 5))
	must(t, Progress("a").Done(ctx, 2))
	must(t, execution.Flush(ctx))
	must(t, Progress("b").Add(ctx, 2))
	must(t, Progress("b").Done(ctx, 1))
	must(t, execution.Flush(ctx))
	must(t, Progress("a").Done(ctx, 1))
	must(t, Progress("b").Done(ctx, 1))
	must(t, execution.Finish(ctx, Succeeded))
	return execution
}

func TestNumbersAreExactWhateverHappensToRequests(t *testing.T) {
	elsewhere := newFaultProxy(t, "", func(string, int) fault {
		return fault{status: 201, mediaType: "application/json", body: `{"first_sequence": 1, "last_sequence": 9}`}
	})
	cases := map[string]func(kind string, before int) fault{
		"every first response is lost": func(kind string, before int) fault {
			return fault{cutAfter: before%2 == 0}
		},
		"the connection is cut before each request": func(kind string, before int) fault {
			return fault{cutBefore: before%2 == 0}
		},
		"the ledger is overloaded each time": func(kind string, before int) fault {
			if before%2 == 0 {
				return fault{status: 503, retryAfter: "0", mediaType: "application/problem+json", body: `{"title": "Overloaded"}`}
			}
			return fault{}
		},
		"a proxy sends 404, and then another server responds": func(kind string, before int) fault {
			switch before % 3 {
			case 0:
				return fault{status: 404, mediaType: "text/html", body: "<h1>404</h1>"}
			case 1:
				return fault{status: 200, mediaType: "text/plain", body: `{"last_sequence": 7}`}
			}
			return fault{}
		},
		"a redirect comes first": func(kind string, before int) fault {
			if before%2 == 0 {
				// The target of the redirect claims to have recorded the report.
				return fault{status: 307, location: elsewhere.URL}
			}
			return fault{}
		},
		"the response has status 201 and is incomplete": func(kind string, before int) fault {
			if before%2 == 0 {
				return fault{status: 201, mediaType: "application/json", body: `{"first_seq`}
			}
			return fault{}
		},
		"the token is refused at first": func(kind string, before int) fault {
			if before == 0 {
				return problem(http.StatusUnauthorized, "Unauthorized")
			}
			return fault{}
		},
	}
	for name, decide := range cases {
		decide := decide
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := newTestJob(t, newTestClient(t, sharedURL(t)))
			proxy := newFaultProxy(t, sharedURL(t), decide)
			execution := reportAndFinish(t, newTestClient(t, proxy.URL).Job(job.ID))
			expectProgress(t, job, "a: 3/5", "b: 2/2")
			if stats := execution.Stats(); stats.Failures < 2 || stats.Dropped != 0 ||
				stats.Delivered != stats.Reports+2 {
				t.Errorf("the stats are %+v", stats)
			}
			tasks := job.Tasks(testContext(t), TaskFilter{})
			if !tasks.Next() || tasks.Value().State != TaskSucceeded || tasks.Value().ExecutionCount != 1 {
				t.Errorf("the task is %+v, %v", tasks.Value(), tasks.Err())
			}
		})
	}
}

func TestALostResponseIsFollowedByAnIdenticalRequest(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	lost := make(chan struct{})
	proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault {
		if kind == "POST /events" && before == 0 {
			return fault{hold: lost, cutAfter: true}
		}
		return fault{}
	})
	ctx, execution := start(t, newTestClient(t, proxy.URL).Job(job.ID), "tile")
	must(t, DefaultProgress().Done(ctx, 1))
	execution.requestFlush()
	proxy.await(t, "POST /events")
	// The first request is frozen: later increments must not join it.
	must(t, DefaultProgress().Done(ctx, 10))
	close(lost)
	must(t, execution.Finish(ctx, Succeeded))
	bodies := proxy.bodies("POST /events")
	if len(bodies) != 3 || bodies[0] != bodies[1] || bodies[1] == bodies[2] {
		t.Fatalf("the server got %q", bodies)
	}
	expectProgress(t, job, "(default): 11/0")
	duplicates := job.Events(ctx, EventFilter{Verdict: VerdictDuplicate})
	if !duplicates.Next() || *duplicates.Value().Done != 1 || duplicates.Next() {
		t.Errorf("one duplicate must be in the history: %+v, %v", duplicates.Value(), duplicates.Err())
	}
}

func TestAnExecutionSurvivesARestartOfTheServer(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		signal := signal
		t.Run(signal.String(), func(t *testing.T) {
			server := ownServer(t)
			proxy := newFaultProxy(t, server.url, nil)
			client := newTestClient(t, proxy.URL, WithInterval(time.Millisecond))
			job := newTestJob(t, client)
			ctx, execution := start(t, job, "tile")
			must(t, DefaultProgress().Add(ctx, 100))
			must(t, execution.Flush(ctx))
			stop := make(chan struct{})
			var reporters sync.WaitGroup
			reporters.Add(1)
			reported := int64(0)
			go func() {
				defer reporters.Done()
				ticker := time.NewTicker(time.Millisecond)
				defer ticker.Stop()
				for {
					select {
					case <-stop:
						return
					case <-ticker.C:
						if err := DefaultProgress().Done(ctx, 1); err != nil {
							t.Error(err)
						}
						reported++
					}
				}
			}()
			server.restart(t, signal)
			proxy.setBackend(server.url)
			close(stop)
			reporters.Wait()
			must(t, execution.Finish(ctx, Succeeded))
			expectProgress(t, job, fmt.Sprintf("(default): %d/100", reported))
			if execution.Stats().Failures == 0 {
				t.Error("no request failed: the restart was not noticed, and nothing was tested")
			}
		})
	}
}

func TestNothingWaitsForAnUnresponsiveLedgerWithoutACloseWait(t *testing.T) {
	// It accepts connections and never responds, which is the worst case.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	logged := &recordingLogger{}
	client, err := NewClient("http://"+listener.Addr().String(), WithLogger(logged), WithCloseWait(0))
	must(t, err)
	job := client.Job("0190b2c4-0000-7000-8000-000000000000")
	var executions []*Execution
	for task := 0; task < 100; task++ {
		ctx, execution, err := job.StartExecution(context.Background(), fmt.Sprint("tile-", task))
		must(t, err)
		for i := 0; i < 100; i++ {
			must(t, DefaultProgress().Done(ctx, 1))
		}
		if err := execution.Finish(ctx, Succeeded); !errors.Is(err, ErrUndelivered) {
			t.Fatalf("finishing gives %v", err)
		}
		if stats := execution.Stats(); stats.Taken != 100 || stats.Delivered != 0 || stats.IsStarted {
			t.Fatalf("the stats are %+v", stats)
		}
		executions = append(executions, execution)
	}
	soon, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := executions[0].Started(soon); !errors.Is(err, ErrUndelivered) {
		t.Errorf("waiting for the start gives %v", err)
	}
	if err := client.Close(); !errors.Is(err, ErrUndelivered) {
		t.Errorf("closing gives %v", err)
	}
	// A closed client sends nothing, and counts the start, the report and the end as dropped.
	for _, execution := range executions {
		<-execution.stopped
		if stats := execution.Stats(); stats.Dropped != 3 || stats.Pending != 0 {
			t.Fatalf("the stats are %+v", stats)
		}
	}
}

func TestTheNumberOfUndeliveredExecutionsIsLimited(t *testing.T) {
	proxy := newFaultProxy(t, "", func(string, int) fault { return fault{cutBefore: true} })
	client := newTestClient(t, proxy.URL, WithCloseWait(0))
	client.draining = drainingMax - 1
	_, last := start(t, client.Job("j"), "last")
	_, oneMore := start(t, client.Job("j"), "one more")
	_ = last.Finish(testContext(t), Succeeded)
	_ = oneMore.Finish(testContext(t), Succeeded)
	<-oneMore.stopped
	if last.Stats().Dropped != 0 || oneMore.Stats().Dropped == 0 {
		t.Errorf("the stats are %+v and %+v", last.Stats(), oneMore.Stats())
	}
}

func TestASlowLedgerGetsFewerRequests(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	release := make(chan struct{})
	proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault {
		if kind == "POST /events" && before == 0 {
			return fault{hold: release}
		}
		return fault{}
	})
	ctx, execution := start(t, newTestClient(t, proxy.URL, WithInterval(time.Millisecond)).Job(job.ID), "tile")
	must(t, DefaultProgress().Done(ctx, 1))
	proxy.await(t, "POST /events")
	for i := 0; i < 10_000; i++ {
		must(t, DefaultProgress().Done(ctx, 1))
	}
	close(release)
	must(t, execution.Flush(ctx))
	must(t, execution.Finish(ctx, Succeeded))
	expectProgress(t, job, "(default): 10001/0")
	if bodies := proxy.bodies("POST /events"); len(bodies) != 3 {
		t.Errorf("%d requests were made: %q", len(bodies), bodies)
	}
}

func TestAResponseAfterTheTimeoutChangesNothing(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault {
		if before == 0 {
			return fault{slow: 300 * time.Millisecond}
		}
		return fault{}
	})
	client := newTestClient(t, proxy.URL)
	client.requestWait = 200 * time.Millisecond
	execution := reportAndFinish(t, client.Job(job.ID))
	expectProgress(t, job, "a: 3/5", "b: 2/2")
	if stats := execution.Stats(); stats.Failures < 2 || stats.Dropped != 0 {
		t.Errorf("the stats are %+v", stats)
	}
}

func TestARefusedTokenFailsReadsAtOnce(t *testing.T) {
	proxy := newFaultProxy(t, "", func(kind string, before int) fault {
		if before > 0 {
			t.Error("it was tried again")
		}
		return problem(http.StatusUnauthorized, "Unauthorized")
	})
	_, err := newTestClient(t, proxy.URL, WithToken("wrong")).FindJob(testContext(t), "j")
	var refusal *Problem
	if !errors.As(err, &refusal) || refusal.Status != http.StatusUnauthorized || errors.Is(err, ErrUnavailable) {
		t.Errorf("it gives %v", err)
	}
}

func TestAnOutageIsLoggedOnceAndReportsAreDeliveredAfterIt(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	proxy := newFaultProxy(t, sharedURL(t), func(string, int) fault { return fault{cutBefore: true} })
	logged := &recordingLogger{}
	client, err := NewClient(proxy.URL, WithLogger(logged), WithCloseWait(0))
	must(t, err)
	defer client.Close()
	const executions = 20
	for i := 0; i < executions; i++ {
		ctx, execution := start(t, client.Job(job.ID), fmt.Sprint("tile-", i))
		must(t, DefaultProgress().Done(ctx, 1))
		// It ends during the outage, without a wait.
		_ = execution.Finish(ctx, Succeeded)
	}
	for i := 0; i < 2*executions; i++ {
		proxy.await(t, "POST /executions")
	}
	proxy.setFault(nil)
	must(t, client.Flush(testContext(t)))
	expectProgress(t, job, fmt.Sprintf("(default): %d/0", executions))
	lines := logged.all()
	if len(lines) != 2 || !strings.Contains(lines[0], "the work goes on") || !strings.Contains(lines[1], "is back") {
		t.Errorf("logged was %q", lines)
	}
}

func TestARefusedReportIsDroppedLoggedAndCountedAndBlocksNoOther(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault {
		if kind == "POST /events" && before == 0 {
			return problem(http.StatusUnprocessableEntity, "Invalid")
		}
		return fault{}
	})
	logged := &recordingLogger{}
	client := newTestClient(t, proxy.URL, WithLogger(logged))
	ctx, execution := start(t, client.Job(job.ID), "tile")
	must(t, DefaultProgress().Done(ctx, 1))
	if err := execution.Flush(ctx); !errors.Is(err, ErrUndelivered) {
		t.Errorf("flushing what is refused gives %v", err)
	}
	must(t, DefaultProgress().Done(ctx, 10))
	_ = execution.Finish(ctx, Succeeded)
	expectProgress(t, job, "(default): 10/0")
	if stats := execution.Stats(); stats.Dropped != 1 || stats.Delivered != 3 {
		t.Errorf("the stats are %+v", stats)
	}
	if lines := logged.all(); len(lines) != 1 || !strings.Contains(lines[0], "as the test wants it") {
		t.Errorf("logged was %q", lines)
	}
}

func TestAnUnknownJobIsLoggedOnceAndDoesNotHurtTheTask(t *testing.T) {
	logged := &recordingLogger{}
	client := newTestClient(t, sharedURL(t), WithLogger(logged))
	ctx, execution := start(t, client.Job("0190b2c4-0000-7000-8000-000000000000"), "tile")
	must(t, DefaultProgress().Done(ctx, 1))
	if err := execution.Started(ctx); !errors.Is(err, ErrUndelivered) {
		t.Errorf("the start gives %v", err)
	}
	<-execution.stopped
	must(t, DefaultProgress().Done(ctx, 1))
	if err := execution.Finish(ctx, Succeeded); !errors.Is(err, ErrUndelivered) {
		t.Errorf("finishing gives %v", err)
	}
	if lines := logged.all(); len(lines) == 0 || !strings.Contains(lines[0], "No such job") {
		t.Errorf("logged was %q", lines)
	}
}

func TestAnOversizedRequestIsHalved(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	proxy := newFaultProxy(t, sharedURL(t), nil)
	// The limit is that of a proxy, with its own error page.
	proxy.setFault(func(kind string, before int) fault {
		if kind == "POST /events" && before < 3 {
			return fault{status: http.StatusRequestEntityTooLarge, mediaType: "text/html", body: "too large"}
		}
		return fault{}
	})
	ctx, execution := start(t, newTestClient(t, proxy.URL).Job(job.ID), "tile")
	var want []string
	for i := 0; i < 100; i++ {
		must(t, Progress(fmt.Sprint("label ", i)).Done(ctx, int64(i)))
		want = append(want, fmt.Sprintf("label %d: %d/0", i, i))
	}
	must(t, execution.Finish(ctx, Succeeded))
	expectProgress(t, job, want...)
	if bodies := proxy.bodies("POST /events"); len(bodies) < 4 {
		t.Errorf("%d requests reached the server", len(bodies))
	}
}

func TestCreationOfAJobIsRepeatedAndCreatesOneJob(t *testing.T) {
	proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault { return fault{cutAfter: before == 0} })
	client := newTestClient(t, proxy.URL)
	key := "key of " + t.Name() + time.Now().String()
	job, err := client.CreateJob(testContext(t), "keyed", Key(key), Tag("a", "b"))
	must(t, err)
	found, err := client.FindJobByKey(testContext(t), key)
	must(t, err)
	if found.ID != job.ID || found.Tags["a"] != "b" {
		t.Errorf("found was %+v", found)
	}
	if _, err := client.CreateJob(testContext(t), "another", Key(key)); !errors.Is(err, ErrConflict) {
		t.Errorf("a key that is taken gives %v", err)
	}
	proxy.setFault(func(kind string, before int) fault { return fault{cutAfter: before == 0} })
	name := "keyless " + time.Now().String()
	created, err := client.CreateJob(testContext(t), name)
	must(t, err)
	if bodies := proxy.bodies("POST /jobs"); strings.Count(strings.Join(bodies, ""), name) != 2 {
		t.Errorf("it was not repeated once: %q", bodies)
	}
	if jobs := client.ListJobs(testContext(t), JobFilter{Name: name}); !jobs.Next() || jobs.Value().ID != created.ID || jobs.Next() {
		t.Errorf("there are other jobs with the name")
	}
}
