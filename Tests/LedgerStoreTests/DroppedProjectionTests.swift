import Ledger
import LedgerProjection
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@Suite("Dropped projections")
struct DroppedProjectionTests {
    private static func report(_ done: Int64 = 1, task: Name = "t") -> EventDraft {
        EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: task, attempt: 1), done: done)))
    }

    /// Truncates all tables with data that is derived from events.
    private static let truncation = """
        truncate ledger.snapshot, ledger.indicator, ledger.task, ledger.execution, ledger.report_page, ledger.discard
        """

    private func drop(_ target: ConnectionTarget, _ sql: String = truncation, _ jobs: [JobID] = []) async throws {
        _ = try await tamper(target, sql, jobs)
    }

    /// Creates a job with three folded events.
    private func makeJob(_ ledger: PostgresLedger, _ name: Name = "n") async throws -> JobID {
        let job = try await ledger.createJob(JobDescription(name: name)).view.id
        let last = try await ledger.append([Self.report(2), Self.report(3)], to: job).upperBound
        let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
        #expect(isFolded)
        return job
    }

    @Test("without a worker, a job whose snapshot is missing is empty at sequence 0 and has a lag")
    func readsWithoutSnapshot() async throws {
        try await withLedgerDatabase { target in
            let job = try await withRunningLedger(on: target) { try await makeJob($0) }
            try await drop(target, "delete from ledger.snapshot where job_id = $1", [job])
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let view = try #require(try await ledger.job(job))
                #expect(view.snapshot.sequence == 0 && view.ledgerSequence == 3 && view.snapshot.state == .running)
                #expect(view.snapshot.indicators.isEmpty && view.snapshot.tasks == TaskCounts())
                #expect(try await ledger.jobs([job]).map(\.id) == [job])
                #expect(try await ledger.jobs(JobFilter(), limit: 10, after: nil).map(\.id) == [job])
                let running = try await ledger.jobs(JobFilter(state: .running), limit: 10, after: nil)
                #expect(running.map(\.id) == [job])
                #expect(try await ledger.jobs(JobFilter(state: .failed), limit: 10, after: nil).isEmpty)
                #expect(try await ledger.job(job, counting: .all)?.snapshot.sequence == 0)
                let tasks = try #require(try await ledger.tasks(job, state: nil, limit: 10, after: nil))
                #expect(tasks.sequence == 0 && tasks.tasks.isEmpty && tasks.nextCursor == nil)
                let events = try #require(try await ledger.events(job, EventFilter(), after: nil, limit: 10))
                #expect(events.events.count == 3 && events.events.allSatisfy { $0.verdict == nil })
                let past = try #require(try await ledger.job(job, at: .sequence(3), counting: .last))
                #expect(past.snapshot.indicators.first?.counted.done == 5)
                let status = try await ledger.status()
                #expect(status.lag.missingSnapshots == 1 && status.lag.jobs == 1 && status.lag.events == 3)
                #expect(status.lag.mostBehind.map(\.job) == [job])
            }
        }
    }

    @Test("the stamp of a job without a snapshot differs from the one that it had before")
    func stamps() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                let before = try await ledger.stampedJob(job)?.stamp
                try await drop(target)
                let missing = try #require(try await ledger.stampedJob(job))
                #expect(missing.stamp != before && missing.view.version?.projection == 0)
                let stamp = try await withCheckedThrowingContinuation { continuation in
                    ledger.stamp(of: job) { continuation.resume(with: $0) }
                }
                #expect(stamp == missing.stamp)
            }
        }
    }

    @Test("the sweep finds every dropped projection and restores the job's snapshot")
    func sweepRestores() async throws {
        try await withLedgerDatabase { target in
            let (jobs, before) = try await withRunningLedger(on: target) { ledger in
                var jobs: [JobID] = []
                for name: Name in ["a", "b", "c"] { jobs.append(try await makeJob(ledger, name)) }
                return (jobs, try await ledger.jobs(JobFilter(), limit: 10, after: nil))
            }
            try await drop(target)
            try await withRunningLedger(on: target) { ledger in
                for job in jobs {
                    let isFolded = try await ledger.waitUntilFolded(job, sequence: 3, deadline: .testTimeout)
                    #expect(isFolded)
                }
                #expect(try await ledger.jobs(JobFilter(), limit: 10, after: nil) == before)
                #expect(try await ledger.status().lag.missingSnapshots == 0)
            }
        }
    }

    @Test("rows left behind by a dropped snapshot are not folded into the new one", arguments: [true, false])
    func orphans(isAppendedTo: Bool) async throws {
        try await withLedgerDatabase { target in
            var settings = ProjectionSettings()
            // An append needs no sweep: the step itself finds the snapshot missing.
            if isAppendedTo { settings.sweepInterval = .seconds(3_600) }
            try await withRunningLedger(on: target, projection: settings) { ledger in
                let job = try await makeJob(ledger)
                var last: EventSequence = 3
                // The report is repeated, so that discards and numbered reports must be folded again as well.
                for _ in 0..<2 {
                    let numbered = EventDraft(
                        .progress(
                            ProgressReport(reference: ExecutionReference(task: "t", attempt: 1), report: 7, done: 10)))
                    last = try await ledger.append([numbered], to: job).upperBound
                }
                let isFirst = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
                #expect(isFirst)
                let before = try #require(try await ledger.job(job))
                try await drop(target, "delete from ledger.snapshot where job_id = $1", [job])
                if isAppendedTo { last = try await ledger.append([Self.report(100)], to: job).upperBound }
                try await eventually(equals: last) { try await ledger.job(job)?.snapshot.sequence }
                let after = try #require(try await ledger.job(job))
                let more: Int128 = isAppendedTo ? 100 : 0
                #expect(after.snapshot.indicators[0].counted.done == before.snapshot.indicators[0].counted.done + more)
                #expect(after.snapshot.tasks == before.snapshot.tasks)
            }
        }
    }

    @Test("a replay finds missing projections, counts them as differences, and builds them", arguments: [true, false])
    func replay(isOfOneJob: Bool) async throws {
        try await withLedgerDatabase { target in
            let (job, before) = try await withRunningLedger(on: target) { ledger in
                let job = try await makeJob(ledger)
                _ = try await makeJob(ledger, "other")
                return (job, try await ledger.job(job)?.snapshot)
            }
            try await drop(target)
            // There is no worker, so the replay must have built the projections.
            try await withRunningLedger(on: target, projection: nil, replays: ReplaySettings()) { ledger in
                let request = Replay.Request(job: isOfOneJob ? job : nil, applies: true)
                let id = try await ledger.beginReplay(request).id
                try await eventually(equals: .applied) { try await ledger.replay(id)?.state }
                let replay = try #require(try await ledger.replay(id))
                #expect(replay.jobs.total == (isOfOneJob ? 1 : 2) && replay.jobs.done == replay.jobs.total)
                #expect(replay.differenceCount == replay.jobs.total && replay.skippedJobs == 0)
                let difference = try #require(replay.differences.first { $0.job == job })
                #expect(difference.part == .snapshot && difference.live == nil && difference.replayed == "3 events")
                #expect(try await ledger.job(job)?.snapshot == before)
            }
        }
    }
}
