internal import Ledger
internal import LedgerStore
internal import Logging
internal import PQ

/// Ends a replay: when all jobs are compared, when it is canceled or reverted.
struct ReplayCompletion: Sendable {
    let ledger: PostgresLedger
    let checkpoints: ReplayCheckpoints
    let settings: ReplaySettings
    let logger: Logger

    private var pool: Pool { ledger.replayPool }
    private static let pageSize = 5_000
    /// Maximum number of earlier replays checked for kept projections.
    ///
    /// More than one keeps projections only if a process ended between applying a replay and dropping the previous one.
    private static let replaysMax = 1_000

    /// The one of a job's two projections that becomes live.
    private enum Side {
        case built
        case previous

        func number(of job: ReplayCheckpoints.Job) -> Int16 { self == .built ? job.projection : job.previous }
        var column: String { self == .built ? "projection" : "previous" }
        var otherColumn: String { self == .built ? "previous" : "projection" }
    }

    /// Ends the replay if it has reached its end.
    ///
    /// - Parameter lease: The connection that holds the lock. Canceling needs no other one: a replay ends even if the
    ///   database grants no more connections.
    func advance(_ id: JobID, _ lease: inout Lease) async throws {
        let replay = try ReplayCheckpoints.replay(id, in: try await lease.query(ReplayCheckpoints.query(id)))
        let reporter = ReplayReporter(ledger: ledger, logger: logger)
        switch replay.state {
        case .running:
            guard try await checkpoints.openBatches(of: id).isEmpty else { return }
            if replay.applies {
                try await switchOver(id, to: .built, state: .applied)
                try await reporter.finishReplay(id, .completed)
                try await deleteOtherReplays(than: id)
            } else {
                try Self.checkEnded(try await pool.query(Self.end(id, .running, .done)))
                try await reporter.finishReplay(id, .completed)
            }
        case .canceling:
            let state: Replay.State = replay.error == nil ? .canceled : .failed
            try await deleteBuilt(id, &lease)
            try Self.checkEnded(try await lease.query(Self.end(id, .canceling, state)))
            // A failed report is repeated: see ``ReplayCheckpoints/unreported()``.
            try await reporter.finishReplay(id, state.outcome)
        case .reverting:
            do {
                try await switchOver(id, to: .previous, state: .reverted)
            } catch
                where !ReplayRunner.isTransient(error) && !(error is ReplayCheckpoints.Interrupted) && !Task.isCancelled
            {
                try await cancelRevert(id, "\(error)")
            }
        case .applied, .done, .reverted, .canceled, .failed: return
        }
    }

    /// Drops the projections that earlier replays keep, which makes these irreversible.
    private func deleteOtherReplays(than id: JobID) async throws {
        for other in try await ledger.replays(limit: Self.replaysMax) where other.id != id && other.keeps {
            _ = try await ledger.dropReplay(other.id)
        }
    }

    /// Returns the statement that ends a replay, unless its state has changed.
    private static func end(_ id: JobID, _ expected: Replay.State, _ state: Replay.State) -> Query {
        Query(
            """
            update ledger.replay
            set state = $3, finished_at = statement_timestamp()
            where job_id = $1 and state = $2
            """, [.uuid(id.uuid), .text(expected.rawValue), .text(state.rawValue)])
    }

    private static func checkEnded(_ rows: Rows) throws {
        guard rows.affectedRows == 1 else { throw ReplayCheckpoints.Interrupted() }
    }

    /// Cancels a revert that is impossible: the live projections stay live.
    private func cancelRevert(_ id: JobID, _ reason: String) async throws(PQError) {
        logger.error("cannot revert a replay", metadata: ["replay.id": "\(id)", "error": "\(reason)"])
        _ = try await pool.query(
            Query(
                "update ledger.replay set state = 'applied', error = $2 where job_id = $1 and state = 'reverting'",
                [.uuid(id.uuid), .text(String(reason.prefix(2_000)))]))
    }

    /// Deletes the projections that a canceled replay has built.
    private func deleteBuilt(_ id: JobID, _ lease: inout Lease) async throws {
        let rows = try await lease.query(
            Query("select job_id, projection from ledger.replay_job where replay = $1", [.uuid(id.uuid)]))
        var built: [(job: JobID, number: Int16)] = []
        for row in rows { built.append((try row.decode(0, as: JobID.self), try row.decode(1))) }
        for start in stride(from: 0, to: built.count, by: Self.pageSize) {
            let page = Array(built[start..<min(built.count, start + Self.pageSize)])
            try await lease.withTransaction(deadline: .seconds(300)) { transaction in
                _ = try await transaction.commit(after: ReplayCheckpoints.deletionStatements(page))
            }
        }
    }

    // MARK: Switching

    private struct CannotSwitch: Error, CustomStringConvertible {
        let reason: String

        var description: String { reason }
    }

    /// Makes one side live for all compared jobs, in one transaction.
    ///
    /// Readers see all of one side or all of the other. No snapshot goes back to a lower sequence, because its
    /// replacement is brought up to date before.
    private func switchOver(_ id: JobID, to side: Side, state: Replay.State) async throws {
        for _ in 1...settings.switchAttemptsMax {
            try await catchUp(id, side)
            if try await trySwitch(id, to: side, expecting: side == .built ? .running : .reverting, state: state) {
                await ledger.projectionSwitched()
                return
            }
        }
        throw CannotSwitch(
            reason: "the projections did not catch up with the live ones in "
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

    /// Tries once to make one side live.
    ///
    /// - Returns: Whether it has succeeded; false if the live projections have advanced too far since the last step.
    private func trySwitch(
        _ id: JobID, to side: Side, expecting expected: Replay.State, state: Replay.State
    ) async throws -> Bool {
        let builder = ReplayBuilder(pool: pool, settings: settings)
        return try await pool.withTransaction(deadline: .seconds(120)) { transaction in
            // A client that cancels the replay now waits, and then finds that it is too late.
            let current = try await transaction.query(
                Query("select state from ledger.replay where job_id = $1 for update", [.uuid(id.uuid)]))
            guard try current.first?.decode(0, as: String.self) == expected.rawValue else {
                throw ReplayCheckpoints.Interrupted()
            }
            // Workers skip locked snapshots; readers and appends are not affected.
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
                    """, [.uuid(id.uuid)]))
            for row in locked {
                let job = try row.decode(0, as: JobID.self)
                guard try row.decode(1, as: Bool.self) else {
                    throw CannotSwitch(
                        reason: "job \(job) has another live projection now: another replay was applied")
                }
                // A missing projection must not become live, because the job would no longer be shown.
                guard try row.decode(2, as: Bool.self) else {
                    throw CannotSwitch(reason: "the projection of job \(job) to make live no longer exists")
                }
            }
            let behind = try await behind(id, side, &transaction)
            if !behind.isEmpty { try await builder.catchUp(behind) }
            guard try await self.behind(id, side, &transaction).isEmpty else { return false }
            _ = try await transaction.commit(after: Self.switchStatements(id, to: side, state))
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
                """, [.uuid(id.uuid)]))
        var behind: [(job: JobID, number: Int16)] = []
        for row in rows { behind.append((try row.decode(0, as: JobID.self), try row.decode(1))) }
        return behind
    }

    private static func switchStatements(_ id: JobID, to side: Side, _ state: Replay.State) -> [Query] {
        func set(_ isLive: Bool, _ column: String) -> Query {
            Query(
                """
                update ledger.snapshot
                set is_live = \(isLive)
                from ledger.replay_job as one
                where one.replay = $1 and one.state = 'compared' and snapshot.job_id = one.job_id
                    and snapshot.projection = one.\(column)
                """, [.uuid(id.uuid)])
        }
        return [
            set(false, side.otherColumn), set(true, side.column),
            // Every job that was shown before must be shown afterwards; otherwise the failure undoes
            // everything.
            Query(
                """
                select
                    case
                        when count(*) = (
                            select count(*) from ledger.replay_job
                            where replay_job.replay = $1 and replay_job.state = 'compared'
                        ) then 1
                        else ledger.fail_stale()
                    end
                from ledger.replay_job as one
                join ledger.snapshot as shown
                    on shown.job_id = one.job_id and shown.projection = one.\(side.column) and shown.is_live
                where one.replay = $1 and one.state = 'compared'
                """, [.uuid(id.uuid)]),
            Query(
                """
                update ledger.replay
                set state = $2, keeps = true, error = null, finished_at = statement_timestamp()
                where job_id = $1
                """, [.uuid(id.uuid), .text(state.rawValue)]),
        ]
    }
}
