import Ledger
import LedgerChain
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

// Each test has two databases of the few that tests may have at the same time: one after the other, so that none waits for
// another that waits for it.
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
        let isFolded = try await ledger.waitUntilFolded(job, sequence: Int64(events), deadline: .testTimeout)
        #expect(isFolded)
        return job
    }

    /// Two ledgers, each on a database of its own.
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

    @Test("a job that was exported and imported folds to the same snapshot, and its chain goes on")
    func isTheSame() async throws {
        try await Self.withTwo { from, to in
            let job = try await Self.filled(from)
            let whole = try #require(try await from.excerpt(job, after: 0, limit: 10_000))
            #expect(whole.events.count == 400 && whole.head.sequence == 400)
            var stored = 0
            // In pieces, some of them twice and overlapping, as after lost answers.
            for (first, last) in [(0, 150), (0, 150), (100, 300), (300, 400), (0, 400)] {
                var piece = whole
                piece.events = Array(whole.events[first..<last])
                let outcome = try await to.importExcerpt(piece)
                stored = max(stored, last)
                #expect(outcome.place.sequence == Int64(stored))
            }
            let isFolded = try await to.waitUntilFolded(job, sequence: 400, deadline: .testTimeout)
            #expect(isFolded)
            let before = try #require(try await from.job(job))
            let after = try #require(try await to.job(job))
            #expect(after == before)
            let verification = try #require(try await to.verify(job, Verification.Range(anchor: whole.head)))
            #expect(verification.isWhole && verification.sequence == 400)
            let next = EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "next"), done: 1)))
            #expect(try await to.append([next], to: job) == 401...401)
            let longer = try #require(try await to.verify(job, Verification.Range()))
            #expect(longer.isWhole && longer.sequence == 401)
        }
    }

    /// What is done to an export on its way.
    enum Forgery: String, CaseIterable {
        case editsAnEvent, editsAHash, leavesOneOut, swapsTwo, changesTheName, changesTheJob, goesBeyondItsEnd
        case endsWithAnotherHash, putsATimeToTheFirst, beginsTwice, isOfTheFuture
    }

    @Test("an export that was changed is refused, and nothing of it is taken", arguments: Forgery.allCases)
    func refusesForgeries(_ forgery: Forgery) async throws {
        try await Self.withTwo { from, to in
            let job = try await Self.filled(from, events: 60)
            var excerpt = try #require(try await from.excerpt(job, after: 0, limit: 100))
            switch forgery {
            case .editsAnEvent: excerpt.events[30].event = excerpt.events[30].event.aMicrosecondLater
            case .editsAHash: excerpt.events[30].hash[0] ^= 1
            case .leavesOneOut: excerpt.events.remove(at: 30)
            case .swapsTwo: excerpt.events.swapAt(30, 31)
            case .changesTheName:
                excerpt.events[0].event = Event(
                    sequence: 1, recordedAt: excerpt.events[0].event.recordedAt,
                    body: .jobCreated(JobDescription(name: "other")))
            case .changesTheJob: excerpt.job = JobID(high: job.high, low: job.low ^ 1)
            case .beginsTwice, .isOfTheFuture: break
            case .goesBeyondItsEnd: excerpt.head.sequence = 50
            case .endsWithAnotherHash: excerpt.head.hash[31] ^= 1
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

    /// A forgery whose hashes fit.
    private static func rechained(_ excerpt: LedgerExcerpt, _ forgery: Forgery) -> LedgerExcerpt {
        var chain = HashChain(job: excerpt.job)
        var forged = excerpt
        let future = Timestamp.latest
        forged.events = excerpt.events.map { recorded in
            let event = recorded.event
            let isLast = event.sequence == Int64(excerpt.events.count)
            let body =
                forgery == .beginsTwice && isLast ? EventBody.jobCreated(JobDescription(name: "again")) : event.body
            let new = Event(
                sequence: event.sequence,
                recordedAt: forgery == .isOfTheFuture && isLast ? future : event.recordedAt, at: event.at, body: body)
            return RecordedEvent(event: new, hash: chain.append(new))
        }
        forged.head.hash = chain.head
        return forged
    }

    @Test("an import that does not go on where the job stands, has gone another way, or takes a key, is refused")
    func refusesWhatDoesNotFollow() async throws {
        try await Self.withTwo { from, to in
            let job = try await Self.filled(from, events: 60)
            let whole = try #require(try await from.excerpt(job, after: 0, limit: 100))
            func take(_ range: Range<Int>) async throws -> ImportResult {
                var piece = whole
                piece.events = Array(whole.events[range])
                return try await to.importExcerpt(piece)
            }
            let gap = await #expect(throws: StoreError.self) { try await take(10..<60) }
            #expect(gap?.code == .conflict)
            #expect(try await take(0..<20).appended == 20)
            // Somebody reports to it here: from now on the two go different ways.
            let draft = EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "t"), done: 1)))
            _ = try await to.append([draft], to: job)
            let parted = await #expect(throws: StoreError.self) { try await take(0..<60) }
            #expect(parted?.code == .conflict)

            let other = try await from.createJob(JobDescription(name: "other", key: "other")).view.id
            _ = try await to.createJob(JobDescription(name: "here", key: "other"))
            let taken = try #require(try await from.excerpt(other, after: 0, limit: 10))
            let error = await #expect(throws: StoreError.self) { try await to.importExcerpt(taken) }
            #expect(error?.code == .conflict && error?.message.contains("key") == true)
        }
    }

    @Test("a job of a month that has no partition here is taken, and one of a month before 2020 is refused")
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
    /// The same event, recorded a microsecond later.
    var aMicrosecondLater: Event {
        Event(sequence: sequence, recordedAt: Timestamp(microseconds: recordedAt.microseconds + 1), at: at, body: body)
    }
}
