/// Where the ledger of a job ends.
public struct LedgerHead: Hashable, Sendable {
    public var job: JobID
    /// The last event and its hash; nil where the job has no head, which somebody must have removed.
    public var place: ChainPosition?

    public init(job: JobID, place: ChainPosition?) {
        self.job = job
        self.place = place
    }
}
