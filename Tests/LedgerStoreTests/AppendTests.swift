import Ledger
import LedgerStore
import LedgerTestSupport
import Logging
import PQ
import Synchronization
import Testing

/// Appended events exist once, at their acknowledged sequences, after any failure.
@Suite("Appending")
struct AppendTests {
    private static let silent = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private func report(_ number: Int64) -> EventDraft {
        EventDraft(
            .progress(ProgressReport(reference: ExecutionReference(task: "t", execution: "e"), report: number, done: 1))
        )
    }

    /// The report numbers of a job's events by sequence, read from the table.
    private func stored(_ job: JobID, _ target: ConnectionTarget) async throws -> [EventSequence: Int64] {
        let pool = Pool(target: target, logger: Self.silent)
        let rows = try await pool.query(
            Query(
                "select sequence, coalesce(report, 0) from ledger.event where job_id = $1 order by 1",
                [.uuid(job.uuid)]))
        await pool.close()
        var stored: [EventSequence: Int64] = [:]
        for (index, row) in rows.enumerated() {
            let sequence = try row.decode(0, as: EventSequence.self)
            #expect(sequence == EventSequence(index + 1), "a gap")
            stored[sequence] = try row.decode(1)
        }
        return stored
    }

    /// Fields that few events have, and in the last case only the first ones.
    private func draft(_ number: Int, hasNotes: Bool) -> EventDraft {
        let isRare = number < 3
        let reference = ExecutionReference(
            task: Name("t\(number)"), execution: isRare ? "e" : nil, attempt: isRare ? nil : 1)
        return EventDraft(
            .progress(
                ProgressReport(
                    reference: reference, report: isRare ? 7 : nil, label: isRare ? "tiles" : nil,
                    total: isRare ? nil : 9, done: 2, carried: hasNotes && isRare ? 1 : nil,
                    unit: hasNotes && isRare ? "bytes" : nil)),
            at: isRare ? .now : nil, reporter: isRare ? "token:a" : nil,
            message: hasNotes && isRare ? "first" : nil, link: hasNotes && isRare ? "https://e.example/" : nil)
    }

    /// The numbers of events and of jobs choose the statement.
    ///
    /// Nulls after the last value of a column are not sent, nor the same job and time for each event.
    @Test(
        "events are stored with the fields that they have and no others, in groups of any size",
        arguments: [1, 2, 20, 300], [1, 2])
    func fields(size: Int, jobs: Int) async throws {
        try await withLedger { ledger in
            for (hasNotes, rareFirst) in [(false, true), (true, true), (true, false)] {
                var entries: [(job: JobID, draft: EventDraft)] = []
                for _ in 0..<jobs {
                    let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                    let numbers = rareFirst ? Array(0..<size) : Array((0..<size).reversed())
                    entries += numbers.map { (job, draft($0, hasNotes: hasNotes)) }
                }
                _ = try await ledger.append(entries)
                for job in Set(entries.map(\.job)) {
                    let page = try await ledger.events(job, EventFilter(), after: 1, limit: 500)
                    let stored = try #require(page).events.map { EventDraft($0.event) }
                    #expect(stored == entries.filter { $0.job == job }.map(\.draft))
                    #expect(try await ledger.verify(job, Verification.Range())?.isIntact == true)
                }
            }
        }
    }

    /// One, a few and many events are written by different statements.
    @Test(
        "if a connection breaks at any byte, an append happens once, or not at all, or is unknown",
        arguments: [1, 20, 300])
    func breakingConnections(size: Int64) async throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        try await withLedgerDatabase { target in
            let proxy = try FaultProxy(before: target)
            defer { proxy.close() }
            var settings = PostgresLedger.Settings()
            settings.operationDeadline = .seconds(60)
            let ledger = PostgresLedger(target: proxy.target, settings: settings, logger: Self.silent)
            let running = Task { try await ledger.run() }
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            var acknowledged: [EventSequence: Int64] = [:]
            var refused: Set<Int64> = []
            for number in Int64(1)...(size == 1 ? 80 : 40) {
                let direction: FaultProxy.Direction = Bool.random(using: &random) ? .toServer : .toClient
                let cut = Int.random(in: 1...Int(1_500 + 200 * (size - 1)), using: &random)
                // Sometimes the attempts after the first one fail as well.
                let passedMin = Int.random(in: 1...4, using: &random) == 1 ? cut + 500 : cut
                proxy.cut(direction, after: cut)
                // The test checks the number of the first event; the others have numbers of their own.
                let others = (1..<size).map { self.report(1_000 * number + $0) }
                let hasEnded = Mutex(false)
                let append = Task {
                    defer { hasEnded.withLock { $0 = true } }
                    return try await ledger.append([self.report(number)] + others, to: job)
                }
                try await eventually({ $0 >= passedMin || hasEnded.withLock { $0 } }) { proxy.passed(direction) }
                proxy.heal()
                do {
                    acknowledged[try await append.value.lowerBound] = number
                } catch let error as StoreError {
                    if error.code != .outcomeUnknown { refused.insert(number) }
                }
            }
            running.cancel()
            try await running.value
            let stored = try await stored(job, target)
            for (sequence, number) in acknowledged {
                #expect(stored[sequence] == number, "seed \(seed): report \(number) is not at \(sequence)")
            }
            let counts = stored.values.filter { $0 > 0 }.reduce(into: [:]) { $0[$1, default: 0] += 1 }
            #expect((stored.count - 1) % Int(size) == 0, "seed \(seed): a partial append")
            #expect(counts.values.allSatisfy { $0 == 1 }, "seed \(seed): appended twice")
            #expect(refused.isDisjoint(with: counts.keys), "seed \(seed): refused but recorded")
            #expect(acknowledged.count > (size == 1 ? 40 : 20), "seed \(seed): too few appends succeeded")
        }
    }

    /// One, a few and many events are written by different statements.
    @Test(
        "two servers that append to one job in turn assign each sequence once",
        arguments: [1, 20, 300])
    func overtaking(size: Int64) async throws {
        try await withLedgerDatabase { target in
            let ledgers = (0..<2).map { _ in PostgresLedger(target: target, logger: Self.silent) }
            let running = ledgers.map { ledger in Task { try await ledger.run() } }
            let job = try await ledgers[0].createJob(JobDescription(name: "n")).view.id
            for number in Int64(0)..<40 {
                let reports = number * size + 1...(number + 1) * size
                let range = try await ledgers[Int(number % 2)].append(reports.map { report($0) }, to: job)
                #expect(range == EventSequence(reports.lowerBound + 1)...EventSequence(reports.upperBound + 1))
            }
            var overtaken = 0.0
            for ledger in ledgers {
                let statistics = await ledger.statistics()
                overtaken += statistics.first { $0.name == "progress_ledger_append_overtaken_total" }?.value ?? 0
            }
            #expect(overtaken > 0)
            for task in running { task.cancel() }
            for task in running { try await task.value }
            let stored = try await stored(job, target)
            #expect(stored.count == Int(40 * size + 1))
            #expect(stored.allSatisfy { $0.key.number == $0.value + 1 })
        }
    }

    @Test("a server alone never overtakes itself, with single and multi-job appends at random")
    func overtakesNoneAlone() async throws {
        let seed = UInt64.random(in: 0 ... .max)
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil, logger: Self.silent) { ledger in
                var jobs: [JobID] = []
                for _ in 0..<2 { jobs.append(try await ledger.createJob(JobDescription(name: "n")).view.id) }
                let both = jobs
                var random = SeededGenerator(seed: seed)
                let operations = (0..<200).map { _ in Int.random(in: 0...3, using: &random) }
                try await withThrowingTaskGroup { group in
                    // Sixteen callers append at the same time, so groups form and overlap.
                    for caller in 0..<16 {
                        let own = stride(from: caller, to: operations.count, by: 16).map { operations[$0] }
                        group.addTask {
                            for operation in own {
                                switch operation {
                                case 0, 1: _ = try await ledger.append([report(1)], to: both[operation])
                                case 2: _ = try await ledger.append(both.map { ($0, report(1)) })
                                default: _ = try await ledger.append(both.reversed().map { ($0, report(1)) })
                                }
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                let overtaken = await ledger.statistics().first {
                    $0.name == "progress_ledger_append_overtaken_total"
                }
                #expect(overtaken?.value == 0, "seed \(seed)")
                for (index, job) in jobs.enumerated() {
                    let count = operations.count { $0 >= 2 || $0 == index }
                    #expect(try await stored(job, target).count == 1 + count, "seed \(seed)")
                }
            }
        }
    }

    @Test("concurrent appends to many uncached jobs and a missing one are recorded exactly once")
    func manyJobs() async throws {
        try await withLedgerDatabase { target in
            let creator = PostgresLedger(target: target, logger: Self.silent)
            let creating = Task { try await creator.run() }
            var jobs: [JobID] = []
            for _ in 0..<200 { jobs.append(try await creator.createJob(JobDescription(name: "n")).view.id) }
            creating.cancel()
            try await creating.value
            // This server has none of the jobs in its cache.
            let ledger = PostgresLedger(target: target, logger: Self.silent)
            let running = Task { try await ledger.run() }
            let missing = JobID(high: 1, low: 1)
            let rounds = Int64(10)
            try await withThrowingTaskGroup { group in
                for (number, job) in jobs.enumerated() {
                    let other = jobs[(number + 1) % jobs.count]
                    group.addTask {
                        for round in 1...rounds {
                            _ = try await ledger.append([report(round)], to: job)
                            guard round == 5 else { continue }
                            _ = try await ledger.append([(job, report(100)), (other, report(101))])
                            await #expect(throws: StoreError.self) { try await ledger.append([report(1)], to: missing) }
                        }
                    }
                }
                try await group.waitForAll()
            }
            running.cancel()
            try await running.value
            for job in jobs {
                let stored = try await stored(job, target)
                #expect(stored.values.sorted() == [0] + Array(1...rounds) + [100, 101])
            }
        }
    }

    @Test("an append without events has a result at once")
    func withoutEvents() async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let start = ContinuousClock.now
            #expect(try await ledger.append([]).isEmpty)
            let error = await #expect(throws: StoreError.self) { _ = try await ledger.append([], to: job) }
            #expect(error?.message == "the append contains no events")
            #expect(start.duration(to: .now) < .seconds(10))
        }
    }

    @Test("an append to a locked head succeeds after the lock is released")
    func waitsForLocks() async throws {
        try await withLedgerDatabase { target in
            let job = try await withRunningLedger(on: target, projection: nil) { ledger in
                try await ledger.createJob(JobDescription(name: "n")).view.id
            }
            var settings = PostgresLedger.Settings()
            settings.operationDeadline = .seconds(1)
            try await withRunningLedger(
                on: target, projection: nil, settings: settings, logger: Self.silent
            ) { ledger in
                let pool = Pool(target: target, logger: Self.silent)
                let appending = try await pool.withTransaction { transaction in
                    _ = try await transaction.query(Query("lock table ledger.job_head in access exclusive mode"))
                    let appending = Task { try await ledger.append([self.report(1)], to: job) }
                    // Wait until the append waits for the lock.
                    try await eventually {
                        try await pool.query(
                            Query(
                                """
                                select from pg_stat_activity
                                where datname = current_database() and wait_event_type = 'Lock'
                                    and query like '%for update%'
                                """)
                        ).count == 1
                    }
                    return appending
                }
                await pool.close()
                #expect(try await appending.value == 2...2)
            }
            #expect(try await stored(job, target) == [1: 0, 2: 1])
        }
    }

    @Test("times come from the database's clock and never decrease within a job")
    func clock() async throws {
        try await withLedger(projection: nil) { ledger in
            // Cached readings of the clock are no older than the job.
            let before = try await ledger.pool.query(Query("select clock_timestamp()"))[0].decode(
                0, as: Timestamp.self)
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            for number in Int64(1)...50 { _ = try await ledger.append([report(number)], to: job) }
            let row = try await ledger.pool.query(
                Query(
                    """
                    select bool_and(recorded_at >= before), min(recorded_at) filter (where sequence > 1),
                        max(recorded_at) <= clock_timestamp()
                    from (
                        select sequence, recorded_at, lag(recorded_at, 1, '-infinity') over (order by sequence) as before
                        from ledger.event where job_id = $1
                    ) as event
                    """, [.uuid(job.uuid)]))[0]
            #expect(try row.decode(0, as: Bool.self))
            let first = try row.decode(1, as: Timestamp.self).microseconds
            #expect(first >= before.microseconds)
            #expect(try row.decode(2, as: Bool.self))
        }
    }
}
