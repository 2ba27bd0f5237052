internal import Ledger
internal import LedgerChain
internal import PQ

extension GroupCommitWriter {
    /// The outcome of an interrupted write, as the database shows it now.
    enum ObservedOutcome {
        case recorded
        /// Nothing was recorded, and nothing will be.
        case notRecorded
        /// Nothing was recorded yet; the write may still happen within this time.
        case undecided(Duration)
    }

    /// Looks up the outcome of an interrupted write.
    ///
    /// This function locks a head of the plan and looks for the planned event.
    ///
    /// - A write that held the locks of the heads keeps them until its transaction ends, so this lock waits for that
    ///   end.
    /// - A conditional write may start after this lock was released. But it compares the clock once it holds the lock,
    ///   and refuses to write after `expiry`. Once that time has passed while this transaction holds the lock, the
    ///   write can no longer succeed.
    /// - No other event can have the planned hash, so the hash at the planned sequence decides.
    ///
    /// A visible event need not be durable, because the wait for a standby may have been interrupted. But the row lock
    /// is a later record of the log, and its commit is acknowledged only after the standbys have confirmed the log up
    /// to it. Therefore, if this transaction commits, the event is durable.
    ///
    /// - Parameter expiry: The last database time at which a conditional write may happen; nil for one that held locks.
    func lookUpOutcome(of plan: GroupCommitPlan, expiry: Timestamp?) async throws(PQError) -> ObservedOutcome {
        guard let (job, head) = plan.newHeads.first else { return .recorded }
        return try await pool.withTransaction { transaction throws(PQError) in
            let rows = try await transaction.pipeline([
                Self.lockHeads([job]),
                Query(
                    "select hash from ledger.event where job_id = $1 and sequence = $2",
                    [.uuid(job.uuid), .sequence(head.sequence)]),
                Query("select clock_timestamp()"),
            ])
            if try rows[1].first?.decode(0, as: EventHash.self) == head.chain.lastHash { return .recorded }
            guard let expiry else { return .notRecorded }
            let rest = expiry.microseconds - (try rows[2][0].decode(0, as: Timestamp.self).microseconds)
            return rest < 0 ? .notRecorded : .undecided(.microseconds(rest + 1_000))
        }
    }
}
