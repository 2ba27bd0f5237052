import Ledger
import LedgerProjection
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@Suite("How the ledger fares")
struct StatusTests {
    private static func report(_ done: Int64 = 1) -> EventDraft {
        EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "t", attempt: 1), done: done)))
    }

    @Test("without a worker the lag is counted against the ledger, job by job, and nobody is listed")
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

    @Test("workers are listed with what they have folded")
    func workers() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { watcher in
                try await withRunningLedger(on: target) { ledger in
                    let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                    let last = try await ledger.append([Self.report()], to: job).upperBound
                    let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .patience)
                    #expect(isFolded)
                    try await eventually { try await watcher.status().workers.count == 1 }
                    try await eventually { try await watcher.status().workers.first?.foldedEvents == 1 }
                    let worker = try #require(try await watcher.status().workers.first)
                    #expect(!worker.isLost && worker.failures == 0 && worker.lastFailure == nil)
                    #expect(!worker.host.isEmpty && worker.process > 0 && worker.foldedAt != nil)
                }
            }
        }
    }

    @Test("a job that cannot be folded is named with the reason, holds up no other, and is well again after a replay")
    func stuck() async throws {
        try await withLedgerDatabase { target in
            var settings = ProjectionSettings()
            settings.failurePause = (.milliseconds(10), .milliseconds(50))
            try await withRunningLedger(on: target, projection: settings, replays: ReplaySettings()) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                let other = try await ledger.createJob(JobDescription(name: "other")).view.id
                let first = try await ledger.append([Self.report(5)], to: job).upperBound
                let isFolded = try await ledger.waitUntilFolded(job, sequence: first, deadline: .patience)
                #expect(isFolded)
                let damaged = try await ledger.pool.query(
                    Query(
                        "update ledger.execution set state = $2 where job_id = $1",
                        [.uuid(UUIDBytes(high: job.high, low: job.low)), .bytea([0xFF])]))
                #expect(damaged.affectedRows == 1)

                let last = try await ledger.append([Self.report(2)], to: job).upperBound
                try await eventually { try await ledger.status().stuckJobs.first.map { $0.failures >= 2 } ?? false }
                let status = try await ledger.status()
                let stuck = try #require(status.stuckJobs.first)
                #expect(status.stuckJobs.count == 1 && stuck.job == job && !stuck.failure.message.isEmpty)
                #expect(status.lag.mostBehind.map(\.job) == [job])
                let moved = try await ledger.append([Self.report()], to: other).upperBound
                let isOtherFolded = try await ledger.waitUntilFolded(other, sequence: moved, deadline: .patience)
                #expect(isOtherFolded)

                let replay = try await ledger.beginReplay(Replay.Request(job: job, applies: true))
                let isWell = try await ledger.waitUntilFolded(job, sequence: last, deadline: .patience)
                #expect(isWell)
                #expect(try await ledger.job(job)?.snapshot.indicators.first?.counted.done == 7)
                try await eventually { try await ledger.replay(replay.id)?.state == .applied }
                #expect(try await ledger.status().stuckJobs.isEmpty)
            }
        }
    }

    @Test("the SQLSTATE of what the database refuses is told, with the worker that met it")
    func sqlStates() async throws {
        try await withLedgerDatabase { target in
            var settings = ProjectionSettings()
            settings.failurePause = (.milliseconds(10), .milliseconds(50))
            try await withRunningLedger(on: target, projection: settings) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                let changed = try await tamper(
                    target, "alter table ledger.indicator add constraint closed check (false) not valid", [])
                #expect(changed == 0)
                _ = try await ledger.append([Self.report()], to: job)
                try await eventually { try await !ledger.status().stuckJobs.isEmpty }
                let stuck = try #require(try await ledger.status().stuckJobs.first)
                #expect(stuck.failure.state == "23514", "\(stuck)")
                try await eventually {
                    await ledger.statistics().contains { statistic in
                        statistic.name == "progress_ledger_worker_last_error_timestamp_seconds"
                            && statistic.labels.contains { $0.name == "sqlstate" && $0.value == "23514" }
                    }
                }
                _ = try await tamper(target, "alter table ledger.indicator drop constraint closed", [])
                let isFolded = try await ledger.waitUntilFolded(job, sequence: 2, deadline: .patience)
                #expect(isFolded)
                try await eventually { try await ledger.status().stuckJobs.isEmpty }
            }
        }
    }

    @Test("a transaction that waits for a lock is shown by name, with whoever holds it")
    func blocked() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                var settings = Pool.Settings()
                settings.applicationName = "somebody else"
                let pool = Pool(target: target, settings: settings, logger: TestCluster.logger)
                let range = try await pool.withTransaction { transaction in
                    _ = try await transaction.query(Query("select 1 from ledger.job_head for update"))
                    let append = Task { try await ledger.append([Self.report()], to: job) }
                    try await eventually { try await !ledger.status().blocked.isEmpty }
                    let blocked = try await ledger.status().blocked
                    #expect(blocked.map(\.session.application) == ["progress-ledger appender"])
                    #expect(blocked.first?.blockers.map(\.application) == ["somebody else"])
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

    @Test("a job whose next event is not there is behind, and is named as stuck; it is not tried in a hurry")
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
                try await eventually { try await !ledger.status().stuckJobs.isEmpty }
                let status = try await ledger.status()
                #expect(status.lag.jobs == 1 && status.lag.events == 2 && status.lag.seconds > 0)
                #expect(status.lag.mostBehind.map(\.job) == [job])
                #expect(status.stuckJobs.map(\.job) == [job] && status.stuckJobCount == 1)
                #expect(status.stuckJobs.first?.failure.message.contains("is not there") == true)
            }
        }
    }
}
