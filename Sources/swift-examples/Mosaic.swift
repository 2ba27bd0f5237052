import ProgressLedgerClient

/// The first example of the walkthrough: one execution of one task.
enum Mosaic {
    static func run() async throws {
        let job = try await LedgerClient(url: "http://localhost:8080").openJob(JobDescription(name: "mosaic"))
        try await job.execution("tile-17", attempt: 2) { context in
            context.progress("download").add(10)
            try await download()
            context.progress("download").done(10)
        }

        if let left = try await job.snapshot()?.estimate?.estimate.remaining {
            print("\(left.p50) s left; with a probability of 80 %, \(left.p10) to \(left.p90) s")
        }
    }

    /// A placeholder for the work of a task.
    private static func download() async throws {}
}
