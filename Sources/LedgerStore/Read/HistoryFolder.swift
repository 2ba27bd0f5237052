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
        return try await fold(job, through: sequence).snapshot(policy)
    }

    private func fold(_ job: JobID, through end: Int64) async throws(StoreError) -> Fold {
        var fold = Fold()
        while fold.progress.sequence < end {
            guard !Task.isCancelled else { throw StoreError(.closed, "cancelled while folding a history") }
            let events: [Event]
            do throws(PQError) { events = try await read(job, after: fold.progress.sequence, through: end) } catch {
                throw StoreError(error, while: "folding a history")
            }
            guard !events.isEmpty else { throw Self.missing(fold.progress.sequence + 1, job) }
            for event in events {
                guard event.sequence == fold.progress.sequence + 1 else {
                    throw Self.missing(fold.progress.sequence + 1, job)
                }
                do throws(FoldStateError) { try fold.apply(event) } catch {
                    throw StoreError(.corrupt, "event \(event.sequence) of job \(job) cannot be folded: \(error)")
                }
            }
        }
        return fold
    }

    private func read(_ job: JobID, after position: Int64, through end: Int64) async throws(PQError) -> [Event] {
        let rows = try await pool.query(
            Query(
                """
                select \(EventRow.columns)
                from \(EventRow.table)
                where event.job_id = $1 and event.sequence > $2 and event.sequence <= $3
                order by event.sequence
                limit $4
                """, [.uuid(job.uuid), .int8(position), .int8(end), .int8(Self.pageSize)]))
        var events: [Event] = []
        for row in rows { events.append(try EventRow.decode(row).event) }
        return events
    }

    private static func missing(_ sequence: Int64, _ job: JobID) -> StoreError {
        StoreError(.incomplete, "event \(sequence) of job \(job) is not there any more", jobs: [job])
    }

    /// The last event of a job that was recorded at this time or before; 0 where there is none. Times never go backwards
    /// within a job, so halving the way finds it: some twenty lookups for a million events.
    func lastSequence(of job: JobID, head: Int64, recordedUntil moment: Timestamp) async throws(StoreError) -> Int64 {
        var (low, high) = (Int64(0), head)
        while low < high {
            let middle = high - (high - low) / 2
            guard let recordedAt = try await recordedAt(middle, job) else { throw Self.missing(middle, job) }
            if recordedAt <= moment { low = middle } else { high = middle - 1 }
        }
        return low
    }

    private func recordedAt(_ sequence: Int64, _ job: JobID) async throws(StoreError) -> Timestamp? {
        do throws(PQError) {
            let rows = try await pool.query(
                Query(
                    "select recorded_at from ledger.event where job_id = $1 and sequence = $2",
                    [.uuid(job.uuid), .int8(sequence)]))
            return try rows.first?.timestamp(0)
        } catch {
            throw StoreError(error, while: "looking for a moment in a history")
        }
    }
}
