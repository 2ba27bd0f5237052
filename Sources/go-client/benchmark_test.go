package ledger

import (
	"context"
	"fmt"
	"testing"
)

// Cost of a call while the sender sends to a real server.
//
// Scripts/test-go prints it. It must stay below 2 µs; an assertion would fail on a busy machine and prove nothing.

func BenchmarkDone(b *testing.B) {
	job := newTestJob(b, newTestClient(b, sharedURL(b)))
	ctx, execution := start(b, job, "benchmark")
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		must(b, DefaultProgress().Done(ctx, 1))
	}
	b.StopTimer()
	must(b, execution.Finish(ctx, Succeeded))
	expectProgress(b, job, fmt.Sprintf("(default): %d/0", b.N))
}

func BenchmarkDoneOfManyGoroutines(b *testing.B) {
	job := newTestJob(b, newTestClient(b, sharedURL(b)))
	ctx, execution := start(b, job, "benchmark")
	b.ReportAllocs()
	b.SetParallelism(100)
	b.ResetTimer()
	b.RunParallel(func(loop *testing.PB) {
		for loop.Next() {
			if err := Progress("download").Done(ctx, 1); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	must(b, execution.Finish(ctx, Succeeded))
	expectProgress(b, job, fmt.Sprintf("download: %d/0", b.N))
}

func BenchmarkDoneOfManyLabels(b *testing.B) {
	job := newTestJob(b, newTestClient(b, sharedURL(b)))
	ctx, execution := start(b, job, "benchmark")
	labels := make([]ProgressReporter, LabelsMax)
	for i := range labels {
		labels[i] = Progress(fmt.Sprint("label ", i))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		must(b, labels[i%len(labels)].Done(ctx, 1))
	}
	b.StopTimer()
	must(b, execution.Finish(ctx, Succeeded))
}

func BenchmarkDoneOfAnyInteger(b *testing.B) {
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		must(b, Done(context.Background(), "download", uint64(i)))
	}
}

func BenchmarkDoneWithoutALedger(b *testing.B) {
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		must(b, Progress("download").Done(context.Background(), 1))
	}
}

func BenchmarkStartAndFinish(b *testing.B) {
	job := newTestJob(b, newTestClient(b, sharedURL(b)))
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		ctx, execution, err := job.StartExecution(context.Background(), "benchmark")
		must(b, err)
		must(b, DefaultProgress().Done(ctx, 1))
		must(b, execution.Finish(ctx, Succeeded))
	}
}
