internal import Ledger
internal import LedgerChain
internal import PQ
internal import Synchronization

/// The last acknowledged event of each job, to detect a ledger that has lost it.
///
/// An asynchronous failover, or a database restored from a backup, can lose acknowledged events. The database shows no
/// trace of that: sequences continue from the earlier head. Therefore this process stores the hash of the last
/// acknowledged event of each job, and compares it after each reconnect and whenever a head is not the expected one.
final class AcknowledgedHeads: Sendable {
    /// The maximum number of jobs, at about 100 bytes each.
    private static let jobsMax = 100_000
    /// The number of jobs that one statement compares.
    private static let batchMax = 1_000
    /// The number of listed losses; all are counted.
    static let listMax = 20

    /// The loss of a job's last acknowledged events.
    struct Loss: Sendable {
        let job: JobID
        /// The last acknowledged sequence.
        let acknowledged: EventSequence
        /// The last sequence in the ledger when the loss was detected.
        let found: EventSequence
    }

    private struct State {
        var heads = BoundedCache<JobID, JobHead>(costMax: jobsMax)
        var lost: [Loss] = []
        var lostCount: UInt64 = 0
    }

    private let state = Mutex(State())

    /// Stores acknowledged heads.
    func acknowledge(_ heads: [(job: JobID, head: JobHead)]) {
        state.withLock { state in for (job, head) in heads { state.heads.put(head, job) } }
    }

    /// The losses since the start, the latest last, and their number.
    var losses: (latest: [Loss], count: UInt64) { state.withLock { ($0.lost, $0.lostCount) } }

    /// Compares acknowledged heads with the ledger.
    ///
    /// - Parameter jobs: The jobs to compare; nil for all.
    /// - Returns: The jobs with losses, each once.
    func check(_ jobs: [JobID]? = nil, on pool: Pool) async throws(PQError) -> [Loss] {
        let heads = state.withLock { state in
            (jobs ?? state.heads.keys).compactMap { job in state.heads.peek(job).map { (job: job, head: $0) } }
        }
        var losses: [Loss] = []
        var rest = heads[...]
        while !rest.isEmpty {
            let batch = Array(rest.prefix(Self.batchMax))
            rest = rest.dropFirst(batch.count)
            losses += try await compare(batch, on: pool)
        }
        return losses
    }

    private func compare(
        _ heads: [(job: JobID, head: JobHead)], on pool: Pool
    ) async throws(PQError) -> [Loss] {
        // The event of a retired month is absent, but its head exists; that is no loss. A moved job is elsewhere.
        let rows = try await pool.query(
            Query(
                """
                select known.job_id, coalesce(head.sequence, 0)
                from unnest($1::uuid[], $2::bigint[], $3::bytea[]) as known (job_id, sequence, hash)
                left join ledger.job_head as head on head.job_id = known.job_id
                left join ledger.event as event
                    on event.job_id = known.job_id and event.sequence = known.sequence
                where head.sequence < known.sequence or event.hash <> known.hash
                    or head.sequence is null
                        and not exists (select from ledger.moved_job as moved where moved.job_id = known.job_id)
                """,
                [
                    .uuids(heads.map(\.job.uuid)), .sequences(heads.map(\.head.sequence)),
                    .byteas(heads.map(\.head.chain.lastHash.bytea)),
                ]))
        var found: [JobID: EventSequence] = [:]
        for row in rows { found[try row.decode(0, as: JobID.self)] = try row.decode(1) }
        guard !found.isEmpty else { return [] }
        return state.withLock { state in
            var losses: [Loss] = []
            for (job, head) in heads {
                // An event that was acknowledged during the comparison is newer.
                guard let sequence = found[job], state.heads.peek(job)?.chain.lastHash == head.chain.lastHash else {
                    continue
                }
                state.heads.remove(job)
                losses.append(Loss(job: job, acknowledged: head.sequence, found: sequence))
            }
            state.lostCount += UInt64(losses.count)
            state.lost = Array((state.lost + losses).suffix(Self.listMax))
            return losses
        }
    }
}
