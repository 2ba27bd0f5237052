package ledger

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Tests of whole processes use processes of the test program, which play a role instead of running tests.

// playRole runs such a process.
//
// It prints "ready" in the state that the test needs, and then reads its standard input.
func playRole(role string) {
	client, err := NewClient("", WithLogger(&recordingLogger{}))
	if err != nil {
		panic(err)
	}
	if role == "attached" {
		playAttached(client)
		return
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
		// Flushed reports are safe. Later ones are lost with the process.
		report(3)
		if err := execution.Flush(ctx); err != nil {
			panic(err)
		}
		report(100)
	case "terminated":
		client.FlushOnSignal()
		report(7)
	case "two clients":
		client.FlushOnSignal()
		report(7)
		slow, err := NewClient(os.Getenv("PROGRESS_LEDGER_SLOW_URL"), WithLogger(&recordingLogger{}))
		if err != nil {
			panic(err)
		}
		slow.FlushOnSignal()
		_, other, err := slow.Job(os.Getenv("PROGRESS_LEDGER_JOB")).StartExecution(context.Background(), "other")
		if err != nil {
			panic(err)
		}
		if err := other.Done("slow", 9); err != nil {
			panic(err)
		}
	case "context":
		// A program that handles the signal itself.
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
		defer stop()
		defer client.Close()
		_ = job.Run(ctx, "child in a context", func(ctx context.Context) error {
			report := DefaultProgress().Done(ctx, 7)
			fmt.Println("ready")
			<-ctx.Done()
			if report != nil {
				return report
			}
			return ctx.Err()
		})
		return
	case "hanging":
		client.FlushOnSignal()
		report(1)
	case "returns":
		defer execution.Close()
		report(11)
		return
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startChild starts a process that plays a role, and waits until it is ready.
func startChild(t *testing.T, role, url string, job *Job, environment ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	must(t, err)
	command := exec.Command(program)
	command.Env = append(os.Environ(),
		"PROGRESS_LEDGER_TEST_ROLE="+role, "PROGRESS_LEDGER_URL="+url, "PROGRESS_LEDGER_JOB="+job.ID)
	command.Env = append(command.Env, environment...)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	must(t, err)
	output, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())
	t.Cleanup(func() { _ = input.Close() })
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "ready" {
		t.Fatalf("the child printed %q, %v", line, err)
	}
	return command
}

func TestReportsOfAKilledProcessCountOnce(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	// Each response is lost once, so each report is sent twice.
	proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault { return fault{cutAfter: before%2 == 0} })
	command := startChild(t, "killed", proxy.URL, job)
	must(t, command.Process.Kill())
	_ = command.Wait()
	expectProgress(t, job, "(default): 3/0")
	// The next execution starts from zero.
	ctx, execution := start(t, job, "child")
	must(t, DefaultProgress().Done(ctx, 5))
	must(t, execution.Finish(ctx, Succeeded))
	expectProgress(t, job, "(default): 5/0")
}

// expectEndBy fails the test unless the signal ends the process.
func expectEndBy(t *testing.T, command *exec.Cmd, want syscall.Signal) {
	t.Helper()
	err := command.Wait()
	status, isStatus := command.ProcessState.Sys().(syscall.WaitStatus)
	if !isStatus || !status.Signaled() || status.Signal() != want {
		t.Errorf("it ended with %v instead of by %v", err, want)
	}
}

func TestASignalCancelsTheExecutionSendsEverythingAndEndsTheProcess(t *testing.T) {
	for _, received := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT} {
		received := received
		t.Run(received.String(), func(t *testing.T) {
			t.Parallel()
			job := newTestJob(t, newTestClient(t, sharedURL(t)))
			command := startChild(t, "terminated", sharedURL(t), job)
			must(t, command.Process.Signal(received))
			expectEndBy(t, command, received)
			expectProgress(t, job, "(default): 7/0")
			if counts := settledSnapshot(t, job).Tasks; counts.Canceled != 1 || counts.Running != 0 {
				t.Errorf("the tasks are %+v", counts)
			}
		})
	}
}

func TestASignalDoesNotEndTheProcessWhileAnotherClientSends(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault {
		return fault{slow: 200 * time.Millisecond}
	})
	t.Setenv("PROGRESS_LEDGER_SLOW_URL", proxy.URL)
	command := startChild(t, "two clients", sharedURL(t), job)
	must(t, command.Process.Signal(syscall.SIGTERM))
	expectEndBy(t, command, syscall.SIGTERM)
	snapshot := settledSnapshot(t, job)
	if slow, _ := snapshot.Indicator("slow"); slow.Done.String() != "9" || snapshot.Tasks.Canceled != 2 {
		t.Errorf("the snapshot is %+v", snapshot)
	}
}

func TestACanceledContextEndsTheExecutionAsCanceledAndSendsEverything(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	command := startChild(t, "context", sharedURL(t), job)
	must(t, command.Process.Signal(syscall.SIGTERM))
	if err := command.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	settledSnapshot(t, job)
	tasks := job.Tasks(testContext(t), TaskFilter{State: TaskCanceled})
	if !tasks.Next() || tasks.Value().Task != "child in a context" ||
		tasks.Value().Executions[0].Progress[0].Done.String() != "7" {
		t.Errorf("the task is %+v, %v", tasks.Value(), tasks.Err())
	}
}

func TestOnlyASecondSignalAfterASecondEndsTheProcessAtOnce(t *testing.T) {
	job := newTestJob(t, newTestClient(t, sharedURL(t)))
	command := startChild(t, "hanging", unresponsiveServer(t), job)
	began := time.Now()
	must(t, command.Process.Signal(syscall.SIGTERM))
	must(t, command.Process.Signal(syscall.SIGTERM))
	timer := time.AfterFunc(secondSignalMin+200*time.Millisecond, func() { _ = command.Process.Signal(syscall.SIGTERM) })
	defer timer.Stop()
	expectEndBy(t, command, syscall.SIGTERM)
	if waited := time.Since(began); waited < secondSignalMin || waited > closeWaitDefault-500*time.Millisecond {
		t.Errorf("it ended after %v", waited)
	}
}

func TestAnIgnoredSignalStaysIgnored(t *testing.T) {
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	stop := newTestClient(t, "http://127.0.0.1:1").FlushOnSignal(nil, syscall.SIGHUP)
	defer stop()
	if !signal.Ignored(syscall.SIGHUP) {
		t.Error("SIGHUP is not ignored any more")
	}
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
	snapshot := settledSnapshot(t, job)
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
