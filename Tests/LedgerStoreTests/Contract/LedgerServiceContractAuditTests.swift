import Ledger
import LedgerStore
import LedgerTestSupport
import Testing

/// The contract of `LedgerService`: audit, export, import and operations.
@Suite("Contract of a ledger: audit")
struct LedgerServiceContractAuditTests {
    private static func bodies(_ count: Int = 40, seed: UInt64 = 1) -> [EventBody] {
        RandomHistory.events(count: count, seed: seed).dropFirst().map(\.body)
    }

    /// A hash of no event.
    private static let otherHash = EventHash(1, 2, 3, 4)

    @Test("a chain is verified whole and in parts", arguments: LedgerImplementation.allCases)
    func verifies(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.job(with: Self.bodies())
            let hashes = try await ledger.allEvents(job).map(\.hash)
            func verify(_ range: Verification.Range) async throws -> Verification {
                try #require(try await ledger.verify(job, range))
            }
            func position(_ sequence: EventSequence) -> ChainPosition {
                ChainPosition(sequence: sequence, hash: hashes[sequence - 1])
            }
            let whole = try await verify(Verification.Range(anchor: position(20)))
            #expect(whole.isIntact && whole.isComplete && whole.sequence == 40 && whole.ledgerSequence == 40)
            #expect(whole.headHash == hashes[39])
            let first = try await verify(Verification.Range(limit: 15))
            #expect(first.isIntact && !first.isComplete && first.sequence == 15 && first.headHash == hashes[14])
            let rest = try await verify(Verification.Range(after: position(15), anchor: position(40)))
            #expect(rest.isIntact && rest.isComplete && rest.sequence == 40)

            let forged = ChainPosition(sequence: 20, hash: hashes[20])
            let rewritten = try await verify(Verification.Range(anchor: forged))
            #expect(rewritten.fault?.kind == .anchor && rewritten.fault?.sequence == 20 && rewritten.sequence == 19)
            let changed = try await verify(Verification.Range(after: forged))
            #expect(changed.fault?.kind == .altered && changed.fault?.sequence == 20)
            let beyond = ChainPosition(sequence: 41, hash: hashes[0])
            #expect(try await verify(Verification.Range(anchor: beyond)).fault?.kind == .anchor)
            #expect(try await verify(Verification.Range(after: beyond)).fault?.kind == .altered)
        }
    }

    @Test("heads are listed by job id, in pages", arguments: LedgerImplementation.allCases)
    func heads(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            var expected: [LedgerHead] = []
            for count in 2..<6 {
                let job = try await ledger.job(with: Self.bodies(count))
                let hash = try #require(try await ledger.allEvents(job).last).hash
                expected.append(
                    LedgerHead(job: job, position: ChainPosition(sequence: EventSequence(count), hash: hash)))
            }
            expected.sort { $0.job < $1.job }
            #expect(try await ledger.heads(after: nil, limit: 3) == Array(expected.prefix(3)))
            #expect(try await ledger.heads(after: expected[2].job, limit: 3) == [expected[3]])
            #expect(try await ledger.heads(after: expected[3].job, limit: 3) == [])
        }
    }

    // MARK: Export and import

    /// Exports and imports between this ledger and one in memory, in both directions.
    @Test(
        "reporters are stored, hashed and exported, and do not make reports differ",
        arguments: LedgerImplementation.allCases)
    func reporters(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.createJob(
                JobDescription(name: "j", key: "k", tags: ["a": "b"]), by: "token:é", idempotencyKey: nil
            )
            .view.id
            // The reporter is not part of a job's content, nor of a report's.
            #expect(
                try await ledger.createJob(
                    JobDescription(name: "j", key: "k", tags: ["a": "b"]), by: nil, idempotencyKey: nil
                ).view.id
                    == job)
            func report(_ reporter: Name?) -> EventDraft {
                let reference = ExecutionReference(task: "t", attempt: 1)
                return EventDraft(
                    .progress(ProgressReport(reference: reference, report: 1, done: 1)), reporter: reporter)
            }
            for draft in [report(nil), report("token:a")] { _ = try await ledger.append([draft], to: job) }
            _ = try await ledger.append([report("token:b"), EventDraft(.jobFinished(.completed))], to: job)
            #expect(try await ledger.waitUntilFolded(job, sequence: 5, deadline: .seconds(60)))
            let events = try await ledger.allEvents(job)
            #expect(events.map(\.event.reporter) == ["token:é", nil, "token:a", "token:b", nil])
            #expect(events.map(\.verdict) == [.counted, .counted, .duplicate, .duplicate, .counted])
            #expect(try await ledger.verify(job, Verification.Range())?.isIntact == true)
            let excerpt = try #require(try await ledger.excerpt(job, after: 0, limit: 10))
            try await implementation.withLedger { other in
                _ = try await other.importExcerpt(excerpt)
                #expect(try await other.excerpt(job, after: 0, limit: 10)?.events == excerpt.events)
                #expect(try await other.verify(job, Verification.Range())?.isIntact == true)
            }
            var forged = excerpt
            forged.events[2].event = Event(
                sequence: 3, recordedAt: excerpt.events[2].event.recordedAt, reporter: "token:b",
                body: excerpt.events[2].event.body)
            try await implementation.withLedger { other in
                await #expect(throws: StoreError.self) { _ = try await other.importExcerpt(forged) }
            }
        }
    }

    @Test("an exported job is the same in another ledger", arguments: LedgerImplementation.allCases)
    func exports(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let other = InMemoryLedger()
            for (from, to) in [(ledger, other), (other, ledger)] as [(any LedgerService, any LedgerService)] {
                let job = try await from.job(with: Self.bodies())
                let whole = try #require(try await from.excerpt(job, after: 0, limit: 100))
                #expect(whole.events.count == 40 && whole.head.sequence == 40)
                let part = try #require(try await from.excerpt(job, after: 10, limit: 5))
                #expect(part.events == Array(whole.events[10..<15]) && part.head == whole.head)
                #expect(try await from.excerpt(job, after: 40, limit: 5)?.events.isEmpty == true)
                // The parts overlap, and some are sent twice.
                for (first, last, new) in [(0, 15, 15), (0, 15, 0), (10, 30, 15), (30, 40, 10), (5, 40, 0)] {
                    var part = whole
                    part.events = Array(whole.events[first..<last])
                    let result = try await to.importExcerpt(part)
                    #expect(result.job == job && result.appended == new)
                    #expect(result.position.sequence == EventSequence(last))
                }
                let isFolded = try await to.waitUntilFolded(job, sequence: 40, deadline: .testTimeout)
                #expect(isFolded)
                #expect(try await to.job(job) == from.job(job))
                #expect(try await to.excerpt(job, after: 0, limit: 100) == whole)
                #expect(try await to.verify(job, Verification.Range())?.isIntact == true)
                #expect(try await to.append([EventDraft(.units("t"))], to: job) == 41...41)
            }
        }
    }

    @Test("an altered export is refused, and nothing of it is recorded", arguments: LedgerImplementation.allCases)
    func refusesAlterations(_ implementation: LedgerImplementation) async throws {
        let source = InMemoryLedger()
        let job = try await source.job("n", key: "k", with: Self.bodies())
        let whole = try #require(source.excerpt(job, after: 0, limit: 100))
        func altered(_ alter: (inout LedgerExcerpt) -> Void) -> LedgerExcerpt {
            var excerpt = whole
            alter(&excerpt)
            return excerpt
        }
        func moved(_ event: Event, by microseconds: Int64 = 0, at: Timestamp? = nil) -> Event {
            Event(
                sequence: event.sequence,
                recordedAt: Timestamp(microseconds: event.recordedAt.microseconds + microseconds), at: at,
                body: event.body)
        }
        let refused: [(StoreError.Code, LedgerExcerpt)] = [
            (.invalid, altered { $0.events = [] }), (.invalid, altered { $0.events.remove(at: 20) }),
            (.invalid, altered { $0.events.swapAt(20, 21) }),
            (.invalid, altered { $0.events[20].hash = Self.otherHash }),
            (.invalid, altered { $0.events[20].event = moved($0.events[20].event, by: 1) }),
            (.invalid, altered { $0.events[39].event = moved($0.events[39].event, by: 600_000_000) }),
            (.invalid, altered { $0.events[0].event = moved($0.events[0].event, at: .latest) }),
            (.invalid, altered { $0.head.sequence = 39 }), (.invalid, altered { $0.head.hash = Self.otherHash }),
            (.invalid, altered { $0.job = JobID(high: job.high, low: job.low ^ 1) }),
            (.conflict, altered { $0.events.removeFirst() }),
        ]
        try await implementation.withLedger { ledger in
            for (index, (code, excerpt)) in refused.enumerated() {
                let error = await #expect(throws: StoreError.self) { try await ledger.importExcerpt(excerpt) }
                #expect(error?.code == code, "\(index)")
                #expect(error?.jobs == [excerpt.job], "\(index)")
                #expect(try await ledger.job(excerpt.job) == nil, "\(index)")
            }
            _ = try await ledger.job("other", key: "k")
            let error = await #expect(throws: StoreError.self) { try await ledger.importExcerpt(whole) }
            #expect(error?.code == .conflict)
            #expect(try await ledger.job(job) == nil)
        }
    }

    @Test("an import that contradicts the ledger is refused", arguments: LedgerImplementation.allCases)
    func refusesContradictions(_ implementation: LedgerImplementation) async throws {
        let source = InMemoryLedger()
        let job = try await source.job(with: Self.bodies(10))
        let whole = try #require(source.excerpt(job, after: 0, limit: 100))
        try await source.report([.units("source")], to: job)
        let longer = try #require(source.excerpt(job, after: 0, limit: 100))
        try await source.report([.units("source")], to: job)
        let later = try #require(source.excerpt(job, after: 11, limit: 100))
        try await implementation.withLedger { ledger in
            _ = try await ledger.importExcerpt(whole)
            let gap = await #expect(throws: StoreError.self) { try await ledger.importExcerpt(later) }
            #expect(gap?.code == .conflict)
            #expect(try await ledger.append([EventDraft(.units("here"))], to: job) == 11...11)
            for excerpt in [longer, later] where excerpt.events.first?.event.sequence == 1 {
                let error = await #expect(throws: StoreError.self) { try await ledger.importExcerpt(excerpt) }
                #expect(error?.code == .conflict)
            }
            let joined = await #expect(throws: StoreError.self) { try await ledger.importExcerpt(later) }
            #expect(joined?.code == .invalid)
            #expect(try await ledger.job(job)?.ledgerSequence == 11)
        }
    }

    // MARK: Operations

    @Test(
        "a replay of an unknown job is refused, and unknown replays are nil", arguments: LedgerImplementation.allCases)
    func replays(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let unknown = LedgerImplementation.unknownJob
            let error = await #expect(throws: StoreError.self) {
                try await ledger.beginReplay(Replay.Request(job: unknown))
            }
            #expect(error?.code == .unknownJob && error?.jobs == [unknown])
            let replays = [
                try await ledger.replay(unknown), try await ledger.revertReplay(unknown),
                try await ledger.dropReplay(unknown),
            ]
            #expect(replays == [nil, nil, nil])
            #expect(try await ledger.replays(limit: 5).isEmpty)
        }
    }

    @Test("a ledger whose events are folded is ready and does not lag", arguments: LedgerImplementation.allCases)
    func status(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            _ = try await ledger.job(with: Self.bodies(5))
            let readiness = await ledger.readiness()
            #expect(readiness.isReady && readiness.checks.contains { $0.name == "projection" })
            let status = try await ledger.status()
            #expect(status.lag.jobs == 0 && status.lag.events == 0 && status.lag.mostBehind.isEmpty)
            #expect(status.replay == nil && status.stuckJobs.isEmpty && status.stuckJobCount == 0)
        }
    }
}
