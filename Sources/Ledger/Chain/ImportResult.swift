/// The result of importing an excerpt.
public struct ImportResult: Hashable, Sendable {
    /// The imported job.
    public var job: JobID
    /// The number of events of the excerpt that were new.
    public var appended: Int
    /// The last event of the job in this ledger.
    public var position: ChainPosition

    public init(job: JobID, appended: Int, position: ChainPosition) {
        self.job = job
        self.appended = appended
        self.position = position
    }
}
