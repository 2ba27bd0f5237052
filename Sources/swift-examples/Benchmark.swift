import ProgressLedgerClient

/// A measurement of the cost of a report to its task.
enum Benchmark {
    static func run(calls: Int = 2_000_000) async throws {
        let job = try await Example.openJob("benchmark")
        await job.execution("task") { context in
            let kept = context.progress("kept")
            measure("done(1) on a kept indicator", calls) { kept.done() }
            measure("progress(label).done(1)", calls) { context.progress("looked up").done() }
            await context.flush(atMost: .seconds(60))
        }
        try await job.finish(.completed)
        guard let snapshot = try await job.waitUntilFinished()?.snapshot, snapshot.indicators.count == 2 else {
            throw Example.Failure(reason: "the job does not have the two indicators of this benchmark")
        }
        for indicator in snapshot.indicators where indicator.counted.done != Int128(calls) {
            throw Example.Failure(reason: "\(indicator.counted.done) of \(calls) reports were counted")
        }
        print("every report was counted once")
    }

    private static func measure(_ name: String, _ calls: Int, _ body: () -> Void) {
        let duration = ContinuousClock().measure { for _ in 0..<calls { body() } }
        let average = duration / calls
        print("\(name): \(average.components.attoseconds / 1_000_000_000) ns per call")
    }
}
