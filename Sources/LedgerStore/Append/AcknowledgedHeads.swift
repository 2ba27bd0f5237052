internal import Ledger
internal import LedgerChain
internal import PQ
internal import Synchronization

/// What this process has acknowledged last of each job, to notice a ledger that has lost it.
///
/// An asynchronous failover, or a database restored from a backup, can take back events that were acknowledged. Nothing in
/// the database says so afterwards: sequences go on from the earlier head. So the hash of the last acknowledged event of
/// each job is remembered and compared, after each reconnect and whenever a head turns out to be another one.
final class AcknowledgedHeads: Sendable {
    /// How many jobs are remembered: some 100 bytes each.
    private static let jobsMax = 100_000
    /// How many are compared in one statement.
    private static let batchMax = 1_000
    /// How many jobs that went back are listed; all are counted.
    static let listMax = 20

    /// A job whose acknowledged events are no longer in the ledger.
    struct Loss: Sendable {
        let job: JobID
        /// The last sequence that was acknowledged here.
        let acknowledged: Int64
        /// The last sequence in the ledger when that was found.
        let found: Int64
    }

    private struct State {
        var heads = ClockCache<JobID, JobHead>(costMax: jobsMax)
        var lost: [Loss] = []
        var lostCount: UInt64 = 0
    }

    private let state = Mutex(State())

    /// Remembers these heads, up to which everything is acknowledged.
    func acknowledge(_ heads: [(job: JobID, head: JobHead)]) {
        state.withLock { state in for (job, head) in heads { state.heads.put(head, job) } }
    }

    /// The jobs that went back since the start, the latest last, and how many there were.
    var losses: (latest: [Loss], count: UInt64) { state.withLock { ($0.lost, $0.lostCount) } }

    /// Compares what was acknowledged with the ledger.
    ///
    /// - Parameter jobs: Which jobs; nil for all that are remembered.
    /// - Returns: The jobs that went back, each once.
    func check(_ jobs: [JobID]? = nil, on pool: Pool) async throws(PQError) -> [Loss] {
        let known = state.withLock { state in
            (jobs ?? state.heads.keys).compactMap { job in state.heads.peek(job).map { (job: job, head: $0) } }
        }
        var losses: [Loss] = []
        var rest = known[...]
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
        // The event of a retired month is not there; its head is, and then nothing is known to be lost.
        let rows = try await pool.query(
            Query(
                """
                select known.job_id, coalesce(head.sequence, 0)
                from unnest($1::uuid[], $2::bigint[], $3::bytea[]) as known (job_id, sequence, hash)
                left join ledger.job_head as head on head.job_id = known.job_id
                left join ledger.event as event
                    on event.job_id = known.job_id and event.sequence = known.sequence
                where head.sequence is null or head.sequence < known.sequence or event.hash <> known.hash
                """,
                [
                    .uuids(heads.map(\.job.uuid)), .int8s(heads.map(\.head.sequence)),
                    .byteas(heads.map(\.head.chain.head)),
                ]))
        var found: [JobID: Int64] = [:]
        for row in rows { found[try row.jobID(0)] = try row.decode(1) }
        guard !found.isEmpty else { return [] }
        return state.withLock { state in
            var losses: [Loss] = []
            for (job, head) in heads {
                // What was acknowledged meanwhile is newer than what was compared.
                guard let sequence = found[job], state.heads.peek(job)?.chain.head == head.chain.head else { continue }
                state.heads.remove(job)
                losses.append(Loss(job: job, acknowledged: head.sequence, found: sequence))
            }
            state.lostCount += UInt64(losses.count)
            state.lost = Array((state.lost + losses).suffix(Self.listMax))
            return losses
        }
    }
}
