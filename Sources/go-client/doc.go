// Package ledger is the client of a progress ledger for distributed jobs.
//
// A job is a distributed computation with visible progress. It has tasks, and each attempt to carry out a task is an
// execution. An execution declares units of work on indicators, each identified by a label, and reports units as done.
// Only the last execution of a task counts: the reports of a failed, lost or superseded one stay in the ledger's
// history, but not in the numbers.
//
//	func main() {
//		// The URL is PROGRESS_LEDGER_URL, and the token PROGRESS_LEDGER_TOKEN. Without a URL nothing is reported.
//		client, err := ledger.NewClient("")
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer client.Close()
//
//		ctx := context.Background()
//		job, err := client.CreateJob(ctx, "mosaic", ledger.Key("mosaic-2026-11-23"), ledger.Tag("sensor", "S2"))
//		if err != nil {
//			log.Print(err) // The job has no ID and reports nothing: the work continues without a ledger.
//		}
//		if err := job.Run(ctx, "tile-17", tile, ledger.AttemptFromEnvironment()); err != nil {
//			log.Fatal(err)
//		}
//	}
//
//	func tile(ctx context.Context) error {
//		ledger.Progress("download").Add(ctx, 10)
//		for i := 0; i < 10; i++ {
//			if err := download(ctx, i); err != nil {
//				return err
//			}
//			ledger.Progress("download").Done(ctx, 1)
//		}
//		return ledger.DefaultProgress().Done(ctx, 1)
//	}
//
// Without Run, the same in parts:
//
//	ctx, execution, err := job.StartExecution(ctx, "tile-17", ledger.Attempt(2))
//	defer execution.Close() // failed, unless finished before
//	…
//	execution.Finish(ctx, ledger.Succeeded)
//
// A worker that was given the job's ID calls client.Job(id) instead of creating a job. The functions Add and Done of
// this package accept any integer type; otherwise they are the same as Progress(label).Add and Done. To read a job:
//
//	job, err := client.Jobs.Get(ctx, id)
//	for _, indicator := range job.Progress {
//		fmt.Printf("%s: %d/%d\n", indicator.Label, indicator.Done, indicator.Total)
//	}
//
// # Reporting never hurts the task
//
// Add and Done add a number under a lock, in a fraction of a microsecond, and are safe for concurrent use. They return
// errors only for invalid arguments. Such a report is dropped and counted, the first one is logged, and the error may
// be ignored. Without an execution in the context they only validate their arguments, so a task runs in a unit test
// unchanged. No call panics: not with nil contexts, nil receivers or after the end either.
//
// StartExecution does not wait for the ledger. Only the end of an execution waits (Finish, Close and Run), for its last
// reports, so that a program may end right after it. Undelivered reports are sent in the background for up to 15
// minutes. Client.Close, at the end of the program, tries once more. During an outage all these waits together take 5 s
// at most together. A task that must not wait uses WithCloseWait(0), and calls Client.Flush somewhere.
//
// A signal that ends the program loses up to a second of reports, unless the program calls Client.FlushOnSignal when it
// starts, or handles the signal itself and closes the client.
//
// An outage of the ledger is logged once and counted in Execution.Stats. Memory is bounded: increments of the same
// indicator are added up, however long the outage.
//
// # Exactly once
//
// Each execution has a sender. 1 s after the first increment, it turns the increments into a batch of numbered
// reports. It sends this batch until the ledger has responded, with the same numbers and the same content, after pauses
// that grow from 0.2 to 30 s. Later increments go into the next batch. The ledger ignores a number that it has seen, so
// a lost response neither loses nor duplicates anything.
//
// A process that is killed loses up to a second of increments, and nothing is counted twice. Its task's next execution
// starts from zero.
//
// # Zombies
//
// A zombie is a worker that was presumed dead, was superseded by another execution, and continues. It notices within 10
// s, by Execution.Superseded, OnSuperseded, or a canceled context (CancelWhenSuperseded). Its reports do not count,
// whenever they arrive, if executions have attempts (Attempt or AttemptFromEnvironment). A task that must not do
// anything as a zombie calls Execution.Started first.
//
// # Reading
//
// Job.Snapshot reads the numbers, Watch follows them live, Wait waits for the end, and History, Explain, Tasks and
// Events explain the numbers. These wait for the ledger, and return its errors. They include everything that the same
// client has written before. Sums are exact integers of any size (Units). Numbers can decrease: a newer execution of a
// task starts from zero. History contains the cause of each decrease.
package ledger
