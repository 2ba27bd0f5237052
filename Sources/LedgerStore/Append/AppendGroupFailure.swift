internal import Ledger
internal import PQ

/// A failed write of a group.
struct AppendGroupFailure: Error {
    let error: PQError
    /// The plan that may have been recorded; nil if nothing was recorded.
    let plan: AppendGroupPlan?
    /// The database time from which the statement refuses to write.
    ///
    /// Nil for a write that held the locks.
    var expiry: Timestamp?
}
