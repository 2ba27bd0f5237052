import Ledger
import LedgerTestSupport
import Logging
import PQ
import Testing

@testable import LedgerStore

/// Appends to jobs of several shards are recorded in all of them or in none.
@Suite("Appends to several shards", .timeLimit(.minutes(10)))
struct AtomicAppendTests {
    private static let silent = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private static func progress(_ report: Int64, by execution: Name = "e") -> EventDraft {
        EventDraft(
            .progress(
                ProgressReport(
                    reference: ExecutionReference(task: "t", execution: execution), report: report, done: 1)))
    }

    /// Creates a job in each shard.
    private static func jobs(_ ledger: ShardedLedger, _ count: Int) async throws -> [Int: JobID] {
        var jobs: [Int: JobID] = [:]
        while jobs.count < count {
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            jobs[ledger.location(of: job)] = job
        }
        return jobs
    }

    private static func heads(_ ledger: ShardedLedger, _ jobs: [Int: JobID]) async throws -> Set<EventSequence> {
        var heads: Set<EventSequence> = []
        for job in jobs.values { heads.insert(try #require(try await ledger.stamp(of: job)).ledgerSequence) }
        return heads
    }

    /// The number of prepared transactions of the ledger.
    private static func prepared(_ shards: [Int: PostgresLedger]) async throws -> Int {
        var count = 0
        for shard in shards.values { count += try await shard.preparedTransactions(olderThan: .zero).count }
        return count
    }

    @Test("events of several shards are recorded together, in order, and leave nothing prepared")
    func recordsAll() async throws {
        try await withShardedLedger(3) { ledger, shards in
            let jobs = try await Self.jobs(ledger, 3)
            let (a, b, c) = (try #require(jobs[0]), try #require(jobs[1]), try #require(jobs[2]))
            let entries = [(b, 1), (a, 2), (b, 3), (c, 4), (b, 5)].map { (job: $0.0, draft: Self.progress($0.1)) }
            let results = try await ledger.append(entries)
            #expect(results.map(\.job) == [b, a, c])
            #expect(results.map(\.sequences) == [2...4, 2...2, 2...2])
            #expect(try await Self.prepared(shards) == 0)
            #expect(try await ledger.waitUntilFolded(c, sequence: 2, deadline: .testTimeout))
            for job in jobs.values { #expect(try await ledger.verify(job, Verification.Range())?.isIntact == true) }
            // The server's cached heads are older than these appends.
            for job in jobs.values { _ = try await ledger.append([Self.progress(9)], to: job) }
        }
    }

    @Test("an append with an unknown job, or a retired one, records nothing in any shard")
    func refusesUnknownJobs() async throws {
        try await withShardedLedger(2, projection: nil) { ledger, shards in
            let jobs = try await Self.jobs(ledger, 2)
            // The unknown job may be in the shard that prepares, or in the one that decides.
            for slot in [0, 1].map({ shard in ledger.map.current.owners.firstIndex(of: shard) ?? 0 }) {
                let unknown = JobID(
                    createdAt: .now, randomHigh: 1, randomLow: ShardMap.randomLow(in: slot))
                let entries = (Array(jobs.values) + [unknown]).map { (job: $0, draft: Self.progress(1)) }
                let error = await #expect(throws: StoreError.self) { try await ledger.append(entries) }
                #expect(error?.code == .unknownJob && error?.jobs == [unknown])
                #expect(try await Self.heads(ledger, jobs) == [1])
                #expect(try await Self.prepared(shards) == 0)
            }
        }
    }

    @Test("a server that dies at any step leaves nothing half recorded: it is settled within 5 s", arguments: 1...5)
    func diesAtStep(steps: Int) async throws {
        try await withShardedLedger(3, projection: nil) { ledger, shards in
            let jobs = try await Self.jobs(ledger, 3)
            let append = PreparedAppend(
                id: JobID(createdAt: .now, randomHigh: 1, randomLow: .random(in: 0 ... .max)), decider: 0)
            func request(_ shard: Int) throws -> AppendRequest {
                AppendRequest(entries: [(try #require(jobs[shard]), Self.progress(1))])
            }
            let all: [(PostgresLedger) async throws -> Void] = [
                { _ = try await $0.prepare(try request(2), as: append.name(in: 2)) },
                { _ = try await $0.prepare(try request(1), as: append.name(in: 1)) },
                { _ = try await $0.decide(append, try request(0)) { _ in } },
                { try await $0.endPrepared(append.name(in: 2), commits: true) },
                { try await $0.endPrepared(append.name(in: 1), commits: true) },
            ]
            let places = [2, 1, 0, 2, 1]
            let started = ContinuousClock.now
            for step in 0..<steps { try await all[step](try #require(shards[places[step]])) }
            // Here the server died. Others settle.
            try await eventually(equals: 0) { try await Self.prepared(shards) }
            #expect(started.duration(to: .now) < .seconds(5))
            #expect(try await Self.heads(ledger, jobs) == [steps < 3 ? 1 : 2])
            // What it has done, it may try to go on with after a long pause.
            if steps == 2 {
                let shard = try #require(shards[0])
                await #expect(throws: StoreError.self) {
                    try await shard.decide(append, try request(0), planned: { _ in })
                }
                #expect(try await Self.heads(ledger, jobs) == [1])
            }
            for (number, job) in jobs {
                _ = try await ledger.append([Self.progress(2)], to: job)
                #expect(try await ledger.verify(job, Verification.Range())?.isIntact == true, "shard \(number)")
            }
        }
    }

    @Test("concurrent appends by two servers neither deadlock nor get lost nor count twice")
    func concurrent() async throws {
        try await withLedgerDatabases(3) { targets in
            try await addShards([0, 1, 2], of: targets)
            try await withRunningShards(targets) { first, shards in
                try await withRunningShards(targets, projection: nil) { second, _ in
                    let jobs = try await Self.jobs(first, 3)
                    try await withThrowingDiscardingTaskGroup { group in
                        for (index, server) in [first, second].enumerated() {
                            for part in 0..<2 {
                                group.addTask {
                                    for report in Int64(1)...10 {
                                        let draft = Self.progress(report, by: Name("e\(index) \(part)"))
                                        let entries = jobs.values.map { (job: $0, draft: draft) }
                                        _ = try await eventually({ _ in true }, retriesErrors: true) {
                                            try await server.append(entries)
                                        }
                                    }
                                }
                            }
                        }
                    }
                    #expect(try await Self.prepared(shards) == 0)
                    for job in jobs.values {
                        let head = try #require(try await first.stamp(of: job)).ledgerSequence
                        #expect(try await first.waitUntilFolded(job, sequence: head, deadline: .testTimeout))
                        // Reports that were repeated after an error are duplicates.
                        let attempted = try await first.job(job, counting: .all)?.snapshot.indicators.first?.attempted
                        #expect(attempted?.done == 40)
                        #expect(try await first.verify(job, Verification.Range())?.isIntact == true)
                    }
                }
            }
        }
    }

    @Test("if a database prepares no transactions, the request is refused with the remedy")
    func preparingIsDisabled() async throws {
        // PostgreSQL's default.
        try await withTestServer(settings: ["max_prepared_transactions": "0"]) { server in
            try await withLedgerDatabases(1) { targets in
                var targets = targets
                targets[1] = server.target
                _ = try await Migrator(target: server.target, logger: Self.silent).migrate()
                try await addShards([0, 1], of: targets)
                try await withRunningShards(targets, projection: nil) { ledger, _ in
                    let jobs = try await Self.jobs(ledger, 2)
                    let error = await #expect(throws: StoreError.self) {
                        try await ledger.append(jobs.values.map { (job: $0, draft: Self.progress(1)) })
                    }
                    #expect(error?.code == .severalShards)
                    #expect(error?.message.contains("max_prepared_transactions") == true)
                    #expect(try await Self.heads(ledger, jobs) == [1])
                }
            }
        }
    }

    @Test("an append whose decision was committed without a response is acknowledged")
    func ambiguousCommit() async throws {
        try await withLedgerDatabases(2) { targets in
            try await addShards([0, 1], of: targets)
            let proxy = try FaultProxy(before: try #require(targets[0]))
            defer { proxy.close() }
            var proxied = targets
            proxied[0] = proxy.target
            try await withRunningShards(proxied, projection: nil) { ledger, shards in
                let jobs = try await Self.jobs(ledger, 2)
                proxy.stop(at: "insert into ledger.shard_commit", isForwarded: true)
                async let results = ledger.append(jobs.values.map { (job: $0, draft: Self.progress(1)) })
                let pool = Pool(target: try #require(targets[0]), logger: Self.silent)
                try await eventually(equals: 1) { try await Self.decisions(pool) }
                await pool.close()
                proxy.closeConnections()
                #expect(try await results.map(\.sequences) == [2...2, 2...2])
                #expect(try await Set(results.map(\.job)) == Set(jobs.values))
                #expect(try await Self.heads(ledger, jobs) == [2])
                try await eventually(equals: 0) { try await Self.prepared(shards) }
            }
        }
    }

    private static func decisions(_ pool: Pool) async throws -> Int {
        try await pool.query(Query("select from ledger.shard_commit")).count
    }

    @Test("a decision is forgotten only when it is old, and when no prepared transaction may need it")
    func forgottenDecisions() async throws {
        try await withShardedLedger(3, projection: nil) { ledger, shards in
            let jobs = try await Self.jobs(ledger, 3)
            let first = try #require(shards[0])
            let last = try #require(shards[2])
            func age(_ age: String, _ isCommitted: Bool) async throws {
                _ = try await first.appendPool.query(
                    Query(
                        """
                        update ledger.shard_commit set decided_at = now() - interval '\(age)'
                        where is_committed = \(isCommitted)
                        """, prepare: false))
            }
            _ = try await ledger.append(jobs.values.map { (job: $0, draft: Self.progress(1)) })
            let refused = PreparedAppend(
                id: JobID(createdAt: .now, randomHigh: 1, randomLow: .random(in: 0 ... .max)), decider: 0)
            #expect(try await first.refuseUnlessDecided(refused) == false)
            await ledger.settlePreparedAppends(forgets: true)
            #expect(try await Self.decisions(first.pool) == 2, "they are new")
            // A server with an old decision may be suspended, and a refusal is kept for it.
            try await age("1 hour", true)
            try await age("1 hour", false)
            // Its decider is a shard that this server does not know, so it is not settled.
            let other = PreparedAppend(id: refused.id, decider: 9)
            _ = try await last.prepare(
                AppendRequest(entries: [(try #require(jobs[2]), Self.progress(2))]), as: other.name(in: 2))
            try await eventually(equals: 1) {
                try await last.preparedTransactions(olderThan: ShardedLedger.settledAfter).count
            }
            await ledger.settlePreparedAppends(forgets: true)
            #expect(try await Self.decisions(first.pool) == 2, "a prepared transaction is left")
            try await last.endPrepared(other.name(in: 2), commits: false)
            await ledger.settlePreparedAppends(forgets: true)
            #expect(try await Self.decisions(first.pool) == 1, "the old commit is forgotten")
            try await age("2 days", false)
            await ledger.settlePreparedAppends(forgets: true)
            #expect(try await Self.decisions(first.pool) == 0)
        }
    }
}
