public import Ledger

/// A job's snapshot with its entity tag.
public struct ReadJob: Hashable, Sendable {
    public let job: JobView
    /// The value of `unchangedSince` to wait for the next change.
    ///
    /// It is nil if a proxy has removed the tag.
    public let entityTag: String?
}
