import Ledger
import LedgerStore

extension PostgresLedger {
    /// Async variant of the callback method, for callers with a task.
    func stamp(of job: JobID) async throws(StoreError) -> SnapshotStamp? {
        try await withCheckedContinuation { continuation in
            stamp(of: job) { continuation.resume(returning: $0) }
        }.get()
    }
}
