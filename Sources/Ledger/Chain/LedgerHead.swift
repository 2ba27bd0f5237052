/// The end of a job's ledger.
public struct LedgerHead: Hashable, Sendable {
    public var job: JobID
    /// The last event and its hash.
    ///
    /// Nil if the job has no head, which can only mean that its row was removed.
    public var place: ChainPosition?

    public init(job: JobID, place: ChainPosition?) {
        self.job = job
        self.place = place
    }
}
