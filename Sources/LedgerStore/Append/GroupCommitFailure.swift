internal import Ledger
internal import PQ

/// A failed write of a group.
struct GroupCommitFailure: Error {
    let error: PQError
    /// The plan that may have been recorded; nil if nothing was recorded.
    let plan: GroupCommitPlan?
    /// The last database time at which the statement may write.
    ///
    /// Nil for a write that held the locks.
    var expiry: Timestamp?
}
