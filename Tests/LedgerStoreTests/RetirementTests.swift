import Ledger
import LedgerChain
import LedgerProjection
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@Suite("Retired jobs", .serialized)
struct RetirementTests {
    static let export = Retirement.Export(sha256: EventHash(1, 2, 3, 4), place: "s3://archive/jobs.ndjson")

    /// Runs the closure with a running ledger and with the owner's access to it.
    static func withRetirement(
        replays: ReplaySettings? = nil,
        _ body: (ConnectionTarget, PostgresLedger, RetirementStore) async throws -> Void
    ) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: replays) { ledger in
                let store = try await RetirementStore(target: target, logger: TestCluster.logger)
                do { try await body(target, ledger, store) } catch {
                    await store.close()
                    throw error
                }
                await store.close()
            }
        }
    }

    static func retire(_ job: JobID, _ store: RetirementStore) async throws {
        let head = try #require(try await store.head(of: job)?.position)
        try await store.retire([(job, head)], in: export, deletesEvents: true)
    }

    private func expectRetired<R>(_ name: String, _ body: () async throws -> R) async {
        let error = await #expect(throws: StoreError.self, "\(name)") { _ = try await body() }
        #expect(error?.code == .retired, "\(name): \(String(describing: error))")
    }

    @Test("operations on a retired job fail, and the job, its key and its head stay")
    func operations() async throws {
        try await Self.withRetirement { _, ledger, store in
            let job = try await PastJob.add(key: "k", to: ledger)
            let before = try #require(try await ledger.job(job))
            let history = try await ledger.events(job, EventFilter(), after: nil, limit: 10)
            #expect(history?.events.count == 4)
            try await Self.retire(job, store)
            await expectRetired("job") { try await ledger.job(job) }
            await expectRetired("all") { try await ledger.job(job, counting: .all) }
            await expectRetired("last successful") { try await ledger.job(job, counting: .lastSuccessful) }
            await expectRetired("past") { try await ledger.job(job, at: .sequence(1), counting: .last) }
            for after in [nil, 2, 9] as [EventSequence?] {
                await expectRetired("events") { try await ledger.events(job, EventFilter(), after: after, limit: 10) }
            }
            await expectRetired("tasks") { try await ledger.tasks(job, state: nil, limit: 10, after: nil) }
            await expectRetired("past tasks") {
                try await ledger.tasks(job, at: .sequence(2), state: nil, limit: 10, after: nil)
            }
            for moment in [nil, .sequence(2)] as [PointInTime?] {
                await expectRetired("explain") {
                    try await ledger.explain(job, "l", at: moment, counting: .last, limit: 10, after: nil)
                }
            }
            await expectRetired("history") { try await ledger.history(job, "l", points: 10) }
            await expectRetired("diff") {
                try await ledger.difference(job, from: .sequence(1), to: nil, counting: .last, limit: 10)
            }
            await expectRetired("export") { try await ledger.excerpt(job, after: 0, limit: 10) }
            await expectRetired("replay") { try await ledger.beginReplay(Replay.Request(job: job)) }
            await expectRetired("same key") {
                try await ledger.createJob(JobDescription(name: "past", key: "k", tags: ["team": "a"]))
            }
            await expectRetired("stamp") {
                try await withCheckedContinuation { done in ledger.stamp(of: job) { done.resume(returning: $0) } }.get()
            }
            #expect(try await ledger.jobs([job]).isEmpty)
            let listed = try #require(try await ledger.jobs(JobFilter(state: .completed), limit: 10, after: nil).first)
            #expect(listed.id == job && listed.isRetired && listed.description == before.description)
            #expect(listed.snapshot.finishedAt == before.snapshot.finishedAt && listed.snapshot.indicators.isEmpty)
            #expect(listed.snapshot.sequence == 4 && listed.ledgerSequence == 4)
            #expect(try await ledger.heads(after: nil, limit: 10).map(\.position?.hash) == [before.version?.history])
            let retirement = try #require(try await ledger.retirement(of: job))
            #expect(retirement.export == Self.export && retirement.position.sequence == 4)
        }
    }

    @Test("an append to a retired job fails alone, whether its head is cached or not")
    func appends() async throws {
        try await Self.withRetirement { _, ledger, store in
            let other = try await ledger.createJob(JobDescription(name: "other")).view.id
            let cached = try await ledger.createJob(JobDescription(name: "cached")).view.id
            let end = try await ledger.append([EventDraft(.jobFinished(.failed))], to: cached)
            let isFolded = try await ledger.waitUntilFolded(cached, sequence: end.upperBound, deadline: .testTimeout)
            #expect(isFolded)
            try await Self.retire(cached, store)
            let draft = EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "t"), done: 1)))
            for attempt in 1...3 {
                async let good = ledger.append([draft], to: other)
                await expectRetired("attempt \(attempt)") { try await ledger.append([draft], to: cached) }
                #expect(try await good.upperBound == EventSequence(attempt + 1))
            }
            await expectRetired("several jobs") { try await ledger.append([(other, draft), (cached, draft)]) }
            #expect(try await ledger.job(other)?.ledgerSequence == 4)
        }
    }

    @Test("a job is refused while it runs, if its export is stale, during a replay, and a second time")
    func refusals() async throws {
        try await Self.withRetirement { target, ledger, store in
            let running = try await PastJob.add(Array(PastJob.finished.prefix(1)), to: ledger)
            let ended = try await PastJob.add(number: 2, to: ledger)
            func expectRefused(_ part: String, _ jobs: [(job: JobID, position: ChainPosition)]) async {
                let error = await #expect(throws: StoreError.self, "\(part)") {
                    try await store.retire(jobs, in: Self.export, deletesEvents: true)
                }
                #expect(
                    error?.code == .conflict && error?.message.contains(part) == true, "\(String(describing: error))")
            }
            let head = try #require(try await store.head(of: ended)?.position)
            let open = try #require(try await store.head(of: running)?.position)
            await expectRefused("is running", [(ended, head), (running, open)])
            await expectRefused("other events", [(ended, ChainPosition(sequence: head.sequence, hash: .none))])
            await expectRefused("other events", [(ended, ChainPosition(sequence: 1, hash: head.hash))])
            let missing = JobID(createdAt: PastJob.march, randomHigh: 9, randomLow: 9)
            await expectRefused("does not exist", [(missing, head)])
            let pool = Pool(target: target, logger: TestCluster.logger)
            _ = try await pool.query(
                Query(
                    "insert into ledger.replay (job_id, applies, policy) values ($1, false, 'last')",
                    [.uuid(running.uuid)]))
            await expectRefused("replay", [(ended, head)])
            _ = try await pool.query(Query("update ledger.replay set state = 'done'"))
            #expect(try await store.retirement(of: ended) == nil)
            #expect(try await ledger.job(ended)?.snapshot.indicators.count == 1)
            try await Self.retire(ended, store)
            await expectRefused("already", [(ended, head)])
            let rows = try await pool.query(
                Query("select count(*) from ledger.event where job_id = $1", [.uuid(ended.uuid)]))
            #expect(try rows[0].decode(0, as: Int.self) == 0)
            await pool.close()
        }
    }

    @Test("a retired job leaves no row of a projection but a snapshot that shows only its end")
    func leavesNothing() async throws {
        try await Self.withRetirement { target, ledger, store in
            let job = try await PastJob.add(to: ledger)
            let pool = Pool(target: target, logger: TestCluster.logger)
            _ = try await pool.query(
                Query("insert into ledger.noticed_stall (job_id, since) values ($1, now())", [.uuid(job.uuid)]))
            // The import has left this one.
            let floor = Query("select from ledger.notification_floor where job_id = $1", [.uuid(job.uuid)])
            #expect(try await pool.query(floor).count == 1)
            try await Self.retire(job, store)
            let tables = try await pool.query(
                Query(
                    """
                    select class.relname::text
                    from pg_attribute as attribute
                    join pg_class as class on class.oid = attribute.attrelid and class.relkind = 'r'
                    where class.relnamespace = 'ledger'::regnamespace and attribute.attname = 'projection'
                        and class.relname not in ('snapshot', 'replay_job')
                    union
                    values ('notification_floor'), ('noticed_stall')
                    """))
            #expect(tables.count >= 7)
            for row in tables {
                let table = try row.decode(0, as: String.self)
                let found = try await pool.query(
                    Query("select from ledger.\(table) where job_id = $1", [.uuid(job.uuid)]))
                #expect(found.isEmpty, "\(table)")
            }
            // A dropped projection is restored from the record, and never folded.
            _ = try await pool.query(Query("delete from ledger.snapshot"))
            ledger.projectionQueue.requestSweep()
            try await eventually(equals: [true]) {
                try await ledger.jobs(JobFilter(state: .completed), limit: 2, after: nil).map(\.isRetired)
            }
            #expect(try await ledger.status().stuckJobCount == 0)
            await pool.close()
        }
    }

    @Test("verification says retired, and a record that is not the head's or is missing is a fault")
    func verification() async throws {
        try await Self.withRetirement { target, ledger, store in
            let job = try await PastJob.add(to: ledger)
            let removed = try await PastJob.add(number: 2, to: ledger)
            try await Self.retire(job, store)
            let found = try #require(try await ledger.verify(job, Verification.Range()))
            #expect(found.isIntact && found.retiredAt != nil && found.sequence == 4)
            let early = ChainPosition(sequence: 2, hash: .none)
            #expect(try await ledger.verify(job, Verification.Range(anchor: early))?.isIntact == true)
            for anchor in [ChainPosition(sequence: 4, hash: .none), ChainPosition(sequence: 5, hash: .none)] {
                #expect(try await ledger.verify(job, Verification.Range(anchor: anchor))?.fault?.kind == .anchor)
            }
            #expect(try await tamper(target, "delete from ledger.event where job_id = $1", [removed]) == 4)
            #expect(try await ledger.verify(removed, Verification.Range())?.fault?.kind == .missing)

            #expect(
                try await tamper(
                    target,
                    "update ledger.job_head set retired_hash = $$\\x\(String(repeating: "aa", count: 32))$$, hash = "
                        + "$$\\x\(String(repeating: "aa", count: 32))$$ where job_id = $1", [job]) == 1)
            #expect(try await ledger.verify(job, Verification.Range())?.fault?.kind == .head)
            #expect(
                try await tamper(target, "update ledger.job_head set retired_hash = null where job_id = $1", [job]) == 1
            )
            #expect(try await ledger.verify(job, Verification.Range())?.fault?.kind == .head)
        }
    }

    @Test("an export of a retired job is refused by its own ledger and imported by another one")
    func imports() async throws {
        try await Self.withRetirement { _, ledger, store in
            let excerpt = PastJob.excerpt(PastJob.finished)
            let job = try await PastJob.add(to: ledger)
            try await Self.retire(job, store)
            let error = await #expect(throws: StoreError.self) { try await ledger.importExcerpt(excerpt) }
            #expect(error?.code == .conflict && error?.message.contains("retired") == true)
            try await withLedger { other in
                let copy = try await PastJob.add(to: other)
                #expect(try await other.verify(copy, Verification.Range())?.isIntact == true)
            }
        }
    }

    @Test("a replay counts retired jobs and replays the others, and an earlier one can be reverted")
    func replays() async throws {
        try await Self.withRetirement(replays: ReplayTests.small) { _, ledger, store in
            let job = try await PastJob.add(to: ledger)
            let other = try await PastJob.add(number: 2, to: ledger)
            let first = try await ledger.beginReplay(Replay.Request(applies: true)).id
            #expect(try await ReplayTests.end(of: first, ledger).state == .applied)
            try await Self.retire(job, store)
            _ = try await ledger.revertReplay(first)
            let reverted = try await ReplayTests.end(of: first, ledger)
            #expect(reverted.state == .reverted, "\(String(describing: reverted.error))")
            #expect(try await ledger.job(other)?.snapshot.indicators.count == 1)
            let second = try await ledger.beginReplay(Replay.Request()).id
            let replay = try await ReplayTests.end(of: second, ledger)
            #expect(replay.state == .done && replay.retiredJobs == 1 && replay.skippedJobs == 0)
            #expect(replay.differenceCount == 0, "\(replay.differences)")
            await expectRetired("job") { try await ledger.job(job) }
        }
    }
}
