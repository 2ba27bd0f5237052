import Ledger
import LedgerProjection
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerStore

@Suite("Status of the ledger")
struct StatusTests {
    private static func report(_ done: Int64 = 1) -> EventDraft {
        EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "t", attempt: 1), done: done)))
    }

    @Test("without a worker the lag is measured for each job, and no worker is listed")
    func lag() async throws {
        try await withLedger(projection: nil) { ledger in
            let first = try await ledger.createJob(JobDescription(name: "first")).view.id
            let second = try await ledger.createJob(JobDescription(name: "second")).view.id
            _ = try await ledger.createJob(JobDescription(name: "whole"))
            _ = try await ledger.append([Self.report(), Self.report()], to: first)
            _ = try await ledger.append([Self.report()], to: second)
            let status = try await ledger.status()
            #expect(status.lag.jobs == 2 && status.lag.events == 3)
            #expect(status.lag.mostBehind.map(\.job) == [first, second])
            #expect(status.lag.mostBehind.map(\.events) == [2, 1])
            #expect(status.lag.seconds >= status.lag.mostBehind[1].seconds && status.lag.seconds > 0)
            #expect(status.workers.isEmpty && status.stuckJobs.isEmpty && status.blocked.isEmpty)
            let figures = await ledger.statistics()
            #expect(figures.first { $0.name == "progress_ledger_projection_lag_events" }?.value == 3)
        }
    }

    @Test("running, stalled, late and failed jobs are counted by name")
    func jobCounts() async throws {
        try await withLedger { ledger in
            func job(_ name: Name, _ drafts: [EventDraft], deadline: Name? = nil) async throws -> JobID {
                let tags: [Name: Name] = deadline.map { ["ledger.deadline": $0] } ?? [:]
                let id = try await ledger.createJob(JobDescription(name: name, tags: tags)).view.id
                guard !drafts.isEmpty else { return id }
                let last = try await ledger.append(drafts, to: id).upperBound
                #expect(try await ledger.waitUntilFolded(id, sequence: last, deadline: .testTimeout))
                return id
            }
            func units(_ label: Name, total: Int64, done: Int64) -> EventDraft {
                let reference = ExecutionReference(task: "t", attempt: 1)
                return EventDraft(
                    .progress(ProgressReport(reference: reference, label: label, total: total, done: done)))
            }
            let begun = units("a", total: 9, done: 1)
            for deadline in [nil, "2000-01-31t23:59:59.5+01:00", "2999-01-01T00:00:00Z", "soon"] as [Name?] {
                _ = try await job("mosaic", [begun], deadline: deadline)
            }
            _ = try await job("copy \"1\"", [EventDraft(.jobFinished(.failed))])
            let old = try await job("old", [EventDraft(.jobFinished(.failed))])
            _ = try await ledger.pool.query(
                Query(
                    "update ledger.snapshot set finished_at = finished_at - interval '61 minutes' where job_id = $1",
                    [.uuid(old.uuid)]))
            _ = try await job("done", [EventDraft(.jobFinished(.completed))])
            let figures = await ledger.statistics()
            func value(_ name: String, _ job: String?) -> Double? {
                figures.first { $0.name == "progress_ledger_jobs_\(name)" && $0.labels.first?.value == job }?.value
            }
            for (job, running, stalled, late, failed) in [
                ("mosaic", 4.0, 0.0, 1.0, 0.0), ("copy \"1\"", 0, 0, 0, 1), (nil, 0, 0, 0, 0),
            ] {
                #expect(value("running", job) == running, "\(job ?? "")")
                #expect(value("stalled", job) == stalled, "\(job ?? "")")
                #expect(value("late", job) == late, "\(job ?? "")")
                #expect(value("failed", job) == failed, "\(job ?? "")")
            }
            #expect(value("running", "old") == nil && value("running", "done") == nil)
            let labels = figures.filter { $0.name == "progress_ledger_jobs_running" }.map { $0.labels.map(\.name) }
            #expect(labels == [["job_name"], ["job_name"], []])
        }
    }

    @Test("jobs that do not advance are counted by their own pattern, not by a fixed time")
    func stalledJobs() async throws {
        try await withLedger { ledger in
            func report(_ done: Int64) -> EventDraft {
                let reference = ExecutionReference(task: "t", execution: "1")
                return EventDraft(.progress(ProgressReport(reference: reference, total: 9 * done, done: done)))
            }
            let drafts = (1...6).map { _ in report(1) }
            // A unit took a second once. The last one was done years ago.
            for number in 1...3 { _ = try await PastJob.add(number: UInt64(number), drafts, to: ledger) }
            // A unit takes an hour. The last one was done ten minutes ago.
            let now = Timestamp.now.microseconds
            let start = Timestamp(microseconds: now - (6 * 3_600 + 600) * 1_000_000)
            _ = try await PastJob.add(number: 4, createdAt: start, every: 3_600, drafts, to: ledger)
            // All units are done, and only the end of the job is missing.
            let whole = (1...6).map { _ in
                EventDraft(
                    .progress(
                        ProgressReport(
                            reference: ExecutionReference(task: "t", execution: "1"), total: 1, done: 1)))
            }
            _ = try await PastJob.add(number: 5, whole, to: ledger)
            // Heartbeats are no advances.
            _ = try await PastJob.add(
                number: 6, createdAt: start, every: 60, drafts + Array(repeating: report(0), count: 99), to: ledger)
            let figures = await ledger.statistics()
            let values = figures.filter { $0.name == "progress_ledger_jobs_stalled" && !$0.labels.isEmpty }
            #expect(values.map(\.value) == [4])
            var reader = JobCountReader(pool: ledger.pool, snapshots: ledger.snapshots)
            // The newest three with a long pause: the sixth, the fifth, of which all is done, and the third.
            reader.examinedMax = 3
            let counts = try await reader.counts()
            #expect(counts.names.map(\.counts) == [JobCounts(running: 6, stalled: 2)])
        }
    }

    @Test("workers are listed with what they have folded")
    func workers() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { watcher in
                try await withRunningLedger(on: target) { ledger in
                    let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                    let last = try await ledger.append([Self.report()], to: job).upperBound
                    let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
                    #expect(isFolded)
                    try await eventually(equals: 1) { try await watcher.status().workers.count }
                    try await eventually(equals: 1) { try await watcher.status().workers.first?.foldedEvents }
                    let worker = try #require(try await watcher.status().workers.first)
                    #expect(!worker.isLost && worker.failures == 0 && worker.lastFailure == nil)
                    #expect(!worker.host.isEmpty && worker.process > 0 && worker.foldedAt != nil)
                }
            }
        }
    }

    @Test("a job that cannot be folded is listed with the reason until a replay repairs it")
    func stuck() async throws {
        try await withLedgerDatabase { target in
            var settings = ProjectionSettings()
            settings.failureRetryPause = (.milliseconds(10), .milliseconds(50))
            // A worker that has the state in memory does not read the damaged one.
            settings.recentFoldBytesMax = 0
            try await withRunningLedger(on: target, projection: settings, replays: ReplaySettings()) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                let other = try await ledger.createJob(JobDescription(name: "other")).view.id
                let first = try await ledger.append([Self.report(5)], to: job).upperBound
                let isFolded = try await ledger.waitUntilFolded(job, sequence: first, deadline: .testTimeout)
                #expect(isFolded)
                let damaged = try await ledger.pool.query(
                    Query(
                        "update ledger.execution set state = $2 where job_id = $1",
                        [.uuid(job.uuid), .bytea([0xFF])]))
                #expect(damaged.affectedRows == 1)

                let last = try await ledger.append([Self.report(2)], to: job).upperBound
                try await eventually({ $0.first.map { $0.failures >= 2 } ?? false }) {
                    try await ledger.status().stuckJobs
                }
                let status = try await ledger.status()
                let stuck = try #require(status.stuckJobs.first)
                #expect(status.stuckJobs.count == 1 && stuck.job == job && !stuck.failure.message.isEmpty)
                #expect(status.lag.mostBehind.map(\.job) == [job])
                let moved = try await ledger.append([Self.report()], to: other).upperBound
                let isOtherFolded = try await ledger.waitUntilFolded(other, sequence: moved, deadline: .testTimeout)
                #expect(isOtherFolded)

                let replay = try await ledger.beginReplay(Replay.Request(job: job, applies: true))
                let isWell = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
                #expect(isWell)
                #expect(try await ledger.job(job)?.snapshot.indicators.first?.counted.done == 7)
                try await eventually(equals: .applied) { try await ledger.replay(replay.id)?.state }
                #expect(try await ledger.status().stuckJobs.isEmpty)
            }
        }
    }

    @Test("the status contains the SQLSTATE of a refusal and the worker that got it")
    func sqlStates() async throws {
        try await withLedgerDatabase { target in
            var settings = ProjectionSettings()
            settings.failureRetryPause = (.milliseconds(10), .milliseconds(50))
            try await withRunningLedger(on: target, projection: settings) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                let changed = try await tamper(
                    target, "alter table ledger.indicator add constraint closed check (false) not valid", [])
                #expect(changed == 0)
                _ = try await ledger.append([Self.report()], to: job)
                try await eventually({ !$0.isEmpty }) { try await ledger.status().stuckJobs }
                let stuck = try #require(try await ledger.status().stuckJobs.first)
                #expect(stuck.failure.state == "23514", "\(stuck)")
                try await eventually({ $0.contains { $0.contains { $0.name == "sqlstate" && $0.value == "23514" } } }) {
                    await ledger.statistics().filter {
                        $0.name == "progress_ledger_worker_last_error_timestamp_seconds"
                    }
                    .map(\.labels)
                }
                _ = try await tamper(target, "alter table ledger.indicator drop constraint closed", [])
                let isFolded = try await ledger.waitUntilFolded(job, sequence: 2, deadline: .testTimeout)
                #expect(isFolded)
                try await eventually(\.isEmpty) { try await ledger.status().stuckJobs }
            }
        }
    }

    @Test("a transaction that waits for a lock is listed with the lock's holder")
    func blocked() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                var settings = Pool.Settings()
                settings.applicationName = "another application"
                let pool = Pool(target: target, settings: settings, logger: TestCluster.logger)
                let range = try await pool.withTransaction { transaction in
                    _ = try await transaction.query(Query("select 1 from ledger.job_head for update"))
                    let append = Task { try await ledger.append([Self.report()], to: job) }
                    try await eventually({ !$0.isEmpty }) { try await ledger.status().blocked }
                    let blocked = try await ledger.status().blocked
                    #expect(blocked.map(\.session.application) == ["progress-ledger appender"])
                    #expect(blocked.first?.blockers.map(\.application) == ["another application"])
                    #expect(blocked.first?.blockers.first?.state == "idle in transaction")
                    #expect(blocked.first?.session.statement?.isEmpty == false)
                    _ = try await transaction.commit()
                    return try await append.value
                }
                #expect(range == 2...2)
                #expect(try await ledger.status().blocked.isEmpty)
                await pool.close()
            }
        }
    }

    @Test("a job with a missing event is listed as stuck, and is not retried immediately")
    func missingEvents() async throws {
        try await withLedgerDatabase { target in
            let job = try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                _ = try await ledger.append([Self.report(), Self.report()], to: job)
                return job
            }
            let deleted = try await tamper(target, "delete from ledger.event where job_id = $1 and sequence > 1", [job])
            #expect(deleted == 2)
            try await withRunningLedger(on: target) { ledger in
                try await eventually({ !$0.isEmpty }) { try await ledger.status().stuckJobs }
                let status = try await ledger.status()
                #expect(status.lag.jobs == 1 && status.lag.events == 2 && status.lag.seconds > 0)
                #expect(status.lag.mostBehind.map(\.job) == [job])
                #expect(status.stuckJobs.map(\.job) == [job] && status.stuckJobCount == 1)
                #expect(status.stuckJobs.first?.failure.message.contains("is missing") == true)
            }
        }
    }

    @Test("a worker that was killed while the clock was ahead counts as lost at once")
    func workerOfTheFuture() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { watcher in
                let inserted = try await tamper(
                    target,
                    """
                    insert into ledger.worker (worker, host, process, seen_at)
                    values ('dead', 'h', 1, clock_timestamp() + interval '3 days')
                    """, [])
                #expect(inserted == 1)
                let dead = try #require(try await watcher.status().workers.first)
                #expect(dead.worker == "dead" && dead.isLost)
                let up = await watcher.statistics().first { $0.name == "progress_ledger_projection_workers" }
                #expect(up?.value == 0)
                try await withRunningLedger(on: target) { ledger in
                    // The heartbeat of one worker moves the other's heartbeat into the past, from where it is deleted
                    // later.
                    try await eventually({ $0.contains { $0.worker != "dead" } }) { try await ledger.status().workers }
                    let rows = try await ledger.pool.query(
                        Query("select seen_at <= clock_timestamp() from ledger.worker where worker = 'dead'"))
                    #expect(try rows.first?.decode(0, as: Bool.self) == true)
                    #expect(try await ledger.status().workers.first { $0.worker == "dead" }?.isLost == true)
                }
            }
        }
    }

    @Test("transactions, prepared transactions and slots that hold vacuum back are listed")
    func vacuumHolders() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let database = try #require(target["dbname"])
                let slot = "slot_\(database)"
                var settings = Pool.Settings()
                settings.applicationName = "a backup"
                let pool = Pool(target: target, settings: settings, logger: TestCluster.logger)
                let canPrepare = try await pool.query(
                    Query(
                        "select current_setting('max_prepared_transactions')::integer > 0, "
                            + "current_setting('wal_level') = 'logical'"))[0]
                let (prepares, hasSlots) = try (
                    canPrepare.decode(0, as: Bool.self), canPrepare.decode(1, as: Bool.self)
                )
                // Creating a slot waits for open transactions.
                if hasSlots {
                    _ = try await pool.query(
                        Query("select pg_create_logical_replication_slot($1, 'pgoutput')", [.text(slot)]))
                }
                if prepares {
                    try await pool.withConnection { lease in
                        try await lease.script(
                            "begin; create table public.held (n int); prepare transaction '\(database)'")
                    }
                }
                try await pool.withTransaction(isolation: .repeatableRead) { transaction in
                    _ = try await transaction.query(Query("select txid_current()"))
                    // Only long-lasting holders are listed.
                    #expect(try await ledger.status().vacuumHolders.allSatisfy { $0.kind != .transaction })
                    let holders = try await eventually({ $0.contains { $0.name == "a backup" } }) {
                        try await ledger.status().vacuumHolders
                    }
                    let backup = try #require(holders.first { $0.name == "a backup" })
                    #expect(backup.kind == .transaction && backup.process != nil && backup.seconds ?? 0 >= 10)
                    #expect(!prepares || holders.contains { $0.kind == .preparedTransaction && $0.name == database })
                    #expect(!hasSlots || holders.contains { $0.kind == .replicationSlot && $0.name == slot })
                    let figures = await ledger.statistics()
                    #expect(figures.first { $0.name == "progress_ledger_vacuum_holder_seconds" }?.value ?? 0 >= 10)
                    #expect(
                        figures.contains {
                            $0.name == "progress_ledger_table_dead_rows"
                                && $0.labels.contains { $0.name == "table" && $0.value == "job_head" }
                        })
                }
                if prepares { _ = try await pool.query(Query("rollback prepared '\(database)'", prepare: false)) }
                if hasSlots { _ = try await pool.query(Query("select pg_drop_replication_slot($1)", [.text(slot)])) }
                await pool.close()
                #expect(try await ledger.status().tables.map(\.table).contains("job_head"))
            }
        }
    }

    @Test("the fault of commits that wait for a standby has their number and the longest wait")
    func waitingCommits() {
        let remedy = ": bring the standby back, or change synchronous_standby_names"
        #expect(
            PostgresLedger.waitingFault(1, longest: 7) == "1 commit waits for a synchronous standby, for 7 s" + remedy)
        #expect(
            PostgresLedger.waitingFault(2, longest: 7)
                == "2 commits wait for a synchronous standby, one for 7 s" + remedy)
    }

    @Test("settings with which a crash loses events are named, and a warning of readiness")
    func unsafeSettings() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let row = try await ledger.pool.query(
                    Query("select current_setting('fsync')::boolean, current_setting('full_page_writes')::boolean"))[0]
                var off: [String] = []
                if try !row.decode(0, as: Bool.self) { off.append("fsync is off") }
                if try !row.decode(1, as: Bool.self) { off.append("full_page_writes is off") }
                let remarks = try await ledger.status().durabilityRemarks
                #expect(remarks.count == off.count && zip(remarks, off).allSatisfy { $0.hasPrefix($1) }, "\(remarks)")
                let check = try #require(await ledger.readiness().checks.first { $0.name == "writing" })
                #expect(check.isPassed && check.isWarning == !off.isEmpty, "\(check)")
                #expect(off.allSatisfy { check.detail.contains($0) }, "\(check)")
            }
        }
    }

    @Test("readiness fails if the partition of this month or the next is missing")
    func missingPartition() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let months = try await ledger.status().missingPartitions
                #expect(months.isEmpty)
                #expect(await ledger.readiness().checks.first { $0.name == "partitions" }?.isPassed == true)
            }
            try await withRunningLedger(on: target, projection: nil) { ledger in
                try await detachAllPartitions(ledger)
                let months = try await ledger.status().missingPartitions
                #expect(months.count == 2 && months == months.sorted())
                let check = try #require(await ledger.readiness().checks.first { $0.name == "partitions" })
                #expect(!check.isPassed && months.allSatisfy { check.detail.contains($0) }, "\(check)")
                // One partition for several months is sufficient.
                _ = try await tamper(
                    target,
                    """
                    create table ledger.event_years partition of ledger.event
                    for values from (minvalue) to ('ffffffff-0000-7000-8000-000000000000')
                    """, [])
                #expect(try await ledger.status().missingPartitions == [])
            }
        }
    }

    @Test("readiness fails while appends fail on a full disk, until one succeeds")
    func diskFull() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                _ = try await tamper(
                    target,
                    """
                    create function public.no_room() returns trigger language plpgsql as $$
                    begin raise exception 'no room' using errcode = '53100'; end $$
                    """, [])
                _ = try await tamper(
                    target,
                    """
                    create trigger no_room before insert on ledger.event
                    for each statement execute function public.no_room()
                    """, [])
                await #expect(throws: StoreError.self) { try await ledger.append([Self.report()], to: job) }
                let check = try #require(await ledger.readiness().checks.first { $0.name == "appends" })
                #expect(!check.isPassed && check.detail.contains("no room"), "\(check)")
                #expect(try await ledger.status().appendFailure?.state == "53100")
                _ = try await tamper(target, "drop trigger no_room on ledger.event", [])
                _ = try await ledger.append([Self.report()], to: job)
                #expect(await ledger.readiness().checks.first { $0.name == "appends" }?.isPassed == true)
                #expect(try await ledger.status().appendFailure == nil)
            }
        }
    }
}
