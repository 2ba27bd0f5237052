public import Ledger

/// A page of jobs, and the shards that did not respond.
public struct JobList: Sendable {
    /// The jobs, in the order of the request.
    public var jobs: [JobView]
    /// The numbers of the shards that did not answer, in ascending order.
    public var missingShards: [Int]

    public init(jobs: [JobView], missingShards: [Int] = []) {
        self.jobs = jobs
        self.missingShards = missingShards
    }
}

extension LedgerService {
    /// Returns a page of jobs of a ledger with one database.
    ///
    /// No shard can be missing.
    public func jobList(
        _ filter: JobFilter, in order: JobFilter.Order, limit: Int, after cursor: JobID?
    ) async throws(StoreError) -> JobList {
        JobList(jobs: try await jobs(filter, in: order, limit: limit, after: cursor))
    }
}
