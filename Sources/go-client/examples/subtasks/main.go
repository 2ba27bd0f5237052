// Subtasks runs a job whose root task declares n units of work, and whose n subtasks do one unit each.
//
// It prints the job's progress at the end.
//
//	PROGRESS_LEDGER_URL=http://127.0.0.1:8080 go run ./examples/subtasks
package main

import (
	"context"
	"fmt"
	"log"
	"sync"

	ledger "github.com/progress-ledger/progress-ledger/Sources/go-client"
)

const n = 10

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
	job, err := client.CreateJob(ctx, "subtasks")
	if err != nil {
		return err
	}
	if err := job.Run(ctx, "root", root); err != nil {
		return err
	}
	var subtasks sync.WaitGroup
	for i := 0; i < n; i++ {
		name := fmt.Sprintf("subtask-%d", i)
		subtasks.Add(1)
		go func() {
			defer subtasks.Done()
			if err := job.Run(ctx, name, subtask); err != nil {
				log.Printf("%s: %v", name, err)
			}
		}()
	}
	subtasks.Wait()
	if err := job.Finish(ctx, ledger.JobCompleted); err != nil {
		return err
	}
	snapshot, err := job.Wait(ctx)
	if err != nil {
		return err
	}
	for _, indicator := range snapshot.Progress {
		fmt.Println(indicator)
	}
	return nil
}

// root declares all the work.
func root(ctx context.Context) error {
	return ledger.DefaultProgress().Add(ctx, n)
}

// subtask does one unit of work.
func subtask(ctx context.Context) error {
	return ledger.DefaultProgress().Done(ctx, 1)
}
