internal import Ledger
internal import LedgerStore
internal import Logging
internal import PQ
internal import Synchronization

/// Reports the progress of a replay to the ledger itself.
///
/// Each batch is a task, and each attempt to process it is an execution. A batch that was interrupted and resumed
/// therefore counts once, like any other task.
///
/// If the ledger does not accept a report, it is logged and dropped, because the replayed projections are correct
/// anyway.
actor ReplayReporter {
    private let ledger: PostgresLedger
    private let logger: Logger?
    private var job = JobID(high: 0, low: 0)
    private var reference = ExecutionReference(task: "")
    private var report: Int64 = 0
    /// The events reported in advance, by job in progress.
    private var advances: [JobID: Int] = [:]

    init(ledger: PostgresLedger, logger: Logger?) {
        self.ledger = ledger
        self.logger = logger
    }

    /// Reports that a batch begins or resumes, with its size and its finished part.
    func begin(_ batch: Int32, of replay: JobID, _ checkpoints: ReplayCheckpoints) async throws {
        job = replay
        let part = ledger.replayParent.withLock { $0?.number }.map { " of shard \($0)" } ?? ""
        reference = ExecutionReference(task: Name("batch \(batch)\(part)"), execution: ledger.newExecutionName())
        let rows = try await checkpoints.pool.query(
            Query(
                """
                select
                    count(*), count(*) filter (where state in ('compared', 'skipped')), sum(events)::bigint,
                    coalesce(sum(events) filter (where state in ('compared', 'skipped')), 0)::bigint
                from ledger.replay_job
                where replay = $1 and batch = $2
                """, [.uuid(replay.uuid), .int4(batch)]))
        await append([
            .executionStarted(reference),
            progress("jobs", total: try rows[0].decode(0), done: try rows[0].decode(1)),
            progress("events", total: try rows[0].decode(2), done: try rows[0].decode(3)),
        ])
    }

    /// Reports in advance that the first events of a job are done.
    ///
    /// The job may be folded again, and it may have grown since the replay began. Of each job, as many events are
    /// reported as were announced, so only the part beyond the furthest sequence so far is.
    func advance(_ job: ReplayCheckpoints.Job, to sequence: EventSequence) async {
        let reported = advances[job.id] ?? 0
        let reached = min(sequence - .start, job.events)
        guard reached > reported else { return }
        advances[job.id] = reached
        await append([progress("events", total: 0, done: Int64(reached - reported))])
    }

    /// Reports finished jobs, with their events that were not yet reported.
    func finish(_ jobs: [ReplayCheckpoints.Job]) async {
        guard !jobs.isEmpty else { return }
        let events = jobs.reduce(0) { $0 + $1.events - (advances.removeValue(forKey: $1.id) ?? 0) }
        var bodies = [progress("jobs", total: 0, done: Int64(jobs.count))]
        if events > 0 { bodies.append(progress("events", total: 0, done: Int64(events))) }
        await append(bodies)
    }

    /// Reports the end of the batch's execution.
    func end(_ outcome: ExecutionOutcome) async {
        await append([.executionFinished(reference, outcome)])
    }

    /// Reports the end of the replay, or of this shard's part if it is the last one.
    func finishReplay(_ replay: JobID, _ outcome: JobOutcome) async throws(StoreError) {
        guard let parent = ledger.replayParent.withLock({ $0 }) else {
            _ = try await ledger.append([EventDraft(.jobFinished(outcome))], to: replay)
            return
        }
        guard let outcome = try await parent.outcome(replay) else { return }
        try await parent.append([EventDraft(.jobFinished(outcome))], replay)
    }

    private func progress(_ label: Name, total: Int64, done: Int64) -> EventBody {
        report += 1
        return .progress(
            ProgressReport(reference: reference, report: report, label: label, total: total, done: done))
    }

    private func append(_ bodies: [EventBody]) async {
        do throws(StoreError) {
            let drafts = bodies.map { EventDraft($0) }
            if let parent = ledger.replayParent.withLock({ $0 }) {
                try await parent.append(drafts, job)
            } else {
                _ = try await ledger.append(drafts, to: job)
            }
        } catch {
            logger?.warning(
                "cannot report the progress of a replay",
                metadata: ["replay.id": "\(job)", "error": "\(String(reflecting: error))"])
        }
    }
}
