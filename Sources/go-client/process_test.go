package ledger

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What happens to a whole process is tested with processes of this very program, which play a role instead of running
// tests.

// playRole is what such a process does. It says on its standard output when it is where the test wants it, and does
// what is written to its standard input.
func playRole(role string) {
	client, err := NewClient("", WithLogger(&quiet{}))
	if err != nil {
		panic(err)
	}
	job := client.Job(os.Getenv("PROGRESS_LEDGER_JOB"))
	ctx, execution, err := job.StartExecution(context.Background(), "child")
	if err != nil {
		panic(err)
	}
	report := func(n int64) {
		if err := DefaultProgress().Done(ctx, n); err != nil {
			panic(err)
		}
	}
	switch role {
	case "killed":
		// What is flushed is safe; what comes after it is lost with the process.
		report(3)
		if err := execution.Flush(ctx); err != nil {
			panic(err)
		}
		report(100)
	case "terminated":
		client.FlushOnSignal()
		report(7)
	case "returns":
		defer execution.Close()
		report(11)
		return
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// child starts a process that plays a role, and waits until it is ready.
func child(t *testing.T, role, url string, job *Job) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	must(t, err)
	command := exec.Command(program)
	command.Env = append(os.Environ(),
		"PROGRESS_LEDGER_TEST_ROLE="+role, "PROGRESS_LEDGER_URL="+url, "PROGRESS_LEDGER_JOB="+job.ID)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	must(t, err)
	output, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())
	t.Cleanup(func() { _ = input.Close() })
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "ready" {
		t.Fatalf("the child said %q, %v", line, err)
	}
	return command
}

func TestAKilledProcessLeavesWhatItSentAndNothingTwice(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	// Each answer is lost once, so each report was sent twice.
	proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault { return fault{cutAfter: before%2 == 0} })
	command := child(t, "killed", proxy.URL, job)
	must(t, command.Process.Kill())
	_ = command.Wait()
	expectProgress(t, job, "(default): 3/0")
	// The run that takes its place begins from nothing.
	ctx, execution := start(t, job, "child")
	must(t, DefaultProgress().Done(ctx, 5))
	must(t, execution.Finish(ctx, Succeeded))
	expectProgress(t, job, "(default): 5/0")
}

func TestSIGTERMFlushesAndEndsTheProcess(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	command := child(t, "terminated", sharedURL(t), job)
	must(t, command.Process.Signal(syscall.SIGTERM))
	err := command.Wait()
	status, isStatus := command.ProcessState.Sys().(syscall.WaitStatus)
	if !isStatus || !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v instead of by the signal", err)
	}
	expectProgress(t, job, "(default): 7/0")
}

func TestAProcessThatReturnsHasDeliveredEverything(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	program, err := os.Executable()
	must(t, err)
	command := exec.Command(program)
	command.Env = append(os.Environ(), "PROGRESS_LEDGER_TEST_ROLE=returns", "PROGRESS_LEDGER_URL="+sharedURL(t),
		"PROGRESS_LEDGER_JOB="+job.ID)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	expectProgress(t, job, "(default): 11/0")
}

func TestThousandsOfGoroutinesLoseNothing(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault {
		return fault{cutAfter: before%4 == 0, cutBefore: before%4 == 2}
	})
	client := newTestClient(t, proxy.URL, WithInterval(5*time.Millisecond))
	const executions, goroutines, calls = 8, 500, 50
	var all sync.WaitGroup
	for e := 0; e < executions; e++ {
		ctx, execution := start(t, client.Job(job.ID), fmt.Sprint("task-", e))
		var reporters sync.WaitGroup
		for g := 0; g < goroutines; g++ {
			g := g
			reporters.Add(1)
			go func() {
				defer reporters.Done()
				label := Progress(fmt.Sprint("label-", g%10))
				for c := 0; c < calls; c++ {
					if err := label.Add(ctx, 2); err != nil {
						t.Error(err)
					}
					if err := label.Done(ctx, 1); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		all.Add(1)
		go func() {
			defer all.Done()
			reporters.Wait()
			if err := execution.Finish(testContext(t), Succeeded); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	snapshot := settled(t, job)
	if len(snapshot.Progress) != 10 {
		t.Errorf("there are %d indicators", len(snapshot.Progress))
	}
	for _, indicator := range snapshot.Progress {
		done, _ := indicator.Done.Int64()
		total, _ := indicator.Total.Int64()
		if done != executions*goroutines*calls/10 || total != 2*done {
			t.Errorf("the ledger says %v", indicator)
		}
	}
	if snapshot.Tasks.Succeeded != executions {
		t.Errorf("%d executions succeeded", snapshot.Tasks.Succeeded)
	}
}
