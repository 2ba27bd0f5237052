import Ledger
import LedgerProjection
import LedgerStore
import LedgerTestSupport
import PQ
import Synchronization
import Testing

/// The ways in which replays end: applied, reverted, canceled, or in conflict.
@Suite("The end of a replay")
struct ReplayCompletionTests {
    private typealias Base = ReplayTests

    @Test("watchers in another process must read again after a replay is applied")
    func notifiesWatchers() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target) { watcher in
                try await withRunningLedger(on: target, replays: Base.small) { ledger in
                    _ = try await Base.randomJob(ledger, events: 50, seed: 95)
                    let looks = Mutex(0)
                    let subscription = watcher.observeSnapshots { hint in
                        if hint == .missed { looks.withLock { $0 += 1 } }
                    }
                    let replay = try await Base.end(
                        of: try await ledger.beginReplay(Replay.Request(applies: true)).id, ledger)
                    #expect(replay.state == .applied)
                    try await eventually { looks.withLock { $0 } > 0 }
                    withExtendedLifetime(subscription) {}
                }
            }
        }
    }

    @Test("a revert to a missing projection changes nothing")
    func revertToMissingProjection() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: Base.small) { ledger in
                let job = try await Base.randomJob(ledger, events: 100, seed: 90)
                let applied = try await Base.end(
                    of: try await ledger.beginReplay(Replay.Request(applies: true)).id, ledger)
                let before = try await Base.live(ledger)
                let gone = try await tamper(
                    target, "delete from ledger.snapshot where job_id = $1 and not is_live", [job])
                #expect(gone == 1)
                _ = try await ledger.revertReplay(applied.id)
                let ended = try await Base.end(of: applied.id, ledger)
                #expect(ended.state == .applied && ended.error?.contains("no longer exists") == true, "\(ended)")
                #expect(try await Base.live(ledger) == before)
            }
        }
    }

    @Test("an impossible revert changes nothing, gives the reason, and blocks no other replay")
    func impossibleReverts() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: Base.small) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                func report(_ attempt: Int32, _ done: Int64) -> EventDraft {
                    EventDraft(
                        .progress(
                            ProgressReport(
                                reference: ExecutionReference(task: "t", attempt: attempt), label: "l", done: done)))
                }
                let first = try await ledger.append([report(1, 5)], to: job).upperBound
                let isFolded = try await ledger.waitUntilFolded(job, sequence: first, deadline: .testTimeout)
                #expect(isFolded)
                // The live projection has lost units, so it cannot be folded further when they are superseded.
                let damaged = try await ledger.pool.query(
                    Query(
                        "update ledger.indicator set counted_done = 1, received_done = 1 where job_id = $1",
                        [.uuid(job.uuid)]))
                #expect(damaged.affectedRows == 1)
                let applied = try await Base.end(
                    of: try await ledger.beginReplay(Replay.Request(applies: true)).id, ledger)
                #expect(applied.state == .applied && applied.differenceCount == 1, "\(applied)")
                let last = try await ledger.append([report(2, 3)], to: job).upperBound
                let isMoved = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
                #expect(isMoved)
                let before = try await Base.live(ledger)
                _ = try await ledger.revertReplay(applied.id)
                let ended = try await Base.end(of: applied.id, ledger)
                #expect(ended.state == .applied && ended.error != nil, "\(ended)")
                #expect(try await Base.live(ledger) == before)
                let next = try await Base.end(of: try await ledger.beginReplay(Replay.Request()).id, ledger)
                #expect(next.state == .done && next.differenceCount == 0, "\(next)")
            }
        }
    }

    @Test("dropping and reverting exclude each other, and every job has a snapshot afterwards")
    func dropsAgainstReverts() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: Base.small) { ledger in
                _ = try await Base.randomJob(ledger, events: 100, seed: 96)
                let before = try await Base.live(ledger)
                for _ in 1...4 {
                    let id = try await ledger.beginReplay(Replay.Request(applies: true)).id
                    let applied = try await Base.end(of: id, ledger)
                    #expect(applied.state == .applied, "\(applied)")
                    // One of them may be refused, because the other one was first.
                    async let dropped: Replay? = {
                        do throws(StoreError) { return try await ledger.dropReplay(id) } catch {
                            #expect(error.code == .conflict, "\(error)")
                            return nil
                        }
                    }()
                    async let reverted: Replay? = {
                        do throws(StoreError) { return try await ledger.revertReplay(id) } catch {
                            #expect(error.code == .conflict, "\(error)")
                            return nil
                        }
                    }()
                    let results = await [dropped, reverted]
                    #expect(results.contains { $0 != nil })
                    let ended = try await Base.end(of: id, ledger)
                    #expect(ended.state == .applied || ended.state == .reverted, "\(ended)")
                    #expect(try await Base.live(ledger) == before)
                }
            }
        }
    }

    @Test("a replay canceled while two processes work on it leaves nothing behind")
    func cancelsInTheMiddle() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: Base.small) { ledger in
                try await withRunningLedger(on: target, projection: nil, replays: Base.small) { _ in
                    for seed in 100..<106 { _ = try await Base.randomJob(ledger, events: 700, seed: UInt64(seed)) }
                    let before = try await Base.live(ledger)
                    // A replay may end before it is canceled. Nearly all are canceled in time.
                    var canceled = 0
                    for _ in 1...20 where canceled < 3 {
                        let id = try await ledger.beginReplay(Replay.Request(applies: true)).id
                        try await eventually({ $0.map { $0.events.done > 0 || !$0.state.isInProgress } ?? false }) {
                            try await ledger.replay(id)
                        }
                        _ = try await ledger.dropReplay(id)
                        let ended = try await Base.end(of: id, ledger)
                        if ended.state == .canceled {
                            canceled += 1
                            let left = try await ledger.pool.query(
                                Query(
                                    """
                                    select count(*) from ledger.execution as one
                                    where not exists (
                                        select from ledger.snapshot
                                        where snapshot.job_id = one.job_id and snapshot.projection = one.projection
                                    )
                                    """))
                            #expect(try left[0].decode(0, as: Int.self) == 0)
                        }
                    }
                    #expect(canceled == 3)
                    let last = try await Base.end(
                        of: try await ledger.beginReplay(Replay.Request(applies: true)).id, ledger)
                    #expect(last.state == .applied && last.differenceCount == 0, "\(last)")
                    #expect(try await Base.live(ledger) == before)
                }
            }
        }
    }

    @Test("a lost connection during a replay does not make it fail")
    func lostConnections() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: Base.small) { ledger in
                for seed in 110..<114 { _ = try await Base.randomJob(ledger, events: 700, seed: UInt64(seed)) }
                let pool = Pool(target: target, logger: TestCluster.logger)
                var lost = 0
                // On a slow machine a replay may be over before enough connections are lost.
                for _ in 1...50 where lost < 3 {
                    let id = try await ledger.beginReplay(Replay.Request(applies: true)).id
                    try await eventually {
                        // Only active sessions count: an idle one is replaced without any effect.
                        lost += try await pool.query(
                            Query(
                                """
                                select pg_terminate_backend(pid) from pg_stat_activity
                                where application_name = 'progress-ledger replay' and datname = current_database()
                                    and state <> 'idle'
                                """)
                        ).count
                        let isWorking = try await state(of: id, ledger)?.isInProgress ?? true
                        return lost >= 3 || !isWorking
                    }
                    try await eventually({ $0.map { !$0.isInProgress } ?? false }) { try await state(of: id, ledger) }
                    let replay = try #require(try await ledger.replay(id))
                    #expect(replay.state == .applied && replay.differenceCount == 0, "\(replay)")
                }
                #expect(lost >= 3)
                await pool.close()
            }
        }
    }

    /// The state of a replay, or `nil` if this query's own connection is lost.
    private func state(of id: JobID, _ ledger: PostgresLedger) async throws -> Replay.State? {
        do throws(StoreError) { return try await ledger.replay(id)?.state } catch {
            guard error.code == .unavailable || error.code == .outcomeUnknown else { throw error }
            return nil
        }
    }

    @Test("old replays keep only the counts of their jobs")
    func oldReplays() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: Base.small) { ledger in
                _ = try await Base.randomJob(ledger, events: 50, seed: 97)
                let oldest = try await Base.end(of: try await ledger.beginReplay(Replay.Request()).id, ledger)
                #expect(oldest.jobs.total == 1 && oldest.events.done == 50)
                // The number of ended replays is the number of those that stay listed.
                for number in 0..<20 {
                    let id = try await ledger.createJob(JobDescription(name: "replay")).view.id
                    _ = try await ledger.pool.query(
                        Query(
                            "insert into ledger.replay (job_id, applies, policy, state) values ($1, false, 'last', 'done')",
                            [.uuid(id.uuid)]), deadline: .seconds(10))
                    if number == 0 { #expect(try await ledger.replay(oldest.id) == oldest) }
                }
                _ = try await Base.end(of: try await ledger.beginReplay(Replay.Request()).id, ledger)
                #expect(try await ledger.replay(oldest.id) == oldest)
                let listed = try await ledger.pool.query(
                    Query(
                        "select count(*) from ledger.replay_job where replay = $1",
                        [.uuid(oldest.id.uuid)]))
                #expect(try listed[0].decode(0, as: Int.self) == 0)
            }
        }
    }

    @Test("a replay ends even if the database grants it one connection only", arguments: [true, false])
    func oneConnection(isCanceled: Bool) async throws {
        try await withLedgerDatabase { target in
            var settings = PostgresLedger.Settings()
            settings.replayConnectionsMax = 1
            var replays = Base.small
            replays.concurrency = 1
            replays.failuresMax = isCanceled ? 1_000 : 1
            try await withRunningLedger(on: target, replays: replays, settings: settings) { ledger in
                _ = try await Base.randomJob(ledger, events: 50, seed: 96)
                let id = try await ledger.beginReplay(Replay.Request(applies: true)).id
                if isCanceled {
                    // The only connection is lent to the batch, which waits in vain for another one.
                    try await eventually({ $0 != nil }, retriesErrors: true) { try await ledger.dropReplay(id) }
                }
                // The query uses another pool, which is not exhausted.
                try await eventually(equals: isCanceled ? "canceled" : "failed") { () -> String? in
                    let rows = try await ledger.pool.query(
                        Query("select state from ledger.replay where finished_at is not null"))
                    return try rows.first?.decode(0, as: String.self)
                }
                try await eventually(equals: isCanceled ? .canceled : .failed) {
                    try await ledger.job(id)?.snapshot.state
                }
            }
        }
    }
}
