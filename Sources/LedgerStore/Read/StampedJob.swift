public import Ledger

/// A job with its snapshot and the stamp of that snapshot.
public struct StampedJob: Sendable {
    public var view: JobView
    public var stamp: SnapshotStamp

    public init(view: JobView, stamp: SnapshotStamp) {
        self.view = view
        self.stamp = stamp
    }
}
