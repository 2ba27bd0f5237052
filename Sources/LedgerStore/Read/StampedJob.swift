public import Ledger

/// A job with its snapshot and the stamp of that snapshot.
public struct StampedJob: Sendable {
    public var view: JobView
    public var stamp: SnapshotStamp
    /// The state of estimates as of the snapshot; nil if it must first be built.
    var estimateState: EstimateState?

    public init(view: JobView, stamp: SnapshotStamp) {
        self.view = view
        self.stamp = stamp
    }
}
