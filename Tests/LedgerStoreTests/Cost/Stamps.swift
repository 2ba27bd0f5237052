import Ledger
import LedgerStore

extension PostgresLedger {
    /// The stamp of a job's snapshot, for who has a task to wait with.
    func stamp(of job: JobID) async throws(StoreError) -> SnapshotStamp? {
        try await withCheckedContinuation { continuation in
            stamp(of: job) { continuation.resume(returning: $0) }
        }.get()
    }
}
