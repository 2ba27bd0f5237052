import Ledger
import LedgerChain
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

// Each test uses two of the few databases that tests may have at once. Running the tests one after the other avoids a
// deadlock between two tests that each wait for the other's database.
@Suite("Export and import", .serialized)
struct ExportTests {
    private static func filled(_ ledger: PostgresLedger, events: Int = 400, seed: UInt64 = 1) async throws -> JobID {
        let job = try await ledger.createJob(
            JobDescription(name: "exported", key: "k", tags: ["e\u{301}": "1", "\u{e9}": "2"])
        ).view.id
        let drafts = RandomHistory.events(count: events, seed: seed).dropFirst().map {
            EventDraft($0.body, at: $0.at)
        }
        _ = try await ledger.append(Array(drafts), to: job)
        let isFolded = try await ledger.waitUntilFolded(job, sequence: EventSequence(events), deadline: .testTimeout)
        #expect(isFolded)
        return job
    }

    /// Runs the closure with two ledgers, each on a database of its own.
    private static func withTwo(_ body: (_ from: PostgresLedger, _ to: PostgresLedger) async throws -> Void)
        async throws
    {
        try await withLedgerDatabase { source in
            try await withLedgerDatabase { target in
                try await withRunningLedger(on: source) { from in
                    try await withRunningLedger(on: target) { to in try await body(from, to) }
                }
            }
        }
    }

    @Test("an imported job folds to the same snapshot, and its chain continues")
    func isTheSame() async throws {
        try await Self.withTwo { from, to in
            let job = try await Self.filled(from)
            let whole = try #require(try await from.excerpt(job, after: 0, limit: 10_000))
            #expect(whole.events.count == 400 && whole.head.sequence == 400)
            var stored = 0
            // The parts overlap and some are sent twice, as after lost responses.
            for (first, last) in [(0, 150), (0, 150), (100, 300), (300, 400), (0, 400)] {
                var piece = whole
                piece.events = Array(whole.events[first..<last])
                let outcome = try await to.importExcerpt(piece)
                stored = max(stored, last)
                #expect(outcome.position.sequence == EventSequence(stored))
            }
            let isFolded = try await to.waitUntilFolded(job, sequence: 400, deadline: .testTimeout)
            #expect(isFolded)
            let before = try #require(try await from.job(job))
            let after = try #require(try await to.job(job))
            #expect(after == before)
            let verification = try #require(try await to.verify(job, Verification.Range(anchor: whole.head)))
            #expect(verification.isIntact && verification.sequence == 400)
            let next = EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "next"), done: 1)))
            #expect(try await to.append([next], to: job) == 401...401)
            let longer = try #require(try await to.verify(job, Verification.Range()))
            #expect(longer.isIntact && longer.sequence == 401)
        }
    }

    /// A change to an export on its way.
    enum Forgery: String, CaseIterable {
        case editsAnEvent, editsAHash, leavesOneOut, swapsTwo, changesTheName, changesTheJob, goesBeyondItsEnd
        case endsWithAnotherHash, putsATimeToTheFirst, beginsTwice, isOfTheFuture
    }

    @Test("a changed export is refused, and none of its events is imported", arguments: Forgery.allCases)
    func refusesForgeries(_ forgery: Forgery) async throws {
        try await Self.withTwo { from, to in
            let job = try await Self.filled(from, events: 60)
            var excerpt = try #require(try await from.excerpt(job, after: 0, limit: 100))
            switch forgery {
            case .editsAnEvent: excerpt.events[30].event = excerpt.events[30].event.aMicrosecondLater
            case .editsAHash: excerpt.events[30].hash.flipBit(ofByte: 0)
            case .leavesOneOut: excerpt.events.remove(at: 30)
            case .swapsTwo: excerpt.events.swapAt(30, 31)
            case .changesTheName:
                excerpt.events[0].event = Event(
                    sequence: 1, recordedAt: excerpt.events[0].event.recordedAt,
                    body: .jobCreated(JobDescription(name: "other")))
            case .changesTheJob: excerpt.job = JobID(high: job.high, low: job.low ^ 1)
            case .beginsTwice, .isOfTheFuture: break
            case .goesBeyondItsEnd: excerpt.head.sequence = 50
            case .endsWithAnotherHash: excerpt.head.hash.flipBit(ofByte: 31)
            case .putsATimeToTheFirst:
                let first = excerpt.events[0].event
                excerpt.events[0].event = Event(
                    sequence: 1, recordedAt: first.recordedAt, at: first.recordedAt, body: first.body)
            }
            if forgery == .beginsTwice || forgery == .isOfTheFuture { excerpt = Self.rechained(excerpt, forgery) }
            let error = await #expect(throws: StoreError.self) { try await to.importExcerpt(excerpt) }
            #expect(error?.code == .invalid, "\(String(describing: error))")
            #expect(try await to.jobs(JobFilter(), limit: 10, after: nil).isEmpty)
        }
    }

    /// Returns a forgery with consistent hashes.
    private static func rechained(_ excerpt: LedgerExcerpt, _ forgery: Forgery) -> LedgerExcerpt {
        var chain = HashChain(job: excerpt.job)
        var forged = excerpt
        let future = Timestamp.latest
        forged.events = excerpt.events.map { recorded in
            let event = recorded.event
            let isLast = event.sequence == EventSequence(excerpt.events.count)
            let body =
                forgery == .beginsTwice && isLast ? EventBody.jobCreated(JobDescription(name: "again")) : event.body
            let new = Event(
                sequence: event.sequence,
                recordedAt: forgery == .isOfTheFuture && isLast ? future : event.recordedAt, at: event.at, body: body)
            return RecordedEvent(event: new, hash: chain.append(new))
        }
        forged.head.hash = chain.lastHash
        return forged
    }

    @Test("an import that leaves a gap, diverges or takes another job's key is refused")
    func refusesConflicts() async throws {
        try await Self.withTwo { from, to in
            let job = try await Self.filled(from, events: 60)
            let whole = try #require(try await from.excerpt(job, after: 0, limit: 100))
            func importPart(_ range: Range<Int>) async throws -> ImportResult {
                var piece = whole
                piece.events = Array(whole.events[range])
                return try await to.importExcerpt(piece)
            }
            let gap = await #expect(throws: StoreError.self) { try await importPart(10..<60) }
            #expect(gap?.code == .conflict)
            #expect(try await importPart(0..<20).appended == 20)
            // A report to the job in this ledger makes the two histories diverge.
            let draft = EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "t"), done: 1)))
            _ = try await to.append([draft], to: job)
            let parted = await #expect(throws: StoreError.self) { try await importPart(0..<60) }
            #expect(parted?.code == .conflict)

            let other = try await from.createJob(JobDescription(name: "other", key: "other")).view.id
            _ = try await to.createJob(JobDescription(name: "here", key: "other"))
            let taken = try #require(try await from.excerpt(other, after: 0, limit: 10))
            let error = await #expect(throws: StoreError.self) { try await to.importExcerpt(taken) }
            #expect(error?.code == .conflict && error?.message.contains("key") == true)
        }
    }

    @Test("an import creates a missing partition, but a month before 2020 is refused")
    func otherMonths() async throws {
        try await withLedger { ledger in
            for (milliseconds, isTaken) in [(1_600_000_000_000 as UInt64, true), (1_000_000_000_000, false)] {
                let job = JobID(high: milliseconds << 16 | 0x7000, low: 0x8000_0000_0000_0001)
                let event = Event(
                    sequence: 1, recordedAt: Timestamp(microseconds: 1_000_000_000_000_000),
                    body: .jobCreated(JobDescription(name: "old")))
                var chain = HashChain(job: job)
                let hash = chain.append(event)
                let excerpt = LedgerExcerpt(
                    job: job, head: ChainPosition(sequence: 1, hash: hash),
                    events: [RecordedEvent(event: event, hash: hash)])
                if isTaken {
                    let outcome = try await ledger.importExcerpt(excerpt)
                    #expect(outcome.appended == 1)
                } else {
                    let error = await #expect(throws: StoreError.self) {
                        _ = try await ledger.importExcerpt(excerpt)
                    }
                    #expect(error?.code == .invalid)
                }
            }
        }
    }
}

extension Event {
    /// The same event, recorded one microsecond later.
    var aMicrosecondLater: Event {
        Event(sequence: sequence, recordedAt: Timestamp(microseconds: recordedAt.microseconds + 1), at: at, body: body)
    }
}

extension EventHash {
    fileprivate mutating func flipBit(ofByte index: Int) {
        var bytes = bytes
        bytes[index] ^= 1
        self = EventHash(bytes: bytes) ?? .none
    }
}
