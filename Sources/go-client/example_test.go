package ledger_test

import (
	"context"
	"fmt"
	"log"

	ledger "github.com/progress-ledger/progress-ledger/Sources/go-client"
)

func Example() {
	client, err := ledger.NewClient("")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	job, err := client.CreateJob(ctx, "mosaic", ledger.Key("mosaic-2026-11-23"))
	if err != nil {
		log.Print(err)
	}
	err = job.Run(ctx, "tile-17", func(ctx context.Context) error {
		if err := ledger.Progress("download").Add(ctx, 10); err != nil {
			return err
		}
		return ledger.DefaultProgress().Done(ctx, 1)
	}, ledger.Attempt(2))
	fmt.Println(err)
	// Output: <nil>
}

func ExampleJob_StartExecution() {
	var job *ledger.Job // from client.Job(id); a nil one is silent
	ctx, execution, err := job.StartExecution(context.Background(), "tile-17", ledger.Attempt(2))
	if err != nil {
		log.Print(err) // an invalid task or attempt, which is not reported
	}
	defer execution.Close()
	fmt.Println(ledger.Progress("download").Add(ctx, 10))
	fmt.Println(ledger.Progress("download").Done(ctx, -1))
	fmt.Println(execution.Finish(ctx, ledger.Succeeded))
	// Output:
	// <nil>
	// ledger: done is -1; an increment must not be negative
	// <nil>
}

func ExampleJobs_Get() {
	client, err := ledger.NewClient("")
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	job, err := client.Jobs.Get(ctx, "0190b2c4-0000-7000-8000-000000000000")
	if err != nil {
		fmt.Println(err)
	}
	for _, indicator := range job.Progress {
		fmt.Printf("%s: %d/%d\n", indicator.Label, indicator.Done, indicator.Total)
	}
	if snapshot := job.Found; snapshot != nil && snapshot.Estimate != nil && snapshot.Estimate.RemainingSeconds != nil {
		left := snapshot.Estimate.RemainingSeconds
		fmt.Printf("%.0f s left; with a probability of 80 %%, %.0f to %.0f s\n", left.P50, left.P10, left.P90)
	}
	// The job accepts reports nevertheless.
	fmt.Println(job.Run(ctx, "tile-17", func(ctx context.Context) error {
		files := []string{"a", "b"}
		return ledger.Add(ctx, "download", len(files))
	}))
	// Output:
	// ledger: no URL is configured (PROGRESS_LEDGER_URL)
	// <nil>
}

func ExampleJob_Watch() {
	client, err := ledger.NewClient("")
	if err != nil {
		log.Fatal(err)
	}
	snapshots := client.Job("0190b2c4-0000-7000-8000-000000000000").Watch(context.Background())
	defer snapshots.Close()
	for snapshots.Next() {
		for _, indicator := range snapshots.Value().Progress {
			fmt.Printf("%s: %d/%d\n", indicator.Label, indicator.Done, indicator.Total)
		}
	}
	if err := snapshots.Err(); err != nil {
		fmt.Println(err)
	}
	// Output: ledger: no URL is configured (PROGRESS_LEDGER_URL)
}
