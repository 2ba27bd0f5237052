import Ledger
import LedgerProjection
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@Suite("Replay")
struct ReplayTests {
    /// Settings with which few events go through every stage that many would.
    static var small: ReplaySettings {
        var settings = ReplaySettings()
        settings.smallJobEventsMax = 200
        settings.jobsPerComparisonMax = 2
        settings.eventsPerStoreMax = 150
        settings.changesPerStoreMax = 40
        settings.lookInterval = .milliseconds(200)
        return settings
    }

    /// Creates a job of random events and waits until they are folded.
    static func randomJob(_ ledger: PostgresLedger, events: Int, seed: UInt64) async throws -> JobID {
        let job = try await ledger.createJob(JobDescription(name: "random")).view.id
        let drafts = RandomHistory.events(count: events, seed: seed).dropFirst().map { EventDraft($0.body, at: $0.at) }
        _ = try await ledger.append(Array(drafts), to: job)
        let isFolded = try await ledger.waitUntilFolded(job, sequence: EventSequence(events), deadline: .testTimeout)
        #expect(isFolded)
        return job
    }

    /// Waits until a replay has ended in any state.
    static func end(of id: JobID, _ ledger: PostgresLedger) async throws -> Replay {
        let replay = try await eventually({ $0.map { !$0.state.isInProgress } ?? false }) {
            try await ledger.replay(id)
        }
        return try #require(replay)
    }

    /// All rows of the live projections as text, which a replay must not change.
    static func live(_ ledger: PostgresLedger) async throws -> [String] {
        var rows: [String] = []
        for table in ["snapshot", "indicator", "task", "execution", "report_page", "discard"] {
            let found = try await ledger.pool.query(
                Query(
                    """
                    select (to_jsonb(one) - 'projection' - 'is_estimated')::text
                    from ledger.\(table) as one
                    join ledger.snapshot as live
                        on live.job_id = one.job_id and live.projection = one.projection and live.is_live
                    where one.job_id not in (select job_id from ledger.replay)
                    order by 1
                    """))
            for row in found { rows.append("\(table) \(try row.decode(0, as: String.self))") }
        }
        return rows
    }

    static func projectionCount(_ ledger: PostgresLedger) async throws -> Int {
        try await ledger.pool.query(Query("select count(*) from ledger.snapshot where not is_live"))[0].decode(0)
    }

    @Test("a replay of random histories finds no difference and leaves nothing behind", arguments: [UInt64(5), 6])
    func isIdentical(seed: UInt64) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: Self.small) { ledger in
                for number in 0..<5 {
                    _ = try await Self.randomJob(
                        ledger, events: [30, 90, 400, 700, 150][number], seed: seed + UInt64(number))
                }
                let before = try await Self.live(ledger)
                let started = try await ledger.beginReplay(Replay.Request())
                // How many are done by now is not known: it may have started at once.
                #expect(started.state == .running && started.jobs.total == 5)
                let replay = try await Self.end(of: started.id, ledger)
                #expect(replay.state == .done, "\(replay)")
                #expect(replay.differenceCount == 0 && replay.differences.isEmpty, "\(replay.differences)")
                #expect(replay.jobs == Replay.Count(total: 5, done: 5))
                #expect(replay.events == Replay.Count(total: 1_370, done: 1_370))
                #expect(replay.skippedJobs == 0)
                #expect(try await Self.live(ledger) == before)
                #expect(try await Self.projectionCount(ledger) == 0)
            }
        }
    }

    @Test("a replay reports its progress as a job of the ledger, which ends with it")
    func reportsItself() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: Self.small) { ledger in
                _ = try await Self.randomJob(ledger, events: 500, seed: 9)
                _ = try await Self.randomJob(ledger, events: 60, seed: 10)
                let replay = try await Self.end(of: try await ledger.beginReplay(Replay.Request()).id, ledger)
                try await eventually(equals: .completed) { try await ledger.job(replay.id)?.snapshot.state }
                let view = try #require(try await ledger.job(replay.id))
                let counted = Dictionary(uniqueKeysWithValues: view.snapshot.indicators.map { ($0.label, $0.counted) })
                #expect(counted["jobs"] == Units(total: 2, done: 2))
                #expect(counted["events"] == Units(total: 560, done: 560))
            }
        }
    }

    /// A change to a live projection, and the part in which a replay must find it.
    struct Damage: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// The statement. `$1` is the job.
        let sql: String
        let part: Replay.Finding.Part
    }

    static let damages = [
        Damage(
            testDescription: "units are invented",
            sql: """
                update ledger.indicator set counted_done = counted_done + 1, received_done = received_done + 1
                where job_id = $1 and label = 'download'
                """, part: .indicator),
        Damage(
            testDescription: "an indicator is removed",
            sql: "delete from ledger.indicator where job_id = $1 and label = 'download'", part: .indicator),
        Damage(
            testDescription: "the job's state is another one",
            sql: "update ledger.snapshot set state = 'failed', finished_at = now() where job_id = $1", part: .snapshot),
        Damage(
            testDescription: "a task is renamed", sql: "update ledger.task set name = name || '!' where job_id = $1",
            part: .task),
        Damage(
            testDescription: "an execution has another attempt",
            sql: "update ledger.execution set attempt = attempt + 1 where job_id = $1", part: .execution),
        Damage(
            testDescription: "an execution has other contributions",
            sql: "update ledger.execution set state = state || '\\x00'::bytea where job_id = $1", part: .execution),
        Damage(
            testDescription: "a discarded event has another verdict",
            sql: """
                update ledger.discard set verdict = case verdict when 'conflict' then 'duplicate' else 'conflict' end
                where job_id = $1
                """, part: .discard),
        Damage(
            testDescription: "a discarded event is forgotten", sql: "delete from ledger.discard where job_id = $1",
            part: .discard),
        Damage(
            testDescription: "a page of reports is deleted",
            sql: "delete from ledger.report_page where job_id = $1", part: .reportPage),
    ]

    @Test(
        "a changed projection is found, named and repaired, and the repair can be reverted", arguments: damages)
    func findsDamage(_ damage: Damage) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: Self.small) { ledger in
                let job = try await Self.randomJob(ledger, events: 900, seed: 3)
                // One execution has enough numbered reports to fill pages.
                let numbered = (Int64(1)...600).map { number in
                    EventDraft(
                        .progress(
                            ProgressReport(
                                reference: ExecutionReference(task: "numbered", attempt: 1), report: number, done: 1)))
                }
                let last = try await ledger.append(numbered, to: job).upperBound
                let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
                #expect(isFolded)
                let untouched = try await Self.randomJob(ledger, events: 50, seed: 4)
                let right = try await Self.live(ledger)
                _ = try await ledger.pool.query(Query(damage.sql, [.uuid(job.uuid)]))
                let wrong = try await Self.live(ledger)
                #expect(wrong != right)

                let replay = try await Self.end(
                    of: try await ledger.beginReplay(Replay.Request(applies: true)).id, ledger)
                #expect(replay.state == .applied && replay.keeps, "\(replay)")
                #expect(replay.differenceCount > 0)
                #expect(replay.differences.contains { $0.part == damage.part }, "\(replay.differences)")
                #expect(replay.differences.allSatisfy { $0.job == job && $0.job != untouched })
                #expect(replay.differences.allSatisfy { $0.live != $0.replayed })
                #expect(try await Self.live(ledger) == right)

                _ = try await ledger.revertReplay(replay.id)
                let reverted = try await Self.end(of: replay.id, ledger)
                #expect(reverted.state == .reverted && reverted.error == nil)
                #expect(try await Self.live(ledger) == wrong)
                #expect(try await Self.projectionCount(ledger) == 2)
                let dropped = try await ledger.dropReplay(replay.id)
                #expect(dropped?.keeps == false)
                #expect(try await Self.projectionCount(ledger) == 0)
                #expect(try await Self.live(ledger) == wrong)
            }
        }
    }

    @Test("appends and reads continue during a replay, and no snapshot goes back")
    func continuesBesideAppends() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: Self.small) { ledger in
                var jobs: [JobID] = []
                for seed in 20..<26 { jobs.append(try await Self.randomJob(ledger, events: 300, seed: UInt64(seed))) }
                let all = jobs
                let started = try await ledger.beginReplay(Replay.Request(applies: true))
                let appended = try await withThrowingTaskGroup(of: Int64.self) { group in
                    for (number, job) in all.enumerated() {
                        group.addTask {
                            let drafts = RandomHistory.events(count: 401, seed: UInt64(number)).dropFirst().map {
                                EventDraft($0.body)
                            }
                            var shown: EventSequence = 0
                            for draft in drafts {
                                _ = try await ledger.append([draft], to: job)
                                let now = try #require(try await ledger.job(job)).snapshot.sequence
                                #expect(now >= shown)
                                shown = now
                            }
                            return Int64(drafts.count)
                        }
                    }
                    return try await group.reduce(0, +)
                }
                #expect(appended == 2_400)
                let replay = try await Self.end(of: started.id, ledger)
                #expect(replay.state == .applied, "\(replay)")
                #expect(replay.differenceCount == 0, "\(replay.differences)")
                for job in all {
                    let isFolded = try await ledger.waitUntilFolded(job, sequence: 700, deadline: .testTimeout)
                    #expect(isFolded)
                }
                // Events after the switch are folded correctly: a second replay agrees.
                let second = try await Self.end(of: try await ledger.beginReplay(Replay.Request()).id, ledger)
                #expect(second.state == .done && second.differenceCount == 0, "\(second)")
            }
        }
    }

    @Test("a replay continues in another process after its process has died", arguments: [false, true])
    func continuesInAnotherProcess(applies: Bool) async throws {
        try await withLedgerDatabase { target in
            let (id, before) = try await withRunningLedger(on: target) { ledger in
                for seed in 30..<36 { _ = try await Self.randomJob(ledger, events: 500, seed: UInt64(seed)) }
                let started = try await ledger.beginReplay(Replay.Request(applies: applies))
                return (started.id, try await Self.live(ledger))
            }
            // Runners are stopped repeatedly, each as soon as it has made progress.
            var done: Int64 = 0
            for _ in 1...4 {
                done = try await withRunningLedger(on: target, replays: Self.small) { ledger in
                    return try await eventually({ $0.events.done > done || !$0.state.isInProgress }) {
                        try #require(try await ledger.replay(id))
                    }.events.done
                }
            }
            try await withRunningLedger(on: target, replays: Self.small) { ledger in
                let replay = try await Self.end(of: id, ledger)
                #expect(replay.state == (applies ? .applied : .done), "\(replay)")
                #expect(replay.differenceCount == 0, "\(replay.differences)")
                #expect(replay.events.done == 3_000)
                #expect(try await Self.live(ledger) == before)
                #expect(try await Self.projectionCount(ledger) == (applies ? 6 : 0))
            }
        }
    }

    @Test("two processes share a replay")
    func isShared() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: Self.small) { first in
                try await withRunningLedger(on: target, projection: nil, replays: Self.small) { second in
                    for seed in 40..<46 { _ = try await Self.randomJob(first, events: 400, seed: UInt64(seed)) }
                    let replay = try await Self.end(
                        of: try await second.beginReplay(Replay.Request(applies: true)).id, first)
                    #expect(replay.state == .applied && replay.differenceCount == 0, "\(replay)")
                }
            }
        }
    }

    @Test("only one replay runs at a time, and a canceled one leaves nothing behind")
    func onlyOneAtATime() async throws {
        try await withLedgerDatabase { target in
            let id = try await withRunningLedger(on: target) { ledger in
                _ = try await Self.randomJob(ledger, events: 300, seed: 50)
                let id = try await ledger.beginReplay(Replay.Request(applies: true)).id
                let error = await #expect(throws: StoreError.self) { try await ledger.beginReplay(Replay.Request()) }
                #expect(error?.code == .conflict)
                #expect(try await ledger.dropReplay(id)?.state == .canceling)
                return id
            }
            try await withRunningLedger(on: target, replays: Self.small) { ledger in
                #expect(try await Self.end(of: id, ledger).state == .canceled)
                #expect(try await Self.projectionCount(ledger) == 0)
                let next = try await Self.end(of: try await ledger.beginReplay(Replay.Request()).id, ledger)
                #expect(next.state == .done && next.differenceCount == 0)
                #expect(try await ledger.replays(limit: 10).map(\.id) == [next.id, id])
            }
        }
    }

    @Test("a replay of one job does not change others, and an unknown job is refused")
    func ofOneJob() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: Self.small) { ledger in
                let job = try await Self.randomJob(ledger, events: 100, seed: 60)
                _ = try await Self.randomJob(ledger, events: 100, seed: 61)
                let replay = try await Self.end(
                    of: try await ledger.beginReplay(Replay.Request(job: job)).id, ledger)
                #expect(replay.state == .done && replay.jobs.total == 1 && replay.events.done == 100)
                let missing = JobID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0000)
                let error = await #expect(throws: StoreError.self) {
                    try await ledger.beginReplay(Replay.Request(job: missing))
                }
                #expect(error?.code == .unknownJob)
            }
        }
    }

    @Test("a replay under another policy lists the differing numbers and changes nothing")
    func byAnotherPolicy() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: Self.small) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                func report(_ attempt: Int32, _ done: Int64) -> EventDraft {
                    EventDraft(
                        .progress(
                            ProgressReport(
                                reference: ExecutionReference(task: "t", attempt: attempt), label: "l", done: done)))
                }
                let last = try await ledger.append([report(1, 5), report(2, 3)], to: job).upperBound
                let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
                #expect(isFolded)
                let before = try await Self.live(ledger)
                for (policy, numbers) in [(CountingPolicy.all, "counted 8/0"), (.lastSuccessful, nil)] {
                    let replay = try await Self.end(
                        of: try await ledger.beginReplay(Replay.Request(policy: policy)).id, ledger)
                    #expect(replay.state == .done)
                    // The next replay includes the job of this one, which must have ended by then.
                    try await eventually(equals: .completed) { try await ledger.job(replay.id)?.snapshot.state }
                    #expect(
                        replay.differences == [
                            Replay.Finding(
                                job: job, part: .indicator, key: "l", live: "counted 3/0", replayed: numbers)
                        ])
                }
                #expect(try await Self.live(ledger) == before)
            }
        }
    }

    @Test("a job with missing events is listed as skipped, and the others are replayed")
    func skipsMissingEvents() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: Self.small) { ledger in
                let small = try await Self.randomJob(ledger, events: 100, seed: 70)
                let large = try await Self.randomJob(ledger, events: 900, seed: 71)
                _ = try await Self.randomJob(ledger, events: 80, seed: 72)
                let before = try await Self.live(ledger)
                for (job, first) in [(small, 50), (large, 600)] {
                    let deleted = try await tamper(
                        target, "delete from ledger.event where job_id = $1 and sequence > \(first)", [job])
                    #expect(deleted > 0)
                }
                let replay = try await Self.end(
                    of: try await ledger.beginReplay(Replay.Request(applies: true)).id, ledger)
                #expect(replay.state == .applied && replay.skippedJobs == 2, "\(replay)")
                #expect(replay.jobs.done == 3)
                #expect(try await Self.live(ledger) == before)
            }
        }
    }

    @Test(
        "an applied replay can be reverted until the next one is applied"
    )
    func appliesAfterAnother() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: Self.small) { ledger in
                _ = try await Self.randomJob(ledger, events: 100, seed: 80)
                _ = try await Self.randomJob(ledger, events: 300, seed: 81)
                let before = try await Self.live(ledger)
                var replays: [Replay] = []
                for _ in 1...3 {
                    replays.append(
                        try await Self.end(
                            of: try await ledger.beginReplay(Replay.Request(applies: true)).id, ledger))
                    try await eventually(equals: [replays[replays.count - 1].id]) {
                        try await ledger.replays(limit: 10).filter(\.keeps).map(\.id)
                    }
                }
                #expect(replays.allSatisfy { $0.state == .applied && $0.differenceCount == 0 })
                let error = await #expect(throws: StoreError.self) { try await ledger.revertReplay(replays[0].id) }
                #expect(error?.code == .conflict)
                // Dropping an old replay does not affect the new one.
                _ = try await ledger.dropReplay(replays[1].id)
                _ = try await ledger.revertReplay(replays[2].id)
                let reverted = try await Self.end(of: replays[2].id, ledger)
                #expect(reverted.state == .reverted && reverted.error == nil, "\(reverted)")
                #expect(try await Self.live(ledger) == before)
            }
        }
    }

    @Test("the job of a replay ends even if the process died before it could end it")
    func endsItsJob() async throws {
        try await withLedgerDatabase { target in
            let id = try await withRunningLedger(on: target) { ledger in
                let id = try await ledger.beginReplay(Replay.Request()).id
                _ = try await ledger.pool.query(Query("update ledger.replay set state = 'done', finished_at = now()"))
                #expect(try await ledger.job(id)?.snapshot.state == .running)
                return id
            }
            try await withRunningLedger(on: target, replays: Self.small) { ledger in
                try await eventually(equals: .completed) { try await ledger.job(id)?.snapshot.state }
            }
        }
    }
}
