import Ledger
import ProgressLedgerClient

/// A running execution that is silent, as the server decided.
struct SilentExecution: Hashable, Sendable {
    let task: Name
    /// The time of the last report, by the server's clock.
    let since: Timestamp
    /// The server's time when the execution was read.
    let now: Timestamp

    /// The silent executions of the given tasks, the longest silence first.
    static func all(in tasks: [TaskSummary], now: Timestamp) -> [SilentExecution] {
        tasks.compactMap { task in
            task.executions.last?.silentSince.map { SilentExecution(task: task.name, since: $0, now: now) }
        }.sorted { $0.since < $1.since }
    }

    /// Requests the silent executions of a job, 1,000 at most.
    static func find(in job: JobID, _ client: LedgerClient) async throws(LedgerClientError) -> [SilentExecution] {
        var search = TaskSearch()
        search.onlySilent = true
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

extension JobView {
    /// Whether an execution is silent.
    var hasSilentExecutions: Bool { snapshot.state == .running && stalls?.silentCount ?? 0 > 0 }
}
