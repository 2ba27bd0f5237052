import Ledger
import LedgerChain
import LedgerProjection
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@Suite("Append, project and read on PostgreSQL")
struct ProjectionTests {
    @Test("an append waits for the disk; a step, which can be repeated, does not")
    func waitsForTheDisk() async throws {
        try await withLedgerDatabase { target in
            let owner = Pool(target: target, logger: TestCluster.logger)
            for statement in [
                """
                do $$
                begin
                    execute format('alter database %I set synchronous_commit = on', current_database());
                end $$
                """,
                "create table public.seen (work text, setting text)",
                """
                create function public.see() returns trigger language plpgsql security definer as $$
                begin
                    insert into public.seen values (tg_argv[0], current_setting('synchronous_commit'));
                    return new;
                end $$
                """,
                "create trigger see after insert on ledger.event for each row execute function public.see('append')",
                "create trigger see after update on ledger.snapshot for each row execute function public.see('step')",
            ] { _ = try await owner.query(Query(statement, prepare: false)) }
            try await withRunningLedger(on: target) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                let draft = EventDraft(.executionStarted(ExecutionReference(task: "t", execution: "e")))
                let last = try await ledger.append([draft], to: job).upperBound
                #expect(try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout))
            }
            let rows = try await owner.query(
                Query("select distinct work || ' ' || setting from public.seen order by 1"))
            #expect(try rows.map { try $0.decode(0, as: String.self) } == ["append on", "step off"])
            await owner.close()
        }
    }

    @Test(
        "a hint about a snapshot that a crash has undone is not trusted",
        arguments: [false, true])
    func undone(isFolded: Bool) async throws {
        try await withLedger(projection: isFolded ? ProjectionSettings() : nil) { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let draft = EventDraft(.executionStarted(ExecutionReference(task: "t", execution: "e")))
            let last = try await ledger.append([draft, draft], to: job).upperBound
            await ledger.snapshotsFolded([(job, last, .running)])
            #expect(
                try await ledger.waitUntilFolded(
                    job, sequence: last, deadline: isFolded ? .testTimeout : .milliseconds(300)) == isFolded)
        }
    }

    @Test(
        "a job's snapshot equals the pure fold of its events, for any grouping of appends",
        arguments: [(UInt64(11), 1_000), (12, 1), (13, 3), (14, 1_000), (15, 2)])
    func agreesWithTheFold(seed: UInt64, executionsPerPortion: Int) async throws {
        var settings = ProjectionSettings()
        settings.executionsPerPortionMax = executionsPerPortion
        try await withLedger(projection: settings) { ledger in
            var generator = SeededGenerator(seed: seed)
            let created = try await ledger.createJob(
                JobDescription(name: "random", tags: ["e\u{301}": "1", "\u{e9}": "2"]))
            let job = created.view.id
            var drafts = RandomHistory.events(count: 600, seed: seed).dropFirst().map {
                EventDraft($0.body, at: $0.at)
            }[...]
            while !drafts.isEmpty {
                let batch = Array(drafts.prefix(Int.random(in: 1...60, using: &generator)))
                drafts = drafts.dropFirst(batch.count)
                _ = try await ledger.append(batch, to: job)
            }
            let isFolded = try await ledger.waitUntilFolded(job, sequence: 600, deadline: .testTimeout)
            #expect(isFolded)
            let view = try #require(try await ledger.job(job))
            let (fold, _, events) = try await refold(ledger, job)
            #expect(events.count == 600)
            #expect(view.snapshot == fold.snapshot())
            #expect(view.ledgerSequence == 600)
            #expect(view.description == created.view.description)
        }
    }

    @Test("the verdicts equal those of the pure fold")
    func verdicts() async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "verdicts")).view.id
            let drafts = RandomHistory.events(count: 500, seed: 77).dropFirst().map { EventDraft($0.body) }
            _ = try await ledger.append(Array(drafts), to: job)
            _ = try await ledger.waitUntilFolded(job, sequence: 500, deadline: .testTimeout)
            let (fold, decisions, events) = try await refold(ledger, job)
            let last = Set(fold.taskStates.map(\.last))
            for event in events {
                let decision = try #require(decisions[event.event.sequence])
                let isLast = decision.execution.map(last.contains) ?? true
                let expected = decision.verdict.isDiscarded ? decision.verdict : isLast ? .counted : .superseded
                #expect(event.verdict == expected, "\(event.event)")
                #expect(event.duplicateOf == decision.duplicateOf)
            }
            let superseded = try await ledger.events(job, EventFilter(verdict: .superseded), after: nil, limit: 1_000)
            #expect(superseded?.events.count == events.filter { $0.verdict == .superseded }.count)
            let backwards = try await ledger.events(job, EventFilter(order: .descending), after: nil, limit: 1_000)
            #expect(backwards?.events.map(\.event.sequence) == events.map(\.event.sequence).reversed())
        }
    }

    /// Folds a job's events from the ledger again and checks their hash chain.
    private func refold(
        _ ledger: PostgresLedger, _ job: JobID
    ) async throws -> (Fold, [EventSequence: Fold.Decision], [ExplainedEvent]) {
        var fold = Fold()
        var decisions: [EventSequence: Fold.Decision] = [:]
        var events: [ExplainedEvent] = []
        var chain = HashChain(job: job)
        var after: EventSequence? = 0
        while let position = after {
            let page = try #require(try await ledger.events(job, EventFilter(), after: position, limit: 100))
            for event in page.events {
                decisions[event.event.sequence] = try fold.apply(event.event)
                #expect(chain.append(event.event) == event.hash)
            }
            events += page.events
            after = page.nextAfter
        }
        return (fold, decisions, events)
    }

    @Test("stored pages of report numbers are recognized after any number of steps")
    func oldReports() async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "reports")).view.id
            func report(_ number: Int64) -> EventDraft {
                EventDraft(
                    .progress(
                        ProgressReport(
                            reference: ExecutionReference(task: "t"), report: number, label: "l", done: 1)))
            }
            for batch in 0..<10 {
                _ = try await ledger.append((1...60).map { report(Int64(batch * 60 + $0)) }, to: job)
                _ = try await ledger.waitUntilFolded(
                    job, sequence: EventSequence(1 + (batch + 1) * 60), deadline: .testTimeout)
            }
            let repeated = try await ledger.append([report(3), report(599), report(130), report(601)], to: job)
            _ = try await ledger.waitUntilFolded(job, sequence: repeated.upperBound, deadline: .testTimeout)
            #expect(try await ledger.verdicts(job, repeated) == [.duplicate, .duplicate, .duplicate, .counted])
            #expect(try await ledger.job(job)?.snapshot.indicators.first?.counted.done == 601)
        }
    }

    @Test("without a worker the snapshot is visibly behind; with one it catches up")
    func catchesUp() async throws {
        try await withLedgerDatabase { target in
            let job = try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "behind")).view.id
                _ = try await ledger.append(
                    [EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "t"), total: 5)))], to: job
                )
                let view = try #require(try await ledger.job(job))
                #expect(view.snapshot.sequence == 1)
                #expect(view.ledgerSequence == 2)
                return job
            }
            try await withRunningLedger(on: target) { ledger in
                let isFolded = try await ledger.waitUntilFolded(job, sequence: 2, deadline: .testTimeout)
                #expect(isFolded)
            }
        }
    }

    @Test("the same key and content return the same job; other content is refused")
    func keys() async throws {
        try await withLedger { ledger in
            let description = JobDescription(name: "n", key: "k", tags: ["a": "b"])
            let first = try await ledger.createJob(description)
            let second = try await ledger.createJob(description)
            #expect(first.created && !second.created)
            #expect(first.view.id == second.view.id)
            let error = await #expect(throws: StoreError.self) {
                try await ledger.createJob(JobDescription(name: "other", key: "k"))
            }
            #expect(error?.code == .keyTaken)
            #expect(error?.jobs == [first.view.id])
        }
    }

    @Test("concurrent creations with the same key create one job")
    func keysAtOnce() async throws {
        try await withLedger { ledger in
            let ids = try await withThrowingTaskGroup(of: JobID.self) { group in
                for _ in 0..<20 {
                    group.addTask { try await ledger.createJob(JobDescription(name: "n", key: "k")).view.id }
                }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(ids.count == 1)
        }
    }

    @Test("an unknown job fails only its own append, and no other of the group")
    func unknownJobs() async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let draft = EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "t"), done: 1)))
            let missing = JobID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0000)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<50 {
                    group.addTask {
                        if number % 5 == 0 {
                            let error = await #expect(throws: StoreError.self) {
                                try await ledger.append([draft], to: missing)
                            }
                            #expect(error?.code == .unknownJob)
                        } else {
                            _ = try await ledger.append([draft], to: job)
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await ledger.job(job)?.ledgerSequence == 41)
        }
    }

    @Test("two servers and three workers on one database lose nothing and leave no gap")
    func manyAtOnce() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target) { first in
                try await withRunningLedger(on: target) { second in
                    try await withRunningLedger(on: target) { _ in
                        try await report(to: [first, second])
                    }
                }
            }
        }
    }

    private func report(to ledgers: [PostgresLedger]) async throws {
        var jobs: [JobID] = []
        for number in 0..<3 {
            jobs.append(try await ledgers[0].createJob(JobDescription(name: Name("job \(number)"))).view.id)
        }
        let all = jobs
        let acknowledged = try await withThrowingTaskGroup(of: [(JobID, EventSequence, String)].self) { group in
            for reporter in 0..<8 {
                group.addTask {
                    var acknowledged: [(JobID, EventSequence, String)] = []
                    for number in 1...60 {
                        let task = "reporter \(reporter)"
                        let draft = EventDraft(
                            .progress(
                                ProgressReport(
                                    reference: ExecutionReference(task: Name(task)), report: Int64(number), done: 1)))
                        for job in all {
                            let range = try await ledgers[reporter % 2].append([draft], to: job)
                            acknowledged.append((job, range.lowerBound, "\(task) \(number)"))
                        }
                    }
                    return acknowledged
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        for job in jobs {
            let isFolded = try await ledgers[1].waitUntilFolded(job, sequence: 481, deadline: .testTimeout)
            #expect(isFolded)
            let (fold, _, events) = try await refold(ledgers[0], job)
            #expect(events.map(\.event.sequence) == Array(1...481))
            #expect(try await ledgers[1].job(job)?.snapshot == fold.snapshot())
            #expect(fold.snapshot().indicators.first?.counted.done == 480)
            for (owner, sequence, said) in acknowledged where owner == job {
                guard case .progress(let progress) = events[Int(sequence.number) - 1].event.body else {
                    Issue.record("event \(sequence) is not the one acknowledged there")
                    continue
                }
                #expect("\(progress.reference.task) \(progress.report ?? 0)" == said)
            }
        }
    }

    @Test("the reads of a step grow with its events, not with its job, even with early plans")
    func readsByKeys() async throws {
        try await withLedgerDatabase { target in
            let tasks = 5_000
            let rounds = 3
            try await withRunningLedger(on: target) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "wide")).view.id
                for round in 1...rounds {
                    let drafts = (0..<tasks).map { task in
                        EventDraft(
                            .progress(
                                ProgressReport(
                                    reference: ExecutionReference(task: Name("task \(task)"), attempt: 1),
                                    report: Int64(round), done: 1)))
                    }
                    let last = try await ledger.append(drafts, to: job).upperBound
                    let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
                    #expect(isFolded)
                }
            }
            // The sessions have ended, and the server has counted their reads by then.
            let pool = Pool(target: target, logger: TestCluster.logger)
            let rows = try await pool.query(
                Query(
                    """
                    select sum(idx_blks_hit + idx_blks_read)::bigint
                    from pg_statio_user_indexes
                    where schemaname = 'ledger' and relname in ('task', 'execution', 'indicator', 'report_page')
                    """))
            let read = try rows[0].decode(0, as: Int.self)
            await pool.close()
            #expect(read > tasks * rounds)
            #expect(read < 20 * tasks * rounds, "\(read) index pages were read for \(tasks * rounds) events")
        }
    }
}
