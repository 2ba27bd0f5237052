import Ledger
import LedgerTestSupport
import Logging
import PQ
import Synchronization
import Testing

@testable import LedgerStore

/// A moved job is in exactly one shard at any time, also if the mover is killed.
@Suite("Moves of jobs between shards", .timeLimit(.minutes(10)))
struct JobMoverTests {
    private static let silent = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private static func progress(_ report: Int64) -> EventDraft {
        EventDraft(
            .progress(
                ProgressReport(reference: ExecutionReference(task: "t", execution: "e"), report: report, done: 1)))
    }

    /// Creates a folded job with a key and some events in shard 0.
    private static func makeJob(
        _ ledger: ShardedLedger, _ key: Name, events: Int64 = 5
    ) async throws -> JobID {
        let (view, _) = try await ledger.createJob(JobDescription(name: "n", key: key))
        try #require(ledger.location(of: view.id) == 0)
        let last = try await ledger.append((1...events).map { progress($0) }, to: view.id).upperBound
        #expect(try await ledger.waitUntilFolded(view.id, sequence: last, deadline: .testTimeout))
        return view.id
    }

    /// A key in a slot of shard 0.
    private static func key(_ ledger: ShardedLedger, _ number: Int = 0) throws -> Name {
        try #require(
            (0..<10_000).lazy.map { Name("key \(number) \($0)") }.first { ledger.map.owners(of: $0) == [0] })
    }

    private static func move(
        _ job: JobID, to shard: Int, of targets: [Int: ConnectionTarget],
        afterStep: @escaping @Sendable (JobMover.Step) async throws -> Void = { _ in }
    ) async throws -> ShardAdministration.Move {
        let administration = ShardAdministration(targets, logger: silent)
        let result: Result<ShardAdministration.Move, any Error>
        do { result = .success(try await administration.move(job, to: shard, afterStep: afterStep)) } catch {
            result = .failure(error)
        }
        await administration.close()
        return try result.get()
    }

    /// The shards that have the job.
    private static func places(_ job: JobID, _ shards: [Int: PostgresLedger]) async throws -> [Int] {
        var places: [Int] = []
        for (number, shard) in shards.sorted(by: { $0.key < $1.key }) where try await shard.contains(job) {
            places.append(number)
        }
        return places
    }

    @Test("a moved job keeps its id, key, events, snapshot and links, and every server finds it")
    func moves() async throws {
        try await withLedgerDatabases(3) { targets in
            try await addShards([0, 1, 2], of: targets)
            try await withRunningShards(targets) { ledger, shards in
                try await withRunningShards(targets, projection: nil) { other, _ in
                    let key = try Self.key(ledger)
                    let job = try await Self.makeJob(ledger, key)
                    let before = try #require(try await ledger.job(job))
                    let moved = try await Self.move(job, to: 2, of: targets)
                    #expect(moved.from == 0 && moved.to == 2 && moved.position?.sequence == 6)
                    #expect(try await Self.places(job, shards) == [2])
                    // The snapshot is there at once; nothing is folded again.
                    for server in [ledger, other] {
                        let after = try #require(try await server.job(job))
                        #expect(after.snapshot == before.snapshot && after.description == before.description)
                        #expect(try await server.verify(job, Verification.Range())?.isIntact == true)
                        #expect(try await server.jobs([job]).map(\.id) == [job])
                        #expect(try await server.jobs(JobFilter(), limit: 9, after: nil).map(\.id) == [job])
                        #expect(try await server.jobs(JobFilter(key: key), limit: 9, after: nil).map(\.id) == [job])
                        #expect(try await server.heads(after: nil, limit: 9).map(\.job) == [job])
                        let again = try await server.createJob(JobDescription(name: "n", key: key))
                        #expect(again.view.id == job && !again.created)
                    }
                    #expect(try await other.append([Self.progress(6)], to: job).upperBound == 7)
                    #expect(try await ledger.waitUntilFolded(job, sequence: 7, deadline: .testTimeout))
                    #expect(try await ledger.job(job)?.snapshot.indicators.first?.counted.done == 6)
                    #expect(try await Self.move(job, to: 2, of: targets).position == nil, "it is there already")
                    // It goes on, and comes back.
                    for shard in [1, 0, 2, 0] {
                        _ = try await Self.move(job, to: shard, of: targets)
                        #expect(try await Self.places(job, shards) == [shard])
                        #expect(try await other.job(job)?.ledgerSequence == 7)
                        #expect(try await ledger.verify(job, Verification.Range())?.isIntact == true)
                    }
                    #expect(try await ledger.status().guaranteeFaults.isEmpty)
                    // A server that has last seen it elsewhere finds it, for several jobs at once, too.
                    let second = try await Self.makeJob(ledger, try Self.key(ledger, 1))
                    _ = try await Self.move(job, to: 1, of: targets)
                    _ = try await Self.move(second, to: 2, of: targets)
                    _ = try await other.append([(job, Self.progress(7)), (second, Self.progress(6))])
                    for moved in [job, second] { _ = try await Self.move(moved, to: 0, of: targets) }
                    let ends = try await other.append([(job, Self.progress(8)), (second, Self.progress(7))])
                    #expect(ends.map(\.sequences.upperBound) == [9, 8])
                }
            }
        }
    }

    @Test("a shard from which a job was moved does not import it again")
    func importsAfterMove() async throws {
        try await withLedgerDatabases(2) { targets in
            try await addShards([0, 1], of: targets)
            try await withRunningShards(targets) { ledger, shards in
                let job = try await Self.makeJob(ledger, try Self.key(ledger))
                let excerpt = try #require(try await ledger.excerpt(job, after: 0, limit: 100))
                _ = try await Self.move(job, to: 1, of: targets)
                // A server that has looked for the job before the move asks the shard that had it.
                let pool = Pool(target: try #require(targets[0]), logger: Self.silent)
                let importer = Importer(pool: pool, mapVersion: nil)
                await #expect(throws: Importer.Refusal.self) { try await importer.importExcerpt(excerpt) }
                await pool.close()
                #expect(try await Self.places(job, shards) == [1])
                #expect(try await ledger.importExcerpt(excerpt).appended == 0)
                #expect(try await Self.places(job, shards) == [1])
            }
        }
    }

    @Test("events that are appended during moves are neither lost nor recorded twice")
    func movesWhileAppending() async throws {
        try await withLedgerDatabases(2) { targets in
            try await addShards([0, 1], of: targets)
            try await withRunningShards(targets) { ledger, shards in
                let job = try await Self.makeJob(ledger, try Self.key(ledger), events: 1)
                let acknowledged = try await withThrowingTaskGroup(of: [EventSequence].self) { group in
                    group.addTask {
                        var sequences: [EventSequence] = []
                        for report in Int64(2)...60 {
                            sequences.append(
                                try await eventually({ _ in true }, retriesErrors: true) {
                                    try await ledger.append([Self.progress(report)], to: job).upperBound
                                })
                        }
                        return sequences
                    }
                    for shard in [1, 0, 1] {
                        // A busy job may be ahead of its snapshot for longer than a move waits.
                        try await eventually({ _ in true }, retriesErrors: true) {
                            _ = try await Self.move(job, to: shard, of: targets)
                        }
                    }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                #expect(acknowledged == acknowledged.sorted() && Set(acknowledged).count == 59)
                let head = try #require(try await ledger.stamp(of: job)).ledgerSequence
                #expect(try await ledger.waitUntilFolded(job, sequence: head, deadline: .testTimeout))
                #expect(try await ledger.job(job)?.snapshot.indicators.first?.counted.done == 60)
                #expect(try await ledger.verify(job, Verification.Range())?.isIntact == true)
                #expect(try await Self.places(job, shards) == [1])
            }
        }
    }

    @Test(
        "a mover that is killed after any step leaves the job in exactly one shard", arguments: JobMover.Step.allCases)
    func killed(after last: JobMover.Step) async throws {
        try await withLedgerDatabases(2) { targets in
            try await addShards([0, 1], of: targets)
            try await withRunningShards(targets) { ledger, shards in
                let job = try await Self.makeJob(ledger, try Self.key(ledger))
                await #expect(throws: (any Error).self) {
                    try await Self.move(job, to: 1, of: targets) { step in
                        guard step == last else { return }
                        // PostgreSQL sees no more of a killed program than that its connections end.
                        for target in targets.values {
                            try await TestCluster.run(
                                [
                                    """
                                    select pg_terminate_backend(pid) from pg_stat_activity
                                    where datname = current_database() and application_name = 'progress-ledger shards'
                                    """
                                ], on: target)
                        }
                        throw CancellationError()
                    }
                }
                let isMoved = last == .decided || last == .ended
                try await eventually(equals: [isMoved ? 1 : 0]) { try await Self.places(job, shards) }
                try await eventually(equals: 7...7, retriesErrors: true) {
                    try await ledger.append([Self.progress(6)], to: job)
                }
                #expect(try await ledger.verify(job, Verification.Range())?.isIntact == true)
                #expect(try await ledger.waitUntilFolded(job, sequence: 7, deadline: .testTimeout))
                // It can be repeated.
                #expect(try await Self.move(job, to: 1, of: targets).position?.sequence == (isMoved ? nil : 7))
                #expect(try await Self.places(job, shards) == [1])
                #expect(try await ledger.job(job)?.snapshot.indicators.first?.counted.done == 6)
            }
        }
    }

    @Test("a job that cannot be moved stays where it is, and the reason is named")
    func refuses() async throws {
        try await withLedgerDatabases(2) { targets in
            try await addShards([0, 1], of: targets)
            try await withRunningShards(targets, projection: nil) { ledger, shards in
                let unknown = JobID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0000)
                let missing = await #expect(throws: StoreError.self) {
                    try await Self.move(unknown, to: 1, of: targets)
                }
                #expect(missing?.code == .unknownJob)
                // Without a worker it is never folded.
                let job = try await ledger.createJob(JobDescription(name: "n", key: try Self.key(ledger))).view.id
                _ = try await ledger.append([Self.progress(1)], to: job)
                let behind = await #expect(throws: StoreError.self) { try await Self.move(job, to: 1, of: targets) }
                #expect(behind?.code == .conflict && behind?.message.contains("not folded") == true)
                let stranger = await #expect(throws: StoreError.self) { try await Self.move(job, to: 7, of: targets) }
                #expect(stranger?.code == .conflict && stranger?.message.contains("not a shard") == true)
                #expect(try await Self.places(job, shards) == [0])
                #expect(try await ledger.append([Self.progress(2)], to: job) == 3...3)
            }
        }
    }

    @Test("even the owner deletes no job without a record of where it went")
    func deletionIsGuarded() async throws {
        try await withLedgerDatabases(1) { targets in
            let target = try #require(targets[0])
            let job = try await withRunningLedger(on: target, projection: nil) { ledger in
                try await ledger.createJob(JobDescription(name: "n")).view.id
            }
            for table in ["event", "job_head", "job"] {
                let error = await #expect(throws: PQError.self) {
                    try await TestCluster.run(
                        [
                            """
                            do $$
                            begin
                                perform set_config('ledger.moves_job', 'on', true);
                                delete from ledger.\(table) where job_id = '\(job)';
                            end
                            $$
                            """
                        ], on: target, logger: Self.silent)
                }
                #expect(error?.sqlState?.rawValue == "LG001", "\(table): \(String(describing: error))")
            }
        }
    }

    @Test("a request that waits for an event of a job gets it, also if the job is moved meanwhile")
    func waitsAcrossMoves() async throws {
        try await withLedgerDatabases(2) { targets in
            try await addShards([0, 1], of: targets)
            try await withRunningShards(targets) { ledger, shards in
                // The other server does not know of any move yet.
                try await withRunningShards(targets, projection: nil) { other, _ in
                    let job = try await Self.makeJob(ledger, try Self.key(ledger))
                    try await withThrowingTaskGroup(of: Bool.self) { group in
                        for purpose in [PostgresLedger.Wait.folded, .changed] {
                            group.addTask {
                                switch purpose {
                                case .folded:
                                    try await other.waitUntilFolded(job, sequence: 7, deadline: .testTimeout)
                                case .changed:
                                    try await other.waitForChange(job, after: 6, deadline: .testTimeout)
                                }
                            }
                        }
                        _ = try await Self.move(job, to: 1, of: targets)
                        #expect(try await ledger.append([Self.progress(6)], to: job) == 7...7)
                        for try await isReached in group { #expect(isReached) }
                    }
                }
            }
        }
    }

    @Test("no job is moved while a replay is in progress, and a replay waits for a move")
    func movesAndReplays() async throws {
        try await withLedgerDatabases(2) { targets in
            try await addShards([0, 1], of: targets)
            try await withRunningShards(targets) { ledger, shards in
                let job = try await Self.makeJob(ledger, try Self.key(ledger))
                let shard = try #require(shards[0])
                let target = try #require(targets[0])
                let request = Replay.Request()
                // Without a runner it stays in progress.
                let replay = try await ledger.createJob(JobDescription(of: request)).view.id
                #expect(try await shard.startReplay(request, as: replay))
                let refused = await #expect(throws: StoreError.self) { try await Self.move(job, to: 1, of: targets) }
                #expect(refused?.code == .conflict && refused?.message.contains("a replay is in progress") == true)
                #expect(try await Self.places(job, shards) == [0])
                try await TestCluster.run(
                    ["update ledger.replay set state = 'canceled'"], on: target)

                let begun = Mutex<Task<Bool, any Error>?>(nil)
                let later = try await ledger.createJob(JobDescription(of: request)).view.id
                _ = try await Self.move(job, to: 1, of: targets) { step in
                    guard step == .deleted else { return }
                    let task = Task { try await shard.startReplay(request, as: later) }
                    begun.withLock { $0 = task }
                    try await BlockedStatement.wait(for: "ledger.replay", in: target)
                }
                #expect(try await begun.withLock { $0 }?.value == true)
                #expect(try await Self.places(job, shards) == [1])
                let rows = try await shard.pool.query(
                    Query(
                        "select from ledger.replay_job where replay = $1 and job_id = $2",
                        [.uuid(later.uuid), .uuid(job.uuid)]))
                #expect(rows.isEmpty, "the replay does not contain the job that is gone")
            }
        }
    }

    @Test("the transaction that waits in the other shard may wait as long as a move")
    func idleTimeout() async throws {
        try await withLedgerDatabases(1) { targets in
            let administration = ShardAdministration(targets, logger: Self.silent)
            for pools in [administration.pools, administration.servicePools] {
                let rows = try await pools[0]?.query(
                    Query(
                        """
                        select
                            extract(epoch from current_setting('idle_in_transaction_session_timeout')::interval)::float8,
                            extract(epoch from current_setting('statement_timeout')::interval)::float8
                        """))
                let row = try #require(rows?.first)
                for column in [0, 1] {
                    #expect(try .seconds(row.decode(column, as: Double.self)) >= JobMover.deadline)
                }
            }
            await administration.close()
        }
    }
}
