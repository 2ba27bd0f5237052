/// The end of a job's ledger.
public struct LedgerHead: Hashable, Sendable {
    public var job: JobID
    /// The last event and its hash.
    ///
    /// Nil if the job has no head, which can only mean that its row was removed.
    public var position: ChainPosition?

    public init(job: JobID, position: ChainPosition?) {
        self.job = job
        self.position = position
    }
}
