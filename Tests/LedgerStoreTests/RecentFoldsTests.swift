import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerProjection

@Suite("States of recent folds")
struct RecentFoldsTests {
    /// The tables that a step writes.
    private static let tables = ["snapshot", "indicator", "task", "execution", "report_page", "discard"]

    private static func step(_ ledger: PostgresLedger, bytesPerJobMax: Int = 4 << 20) -> ProjectionStep {
        var settings = ProjectionSettings()
        settings.recentFoldBytesPerJobMax = bytesPerJobMax
        return ProjectionStep(pool: ledger.pool, settings: settings)
    }

    /// Reports beyond the window of recent numbers, some repeated much later.
    private static func numberedReports(_ generator: inout SeededGenerator) -> [EventDraft] {
        let numbers = (Int64(1)...300).map { number in
            Double.random(in: 0..<1, using: &generator) < 0.1 ? Int64.random(in: 1...number, using: &generator) : number
        }
        return numbers.map { number in
            EventDraft(
                .progress(
                    ProgressReport(
                        reference: ExecutionReference(task: "numbered", execution: "e"), report: number,
                        label: number % 3 == 0 ? "é" : nil, total: number, done: 1)))
        }
    }

    @Test(
        "workers that fold by turns and keep states store what a replay stores",
        arguments: [(UInt64(31), 4 << 20), (32, 4 << 20), (33, 30_000), (34, 0)])
    func byTurns(seed: UInt64, bytesPerJobMax: Int) async throws {
        try await withLedgerDatabase { target in
            let before = try await withRunningLedger(on: target, projection: nil) { ledger in
                var generator = SeededGenerator(seed: seed)
                let steps = (0..<2).map { _ in Self.step(ledger, bytesPerJobMax: bytesPerJobMax) }
                var rest: [(job: JobID, drafts: ArraySlice<EventDraft>)] = []
                for number in UInt64(0)..<4 {
                    let job = try await ledger.createJob(JobDescription(name: "random")).view.id
                    let random = RandomHistory.events(count: 300, seed: seed * 10 + number).dropFirst()
                        .map { EventDraft($0.body, at: $0.at) }
                    rest.append((job, number < 3 ? random[...] : Self.numberedReports(&generator)[...]))
                }
                while rest.contains(where: { !$0.drafts.isEmpty }) {
                    for index in rest.indices where !rest[index].drafts.isEmpty {
                        let batch = rest[index].drafts.prefix(Int.random(in: 1...20, using: &generator))
                        rest[index].drafts = rest[index].drafts.dropFirst(batch.count)
                        _ = try await ledger.append(Array(batch), to: rest[index].job)
                    }
                    // The first worker mostly goes on with its own states.
                    let step = Double.random(in: 0..<1, using: &generator) < 0.8 ? steps[0] : steps[1]
                    let result = try await step.run(rest.map(\.job))
                    #expect(result.damaged.isEmpty && result.eventCount > 0)
                }
                return try await ReplayTests.live(ledger)
            }
            try await withRunningLedger(on: target, replays: ReplayTests.small) { ledger in
                let replay = try await ReplayTests.end(
                    of: try await ledger.beginReplay(Replay.Request(applies: true)).id, ledger)
                #expect(replay.state == .applied && replay.differenceCount == 0, "\(replay.differences)")
                #expect(try await ReplayTests.live(ledger) == before)
            }
        }
    }

    private static let report = EventDraft(
        .progress(ProgressReport(reference: ExecutionReference(task: "t", attempt: 1), done: 1)))

    /// Runs the closure with a job of three folded reports.
    ///
    /// The closure receives a function that sets the projection back to the second report.
    private func withFoldedReport(
        _ body: (PostgresLedger, ConnectionTarget, JobID, ProjectionStep, () async throws -> Void) async throws -> Void
    ) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                let step = Self.step(ledger)
                _ = try await ledger.append([Self.report, Self.report], to: job)
                _ = try await step.run([job])
                for table in Self.tables {
                    _ = try await tamper(target, "create table saved_\(table) as table ledger.\(table)", [])
                }
                _ = try await ledger.append([Self.report], to: job)
                #expect(try await step.run([job]).folded.map(\.sequence) == [4])
                try await body(ledger, target, job, step) {
                    for table in Self.tables {
                        _ = try await tamper(target, "delete from ledger.\(table)", [])
                        _ = try await tamper(target, "insert into ledger.\(table) table saved_\(table)", [])
                    }
                }
            }
        }
    }

    @Test("a state is not used if PostgreSQL has undone the step that stored it")
    func undone() async throws {
        try await withFoldedReport { ledger, _, job, step, setBack in
            try await setBack()
            _ = try await ledger.append([Self.report], to: job)
            #expect(try await step.run([job]).eventCount == 2)
            let view = try #require(try await ledger.job(job))
            #expect(view.snapshot.sequence == 5 && view.snapshot.indicators.map(\.counted.done) == [4])
        }
    }

    @Test("a state is not used if the job has another history since")
    func otherHistory() async throws {
        try await withFoldedReport { ledger, target, job, step, setBack in
            try await setBack()
            let changed = try await tamper(
                target,
                """
                update ledger.event set done = 10, recorded_at = recorded_at + interval '1 microsecond'
                where job_id = $1 and sequence = 4
                """, [job])
            #expect(changed == 1)
            #expect(try await Self.step(ledger).run([job]).folded.map(\.sequence) == [4])
            _ = try await ledger.append([Self.report], to: job)
            #expect(try await step.run([job]).eventCount == 1)
            let view = try #require(try await ledger.job(job))
            #expect(view.snapshot.indicators.map(\.counted.done) == [13])
        }
    }

    @Test("the states take no more memory than the limit, and the job used longest ago leaves first")
    func bounded() throws {
        let folds = RecentFolds(bytesMax: 10_000, bytesPerJobMax: 5_000)
        let progress = JobProgress(sequence: 7)
        let jobs = (UInt64(1)...5).map { number in
            ClaimedJobs.Job(
                id: JobID(high: 0, low: number), projection: 1, fold: Fold(progress), estimate: EstimateState())
        }
        func stored(_ projection: Int16) -> SnapshotRecord {
            SnapshotRecord(projection: projection, progress: progress, estimate: EstimateState().encoded)
        }
        for job in jobs { folds.insert([try #require(RecentFolds.State(of: job))]) }
        #expect(jobs.map { folds.take($0.id, storedAs: stored(1)) != nil } == [false, true, true, true, true])
        // What was taken is gone.
        #expect(folds.take(jobs[4].id, storedAs: stored(1)) == nil)

        folds.insert([try #require(RecentFolds.State(of: jobs[0]))])
        #expect(folds.take(jobs[0].id, storedAs: stored(2)) == nil)
    }
}
