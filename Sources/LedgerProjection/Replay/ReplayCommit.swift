internal import Ledger
internal import LedgerStore
internal import Logging
internal import PQ

/// Brings a replay to its end: when allState is compared, when it is cancelled, and when it is reverted.
struct ReplayCommit: Sendable {
    let ledger: PostgresLedger
    let checkpoints: ReplayCheckpoints
    let settings: ReplaySettings
    let logger: Logger

    private var pool: Pool { ledger.replayPool }
    private static let pageSize = 5_000
    /// Replays that are looked at for what they keep. More than one keeps something only where a process died between
    /// applying a replay and forgetting the one before.
    private static let rememberedMax = 1_000

    /// Which of a job's two projections is to be live.
    private enum Side {
        case built
        case previous

        func number(of job: ReplayCheckpoints.Job) -> Int16 { self == .built ? job.projection : job.previous }
        var column: String { self == .built ? "projection" : "previous" }
        var otherColumn: String { self == .built ? "previous" : "projection" }
    }

    /// Does what is to be done at the end, if it is the end.
    ///
    /// - Parameter lease: The connection that holds the lock. Cancelling needs no other one: a replay ends even if the
    ///   database grants no more connections.
    func advance(_ id: JobID, _ lease: inout Lease) async throws {
        let replay = try ReplayCheckpoints.replay(id, in: try await lease.query(ReplayCheckpoints.query(id)))
        let reporter = ReplayReporter(ledger: ledger, logger: logger)
        switch replay.state {
        case .running:
            guard try await checkpoints.openBatches(of: id).isEmpty else { return }
            if replay.applies {
                try await switchOver(id, to: .built, state: .applied)
                try await reporter.end(id, .completed)
                try await deleteOthers(than: id)
            } else {
                try Self.checkEnded(try await pool.query(Self.end(id, .running, .done)))
                try await reporter.end(id, .completed)
            }
        case .canceling:
            let state: Replay.State = replay.error == nil ? .canceled : .failed
            try await clear(id, &lease)
            try Self.checkEnded(try await lease.query(Self.end(id, .canceling, state)))
            // A report that fails is repeated: see ``ReplayCheckpoints/unreported()``.
            try await reporter.end(id, state.outcome)
        case .reverting:
            do {
                try await switchOver(id, to: .previous, state: .reverted)
            } catch
                where !ReplayRunner.isTransient(error) && !(error is ReplayCheckpoints.Interrupted) && !Task.isCancelled
            {
                try await restorePrevious(id, "\(error)")
            }
        case .applied, .done, .reverted, .canceled, .failed: return
        }
    }

    /// What earlier replays keep can no longer be gone back to.
    private func deleteOthers(than id: JobID) async throws {
        for other in try await ledger.replays(limit: Self.rememberedMax) where other.id != id && other.keeps {
            _ = try await ledger.dropReplay(other.id)
        }
    }

    /// The statement that ends it, unless somebody has changed it meanwhile.
    private static func end(_ id: JobID, _ expected: Replay.State, _ state: Replay.State) -> Query {
        Query(
            """
            update ledger.replay
            set state = $3, finished_at = clock_timestamp()
            where job_id = $1 and state = $2
            """, [.uuid(id.uuidBytes), .text(expected.rawValue), .text(state.rawValue)])
    }

    private static func checkEnded(_ rows: Rows) throws {
        guard rows.affectedRows == 1 else { throw ReplayCheckpoints.Interrupted() }
    }

    /// A revert that cannot be: what is live stays so.
    private func restorePrevious(_ id: JobID, _ reason: String) async throws(PQError) {
        logger.error("a replay could not be reverted", metadata: ["replay.id": "\(id)", "error": "\(reason)"])
        _ = try await pool.query(
            Query(
                "update ledger.replay set state = 'applied', error = $2 where job_id = $1 and state = 'reverting'",
                [.uuid(id.uuidBytes), .text(String(reason.prefix(2_000)))]))
    }

    /// Removes what a cancelled replay has built.
    private func clear(_ id: JobID, _ lease: inout Lease) async throws {
        let rows = try await lease.query(
            Query("select job_id, projection from ledger.replay_job where replay = $1", [.uuid(id.uuidBytes)]))
        var built: [(job: JobID, number: Int16)] = []
        for row in rows { built.append((JobID(uuid: try row.decode(0)), try row.decode(1))) }
        for start in stride(from: 0, to: built.count, by: Self.pageSize) {
            let page = Array(built[start..<min(built.count, start + Self.pageSize)])
            try await lease.withTransaction(deadline: .seconds(300)) { transaction in
                _ = try await transaction.commit(after: ReplayCheckpoints.clearing(page))
            }
        }
    }

    // MARK: Switching

    private struct CannotSwitch: Error, CustomStringConvertible {
        let reason: String

        var description: String { reason }
    }

    /// Makes one side live for all jobs that were compared, in one transaction: readers see all of the one or all of
    /// the other. No snapshot goes back: what takes its place is brought just as far before.
    private func switchOver(_ id: JobID, to side: Side, state: Replay.State) async throws {
        for _ in 1...settings.switchAttemptsMax {
            try await catchUp(id, side)
            if try await trySwitch(id, to: side, expecting: side == .built ? .running : .reverting, state: state) {
                await ledger.projectionSwitched()
                return
            }
        }
        throw CannotSwitch(
            reason: "the projections could not be brought as far as the live ones in "
                + "\(settings.switchAttemptsMax) attempts")
    }

    private func catchUp(_ id: JobID, _ side: Side) async throws {
        let builder = ReplayBuilder(pool: pool, settings: settings)
        var cursor: JobID?
        repeat {
            let jobs = try await checkpoints.comparedJobs(of: id, after: cursor, limit: Self.pageSize)
            try await builder.catchUp(jobs.map { ($0.id, side.number(of: $0)) })
            cursor = jobs.count == Self.pageSize ? jobs.last?.id : nil
        } while cursor != nil
    }

    /// - Returns: Whether it is done; false where the live projections have moved on too far meanwhile.
    private func trySwitch(
        _ id: JobID, to side: Side, expecting expected: Replay.State, state: Replay.State
    ) async throws -> Bool {
        let builder = ReplayBuilder(pool: pool, settings: settings)
        return try await pool.withTransaction(deadline: .seconds(120)) { transaction in
            // Who cancels it now waits, and then finds that it is too late.
            let current = try await transaction.query(
                Query("select state from ledger.replay where job_id = $1 for update", [.uuid(id.uuidBytes)]))
            guard try current.first?.decode(0, as: String.self) == expected.rawValue else {
                throw ReplayCheckpoints.Interrupted()
            }
            // Workers pass over snapshots that are locked; readers and appends do not notice.
            let locked = try await transaction.query(
                Query(
                    """
                    select
                        one.job_id, live.projection = one.\(side.otherColumn),
                        exists (
                            select from ledger.snapshot as other
                            where other.job_id = one.job_id and other.projection = one.\(side.column)
                        )
                    from ledger.replay_job as one
                    join ledger.snapshot as live on live.job_id = one.job_id and live.is_live
                    where one.replay = $1 and one.state = 'compared'
                    order by one.job_id
                    for update of live
                    """, [.uuid(id.uuidBytes)]))
            for row in locked {
                let job = JobID(uuid: try row.decode(0))
                guard try row.decode(1, as: Bool.self) else {
                    throw CannotSwitch(
                        reason: "job \(job) has another live projection since: another replay was applied")
                }
                // Nothing is switched to that is not there: the job would be shown no more.
                guard try row.decode(2, as: Bool.self) else {
                    throw CannotSwitch(reason: "the projection of job \(job) that is to be live is not there any more")
                }
            }
            let behind = try await behind(id, side, &transaction)
            if !behind.isEmpty { try await builder.catchUp(behind) }
            guard try await self.behind(id, side, &transaction).isEmpty else { return false }
            _ = try await transaction.commit(after: Self.switching(id, to: side, state))
            return true
        }
    }

    private func behind(
        _ id: JobID, _ side: Side, _ transaction: inout Transaction
    ) async throws -> [(job: JobID, number: Int16)] {
        let rows = try await transaction.query(
            Query(
                """
                select other.job_id, other.projection
                from ledger.replay_job as one
                join ledger.snapshot as other
                    on other.job_id = one.job_id and other.projection = one.\(side.column)
                join ledger.snapshot as live on live.job_id = one.job_id and live.is_live
                where one.replay = $1 and one.state = 'compared' and other.sequence < live.sequence
                """, [.uuid(id.uuidBytes)]))
        var behind: [(job: JobID, number: Int16)] = []
        for row in rows { behind.append((JobID(uuid: try row.decode(0)), try row.decode(1))) }
        return behind
    }

    private static func switching(_ id: JobID, to side: Side, _ state: Replay.State) -> [Query] {
        func set(_ isLive: Bool, _ column: String) -> Query {
            Query(
                """
                update ledger.snapshot
                set is_live = \(isLive)
                from ledger.replay_job as one
                where one.replay = $1 and one.state = 'compared' and snapshot.job_id = one.job_id
                    and snapshot.projection = one.\(column)
                """, [.uuid(id.uuidBytes)])
        }
        return [
            set(false, side.otherColumn), set(true, side.column),
            // Every job that was shown before is shown now; else nothing of this is done.
            Query(
                """
                select
                    1 / (
                        count(*) = (
                            select count(*) from ledger.replay_job
                            where replay_job.replay = $1 and replay_job.state = 'compared'
                        )
                    )::integer
                from ledger.replay_job as one
                join ledger.snapshot as shown
                    on shown.job_id = one.job_id and shown.projection = one.\(side.column) and shown.is_live
                where one.replay = $1 and one.state = 'compared'
                """, [.uuid(id.uuidBytes)]),
            Query(
                """
                update ledger.replay
                set state = $2, keeps = true, error = null, finished_at = clock_timestamp()
                where job_id = $1
                """, [.uuid(id.uuidBytes), .text(state.rawValue)]),
        ]
    }
}
