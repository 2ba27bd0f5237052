/// Where the ledger of a job ends.
public struct LedgerHead: Hashable, Sendable {
    public var job: JobID
    /// The last event and its hash; nil where the job has no head, which somebody must have removed.
    public var place: Verification.Anchor?

    public init(job: JobID, place: Verification.Anchor?) {
        self.job = job
        self.place = place
    }
}
