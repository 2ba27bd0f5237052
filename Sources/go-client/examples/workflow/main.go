// Workflow runs a job of dependent tasks: four of step1, four of step2 that each need one of step1, and finalize.
//
// Some tasks fail at first, before or after their report, and are repeated. The numbers are correct nevertheless,
// because only the last execution of a task counts.
//
//	PROGRESS_LEDGER_URL=http://127.0.0.1:8080 go run ./examples/workflow
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"

	ledger "github.com/progress-ledger/progress-ledger/Sources/go-client"
)

const (
	n           = 4
	attemptsMax = 3
)

func main() {
	log.SetFlags(0)
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	client, err := ledger.NewClient("")
	if err != nil {
		return err
	}
	defer client.Close()
	job, err := client.CreateJob(ctx, "workflow")
	if err != nil {
		return err
	}
	if err := perform(ctx, job); err != nil {
		// The error of the work matters more than one of reporting it.
		_ = job.Finish(ctx, ledger.JobFailed)
		return err
	}
	if err := job.Finish(ctx, ledger.JobCompleted); err != nil {
		return err
	}
	snapshot, err := job.Wait(ctx)
	if err != nil {
		return err
	}
	for _, indicator := range snapshot.Progress {
		fmt.Printf("%s: %d/%d\n", indicator.Label, indicator.Done, indicator.Total)
	}
	return nil
}

// perform runs each task after its dependencies.
func perform(ctx context.Context, job *ledger.Job) error {
	if err := attempt(ctx, job, "root", declare); err != nil {
		return err
	}
	var chains sync.WaitGroup
	failures := make(chan error, n)
	for i := 0; i < n; i++ {
		i := i
		chains.Add(1)
		go func() {
			defer chains.Done()
			err := attempt(ctx, job, fmt.Sprintf("step1-%d", i), unit("step1", i))
			if err == nil {
				err = attempt(ctx, job, fmt.Sprintf("step2-%d", i), unit("step2", i))
			}
			if err != nil {
				failures <- err
			}
		}()
	}
	chains.Wait()
	close(failures)
	if err := <-failures; err != nil {
		return err
	}
	return attempt(ctx, job, "finalize", unit("finalize", 0))
}

// work is the work of one attempt at a task.
type work func(ctx context.Context, attempt int) error

// attempt repeats a task until it succeeds.
func attempt(ctx context.Context, job *ledger.Job, task string, do work) error {
	var err error
	for number := 1; number <= attemptsMax; number++ {
		err = job.Run(ctx, task, func(ctx context.Context) error { return do(ctx, number) }, ledger.Attempt(number))
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s failed %d times: %w", task, attemptsMax, err)
}

// declare declares the work of all steps.
func declare(ctx context.Context, _ int) error {
	if err := ledger.Progress("finalize").Add(ctx, 1); err != nil {
		return err
	}
	if err := ledger.Progress("step1").Add(ctx, n); err != nil {
		return err
	}
	return ledger.Progress("step2").Add(ctx, n)
}

// unit does one unit of work. The second task of each step fails after its report, the third one before.
func unit(label string, i int) work {
	return func(ctx context.Context, attempt int) error {
		if i == 2 && attempt == 1 {
			return errors.New("failed before it reported")
		}
		if err := ledger.Progress(label).Done(ctx, 1); err != nil {
			return err
		}
		if i == 1 && attempt < attemptsMax {
			return errors.New("failed after it reported")
		}
		return nil
	}
}
