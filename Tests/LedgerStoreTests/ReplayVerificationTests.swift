import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerProjection

@Suite("Replay in memory")
struct ReplayVerificationTests {
    /// Settings with which no job fits into memory.
    ///
    /// Everything is then stored step by step and compared there.
    private static var stepwise: ReplaySettings {
        var settings = ReplayTests.small
        settings.bytesInMemoryMax = 0
        settings.largeJobBytesMax = 0
        return settings
    }

    /// Settings with which every job is large and is stored in many pieces.
    private static var large: ReplaySettings {
        var settings = inMemory
        settings.bytesInMemoryMax = 0
        settings.partsPerStatementMax = 7
        return settings
    }

    /// Settings with which everything in these tests fits into memory.
    private static var inMemory: ReplaySettings {
        var settings = ReplayTests.small
        settings.jobsPerComparisonMax = ReplaySettings().jobsPerComparisonMax
        return settings
    }

    /// Creates a job with every kind of part.
    ///
    /// These include pages of report numbers and discarded events.
    private static func numberedJob(_ ledger: PostgresLedger, seed: UInt64) async throws {
        let job = try await ReplayTests.randomJob(ledger, events: 400, seed: seed)
        let reports = (Int64(1)...600).map { number in
            EventDraft(
                .progress(
                    ProgressReport(
                        reference: ExecutionReference(task: "numbered", execution: "e\u{301}"),
                        report: number % 590 + 1, label: number % 3 == 0 ? "é" : nil, total: number, done: 1)))
        }
        let last = try await ledger.append(reports, to: job).upperBound
        let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
        #expect(isFolded)
    }

    @Test("folding in memory and storing step by step give the same rows")
    func sameRows() async throws {
        try await withLedgerDatabase { target in
            let before = try await withRunningLedger(on: target) { ledger in
                for seed in UInt64(0)..<4 { _ = try await ReplayTests.randomJob(ledger, events: 300, seed: 90 + seed) }
                for seed in UInt64(0)..<2 { try await Self.numberedJob(ledger, seed: 95 + seed) }
                return try await ReplayTests.live(ledger)
            }
            for settings in [Self.inMemory, Self.stepwise, Self.large] {
                try await withRunningLedger(on: target, replays: settings) { ledger in
                    let replay = try await ReplayTests.end(
                        of: try await ledger.beginReplay(Replay.Request(applies: true)).id, ledger)
                    #expect(replay.state == .applied && replay.differenceCount == 0, "\(replay.differences)")
                    #expect(replay.events.done == replay.events.total)
                    #expect(try await ReplayTests.live(ledger) == before)
                }
            }
        }
    }

    @Test("a job that agrees in memory is not stored; a job that does not fit is stored", arguments: [true, false])
    func storesNothing(fits: Bool) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: fits ? Self.inMemory : Self.stepwise) { ledger in
                let job = try await ReplayTests.randomJob(ledger, events: 300, seed: 100)
                _ = try await ReplayTests.randomJob(ledger, events: 30, seed: 101)
                try await Self.numberedJob(ledger, seed: 102)
                // The constraint refuses rows of any other projection in the task table.
                let alter = "alter table ledger.task add constraint task_only_live check (projection = 1 or last < 0)"
                _ = try await tamper(target, alter, [])
                let replay = try await ReplayTests.end(of: try await ledger.beginReplay(Replay.Request()).id, ledger)
                #expect(replay.state == (fits ? .done : .failed), "\(replay)")
                #expect(replay.differenceCount == 0 && replay.skippedJobs == 0)
                // Without memory for it, the first replay has failed already.
                guard fits else { return }
                // A job with differences must be stored to list them by part.
                _ = try await tamper(target, "update ledger.indicator set updated_at = now() where job_id = $1", [job])
                let second = try await ReplayTests.end(of: try await ledger.beginReplay(Replay.Request()).id, ledger)
                #expect(second.state == .failed, "\(second)")
            }
        }
    }

    @Test("an error while storing a match ends the verification, whatever the number of jobs", arguments: [1, 4])
    func storingFails(count: Int) async throws {
        try await withLedger { ledger in
            var jobs: [ReplayCheckpoints.Job] = []
            for seed in 0..<UInt64(count) {
                let job = try await ReplayTests.randomJob(ledger, events: 100, seed: 120 + seed)
                jobs.append(ReplayCheckpoints.Job(id: job, events: 100, previous: 1, projection: 2, wasMissing: false))
            }
            let verification = FoldVerification(
                pool: ledger.replayPool, settings: ReplaySettings(), largeJobLock: LargeJobLock())
            var calls = 0
            // The code of an error that a job causes, too.
            let error = await #expect(throws: PQError.self) {
                try await verification.verify(jobs) { matching in
                    calls += 1
                    #expect(matching.map(\.job) == jobs.map(\.id))
                    throw PQError(.decoding, "storing failed")
                } onProgress: { _, _ in
                }
            }
            #expect(error?.message == "storing failed" && calls == 1)
        }
    }

    @Test("a large job is stored when it is its turn, and a batch that does not fit is divided")
    func largeJobs() async throws {
        try await withLedger { ledger in
            var jobs: [ReplayCheckpoints.Job] = []
            for seed in UInt64(0)..<5 {
                let job = try await ReplayTests.randomJob(ledger, events: 100, seed: 110 + seed)
                jobs.append(ReplayCheckpoints.Job(id: job, events: 100, previous: 1, projection: 2, wasMissing: false))
            }
            let largeJobLock = LargeJobLock()
            var settings = ReplaySettings()
            settings.bytesInMemoryMax = 0
            let check = FoldVerification(pool: ledger.replayPool, settings: settings, largeJobLock: largeJobLock)
            var stored: [[JobID]] = []
            try await check.verify(jobs) { equal in
                stored.append(equal.map(\.job))
                let turn = Task { try await largeJobLock.withLargeJob {} }
                turn.cancel()
                await #expect(throws: CancellationError.self) { try await turn.value }
            } onProgress: { _, _ in
            }
            #expect(stored == jobs.map { [$0.id] })
            // Some of the jobs fit together, but all of them do not.
            var sizes: Set<Int> = []
            for bytes in stride(from: 10_000, to: 100_000, by: 10_000) {
                settings.bytesInMemoryMax = bytes
                var found: [JobID] = []
                let divided = FoldVerification(
                    pool: ledger.replayPool, settings: settings, largeJobLock: largeJobLock)
                try await divided.verify(jobs) { equal in
                    sizes.insert(equal.count)
                    found += equal.map(\.job)
                } onProgress: { _, _ in
                }
                #expect(found == jobs.map(\.id))
            }
            #expect(sizes.contains(2) || sizes.contains(3))
            settings.bytesInMemoryMax = ReplaySettings().bytesInMemoryMax
            let together = FoldVerification(pool: ledger.replayPool, settings: settings, largeJobLock: largeJobLock)
            var groups: [[JobID]] = []
            try await together.verify(jobs) {
                groups.append($0.map(\.job))
            } onProgress: { _, _ in
            }
            #expect(groups == [jobs.map(\.id)])
        }
    }
}
