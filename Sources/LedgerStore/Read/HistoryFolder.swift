internal import Ledger
internal import PQ
internal import Synchronization

/// Tells what a job's snapshot was at any sequence, by any policy, by folding its events from the first one on.
///
/// Costs by the events up to there, some 100,000 a second, and memory by the tasks and reports of the job; so few may do
/// it at the same time.
final class HistoryFolder: Sendable {
    /// How many histories are folded at the same time.
    static let atOnceMax = 4
    /// Events in memory at once, besides the state of the fold.
    private static let pageSize: Int64 = 5_000

    private let pool: Pool
    private let underWay = Mutex(0)

    init(pool: Pool) {
        self.pool = pool
    }

    /// The snapshot of events 1 to `sequence`.
    ///
    /// - Throws: ``StoreError/Code/overloaded`` where too many histories are being folded already.
    func snapshot(
        of job: JobID, at sequence: Int64, counting policy: CountingPolicy
    ) async throws(StoreError) -> Snapshot {
        let mayBegin = underWay.withLock { count in
            guard count < Self.atOnceMax else { return false }
            count += 1
            return true
        }
        guard mayBegin else {
            throw StoreError(
                .overloaded, "\(Self.atOnceMax) histories are being folded already", retryAfter: .seconds(1))
        }
        defer { underWay.withLock { $0 -= 1 } }
        do throws(PQError) {
            return try await fold(job, through: sequence).snapshot(policy)
        } catch {
            throw StoreError(error, while: "folding a history")
        }
    }

    private func fold(_ job: JobID, through end: Int64) async throws(PQError) -> Fold {
        var fold = Fold()
        while fold.progress.sequence < end {
            guard !Task.isCancelled else { throw PQError(.cancelled, "cancelled between two pages") }
            let rows = try await pool.query(
                Query(
                    """
                    select \(EventRow.columns)
                    from \(EventRow.table)
                    where event.job_id = $1 and event.sequence > $2 and event.sequence <= $3
                    order by event.sequence
                    limit $4
                    """, [.uuid(job.uuid), .int8(fold.progress.sequence), .int8(end), .int8(Self.pageSize)]))
            guard !rows.isEmpty else {
                throw PQError(
                    .decoding, "job \(job) has no event after \(fold.progress.sequence), and must have \(end)")
            }
            for row in rows { try Self.apply(try EventRow.decode(row).event, to: &fold) }
        }
        return fold
    }

    private static func apply(_ event: Event, to fold: inout Fold) throws(PQError) {
        guard event.sequence == fold.progress.sequence + 1 else {
            throw PQError(.decoding, "event \(fold.progress.sequence + 1) is not there: verify the job")
        }
        do throws(FoldStateError) { try fold.apply(event) } catch {
            throw PQError(.decoding, "event \(event.sequence) cannot be folded: \(error)")
        }
    }

    /// The last event of a job that was recorded at this time or before; 0 where there is none. Times never go backwards
    /// within a job, so halving the way finds it: some twenty lookups for a million events.
    func lastSequence(of job: JobID, head: Int64, recordedUntil moment: Timestamp) async throws(PQError) -> Int64 {
        var (low, high) = (Int64(0), head)
        while low < high {
            let middle = high - (high - low) / 2
            let rows = try await pool.query(
                Query(
                    "select recorded_at from ledger.event where job_id = $1 and sequence = $2",
                    [.uuid(job.uuid), .int8(middle)]))
            guard let row = rows.first else { throw PQError(.decoding, "event \(middle) is not there: verify the job") }
            if try row.timestamp(0) <= moment { low = middle } else { high = middle - 1 }
        }
        return low
    }
}
