// Package ledger reports the progress of distributed jobs to a progress ledger, and reads it there.
//
// A job is a piece of distributed work that somebody watches. It has tasks, and each run of a task is an execution. An
// execution declares units of work on indicators, each named by a label, and reports units done. Of the executions of
// a task only the last one counts: what a failed, lost or superseded one has done is kept in the ledger's history, and
// not in the numbers.
//
//	func main() {
//		// The URL is PROGRESS_LEDGER_URL, and the token PROGRESS_LEDGER_TOKEN. Without a URL all of this does nothing.
//		client, err := ledger.NewClient("")
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer client.Close()
//
//		ctx := context.Background()
//		job, err := client.CreateJob(ctx, "mosaic", ledger.Key("mosaic-2026-11-23"), ledger.Tag("sensor", "S2"))
//		if err != nil {
//			log.Print(err) // The job has no ID and reports nothing: the work goes on without a ledger.
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
// Without Run, the same in its parts:
//
//	ctx, execution, err := job.StartExecution(ctx, "tile-17", ledger.Attempt(2))
//	defer execution.Close() // failed, unless finished before
//	…
//	execution.Finish(ctx, ledger.Succeeded)
//
// A worker that was handed the job's ID says client.Job(id) instead of creating one. Add and Done of this package take
// a number of any integer type, and report as Progress(label).Add and Done do. Somebody who watches the job finds it,
// and its numbers, by its ID:
//
//	job, err := client.Jobs.Get(ctx, id)
//	for _, indicator := range job.Progress {
//		fmt.Printf("%s: %d/%d\n", indicator.Label, indicator.Done, indicator.Total)
//	}
//
// # Reporting never hurts the task
//
// Add and Done add a number under a lock, in a fraction of a microsecond, and are safe from any number of goroutines.
// They return errors for what is wrong in the call and for nothing else; such a report is dropped and counted, the
// first one is logged, and the error may be ignored. Where the context has no execution, they check their values and do
// nothing, so a task runs in a unit test as it is. No call panics, whatever it is given: nil contexts, nil receivers
// and calls after the end included.
//
// StartExecution does not wait for the ledger either. Only the end of an execution does (Finish, Close and Run), for
// its last reports, and for 5 s at most: so that a program may end right after it. In an outage that patience is spent
// once and not by every task. Whatever is not delivered then is kept and delivered in the background for up to 15
// minutes. Client.Close, at the end of the program, tries once more; all these waits together take 5 s at most. A task
// that must not wait at all takes WithCloseWait(0) and calls Client.Flush somewhere.
//
// A signal that ends the program loses up to a second of reports unless Client.FlushOnSignal is called at its begin, or
// the program handles the signal itself and closes the client.
//
// A ledger that is away, slow or refusing is logged once, counted, and shown by Execution.Stats. Memory is bounded:
// increments of the same indicator are added up, whatever the outage.
//
// # Exactly once
//
// A sender for each execution takes what has gathered, 0.8 s after the first of it, as a batch of numbered reports.
// Until the ledger has answered, that same batch is sent again, with the same numbers and the same content, after
// pauses that grow from 0.1 to 15 s; what is reported meanwhile goes into the next one. The ledger knows a number that
// it has seen, so a lost answer neither loses nor doubles anything.
//
// A process that is killed has reported what it had sent: up to a second's worth of increments is lost with it, and
// nothing is counted twice. The run that takes its place is another execution, and begins from nothing.
//
// # Zombies
//
// A worker that was given up for dead and goes on is superseded by the execution that took its place. It learns of it
// by Execution.Superseded, OnSuperseded, or a context that is canceled (CancelWhenSuperseded), within 10 s. What it
// reports does not count, whenever it arrives, as long as executions are numbered by Attempt or AttemptFromEnvironment.
// One that must not do anything as a zombie asks Execution.Started before.
//
// # Reading
//
// Job.Snapshot asks for the numbers, Watch follows them live, Wait waits for the end, and History, Explain, Tasks and
// Events say how they came about. These wait for the ledger, and return its errors. Sums are exact integers of any size
// (Units). Numbers can fall: a newer execution of a task begins from nothing. History has the cause of each fall.
package ledger
