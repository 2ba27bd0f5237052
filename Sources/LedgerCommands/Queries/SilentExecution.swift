import Ledger
import ProgressLedgerClient

/// A running execution that has not reported for long.
struct SilentExecution: Hashable, Sendable {
    let task: Name
    /// The task's execution has reported nothing since this moment of the server's clock.
    let since: Timestamp
    /// The server's time when that was read.
    let now: Timestamp

    /// How long an execution without a pattern of its own may be silent.
    static let silenceMax = Duration.seconds(300)

    /// How long it has been silent if it runs and has been so for long; nil otherwise.
    static func silence(of execution: ExecutionSummary, now: Timestamp) -> Duration? {
        let silence = Duration.microseconds(now.microseconds - execution.lastAt.microseconds)
        return execution.isCounted && execution.outcome == nil && silence >= silenceMax ? silence : nil
    }

    /// The silent executions of some tasks, the longest silence first.
    static func all(in tasks: [TaskSummary], now: Timestamp) -> [SilentExecution] {
        tasks.compactMap { task in
            guard task.state == .running, let last = task.executions.last, silence(of: last, now: now) != nil
            else { return nil }
            return SilentExecution(task: task.name, since: last.lastAt, now: now)
        }.sorted { $0.since < $1.since }
    }

    /// Asks for those of a job, of its first 1,000 running tasks.
    static func find(in job: JobID, _ client: LedgerClient) async throws(LedgerClientError) -> [SilentExecution] {
        var search = TaskSearch()
        search.state = .running
        search.limit = 1_000
        let (page, _, clock) = try await client.askWithClock(.tasks(job, search), as: TasksPage.self)
        // Without the server's clock no age is known.
        return clock.map { all(in: page.tasks, now: $0.now()) } ?? []
    }

    /// The first of them in words, and how many more there are.
    static func lines(_ silent: [SilentExecution], max count: Int) -> [String] {
        let shown = silent.prefix(count).map { execution in
            "\(VisibleText.escape(execution.task.text)): \(text(execution.since, now: execution.now))"
        }
        return shown + (silent.count > count ? ["+ \(silent.count - count) more"] : [])
    }

    static func text(_ since: Timestamp, now: Timestamp) -> String {
        "no report for \(WatchMessages.duration(.microseconds(now.microseconds - since.microseconds)))"
    }
}

extension Snapshot {
    /// Whether an execution may be silent: the job runs, and so do some of its tasks.
    var mayBeSilent: Bool { state == .running && tasks.running > 0 }
}
