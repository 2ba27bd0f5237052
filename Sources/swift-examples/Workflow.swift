import ProgressLedgerClient

/// An example of a workflow with tasks that fail and are retried.
///
/// It has four tasks of `step1`, four of `step2` that each need one of `step1`, and `finalize`, which needs them all.
/// The second task of each step fails after it has reported its unit, the third one before, and both are retried. The
/// numbers are correct nevertheless, because only the last execution of a task counts.
enum Workflow {
    private static let n = 4
    private static let attemptsMax: Int32 = 3

    static func run() async throws {
        let job = try await Example.openJob("workflow")
        try await attempt("root", of: job) { context, _ in
            context.progress("finalize").add(1)
            context.progress("step1").add(n)
            context.progress("step2").add(n)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<n {
                group.addTask {
                    for step in ["step1", "step2"] {
                        try await attempt(Name("\(step)-\(number)"), of: job) { context, attempt in
                            try unit(Name(step), number, context, attempt)
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        try await attempt("finalize", of: job) { context, _ in context.progress("finalize").done() }
        try await Example.finish(job)
    }

    /// Retries a task until it succeeds or has no attempts left.
    private static func attempt(
        _ task: Name, of job: LedgerJob, _ body: (ExecutionContext, Int32) throws -> Void
    ) async throws {
        for attempt in 1...attemptsMax {
            do {
                return try await job.execution(task, attempt: attempt) { context in try body(context, attempt) }
            } catch {
                guard attempt < attemptsMax else { throw error }
            }
        }
    }

    private static func unit(_ label: Name, _ number: Int, _ context: ExecutionContext, _ attempt: Int32) throws {
        if number == 2, attempt == 1 { throw Example.Failure(reason: "failed before it reported") }
        context.progress(label).done()
        if number == 1, attempt < attemptsMax { throw Example.Failure(reason: "failed after it reported") }
    }
}
