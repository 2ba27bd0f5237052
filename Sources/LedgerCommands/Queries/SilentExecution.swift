import Ledger
import ProgressLedgerClient

/// A running execution that has not reported for a long time.
struct SilentExecution: Hashable, Sendable {
    let task: Name
    /// The time of the last report, by the server's clock.
    let since: Timestamp
    /// The server's time when the execution was read.
    let now: Timestamp

    /// The silence after which an execution is shown as silent.
    static let silenceMax = Duration.seconds(300)

    /// The time since the last report if it exceeds the limit; nil otherwise.
    ///
    /// Executions that have ended or do not count are not silent.
    static func silence(of execution: ExecutionSummary, now: Timestamp) -> Duration? {
        let silence = Duration.microseconds(now.microseconds - execution.lastAt.microseconds)
        return execution.isCounted && execution.outcome == nil && silence >= silenceMax ? silence : nil
    }

    /// The silent executions of the given tasks, the longest silence first.
    static func all(in tasks: [TaskSummary], now: Timestamp) -> [SilentExecution] {
        tasks.compactMap { task in
            guard task.state == .running, let last = task.executions.last, silence(of: last, now: now) != nil
            else { return nil }
            return SilentExecution(task: task.name, since: last.lastAt, now: now)
        }.sorted { $0.since < $1.since }
    }

    /// Requests the silent executions among the first 1,000 running tasks of a job.
    static func find(in job: JobID, _ client: LedgerClient) async throws(LedgerClientError) -> [SilentExecution] {
        var search = TaskSearch()
        search.state = .running
        search.limit = 1_000
        let (page, _, clock) = try await client.sendWithClock(.tasks(job, search), as: TasksPage.self)
        // Without the server's clock the age of a report is unknown.
        return clock.map { all(in: page.tasks, now: $0.now()) } ?? []
    }

    /// The first executions as text, and the number of the others.
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
    /// Whether an execution may be silent: the job and some of its tasks are running.
    var mayBeSilent: Bool { state == .running && tasks.running > 0 }
}
