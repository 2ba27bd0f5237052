internal import Ledger
internal import LedgerStore
internal import Logging
internal import PQ

/// Reports how far a replay is to the ledger itself: each batch is a task, each time it is worked on an execution. So a
/// batch that was broken off and taken up again counts once, like anybody's.
///
/// A report that the ledger does not take is logged and dropped: what is replayed is right all the same.
actor ReplayReporter {
    private let ledger: PostgresLedger
    private let logger: Logger?
    private var job = JobID(high: 0, low: 0)
    private var reference = ExecutionReference(task: "")
    private var report: Int64 = 0

    init(ledger: PostgresLedger, logger: Logger?) {
        self.ledger = ledger
        self.logger = logger
    }

    /// A batch is begun, or taken up again: says how much there is, and how much of it was done before.
    func begin(_ batch: Int32, of replay: JobID, _ checkpoints: ReplayCheckpoints) async throws {
        job = replay
        reference = ExecutionReference(task: Name("batch \(batch)"), execution: ledger.newExecutionName())
        let rows = try await checkpoints.pool.query(
            Query(
                """
                select
                    count(*), count(*) filter (where state in ('compared', 'skipped')), sum(events)::bigint,
                    coalesce(sum(events) filter (where state in ('compared', 'skipped')), 0)::bigint
                from ledger.replay_job
                where replay = $1 and batch = $2
                """, [.uuid(replay.uuidBytes), .int4(batch)]))
        await append([
            .executionStarted(reference),
            progress("jobs", total: try rows[0].decode(0), done: try rows[0].decode(1)),
            progress("events", total: try rows[0].decode(2), done: try rows[0].decode(3)),
        ])
    }

    func note(jobs: Int64, events: Int64) async {
        var bodies: [EventBody] = []
        if jobs > 0 { bodies.append(progress("jobs", total: 0, done: jobs)) }
        if events > 0 { bodies.append(progress("events", total: 0, done: events)) }
        if !bodies.isEmpty { await append(bodies) }
    }

    func finish(_ outcome: ExecutionOutcome) async {
        await append([.executionFinished(reference, outcome)])
    }

    /// The replay has ended.
    func end(_ replay: JobID, _ outcome: JobOutcome) async throws(StoreError) {
        _ = try await ledger.append([EventDraft(.jobFinished(outcome))], to: replay)
    }

    private func progress(_ label: Name, total: Int64, done: Int64) -> EventBody {
        report += 1
        return .progress(
            ProgressReport(reference: reference, report: report, label: label, total: total, done: done))
    }

    private func append(_ bodies: [EventBody]) async {
        do throws(StoreError) {
            _ = try await ledger.append(bodies.map { EventDraft($0) }, to: job)
        } catch {
            logger?.warning(
                "the progress of a replay could not be reported",
                metadata: ["replay.id": "\(job)", "error": "\(String(reflecting: error))"])
        }
    }
}
