public import Ledger

/// The criteria of a list of jobs, newest first; a job must meet all of them.
public struct JobSearch: Hashable, Sendable {
    public var state: JobState?
    public var name: Name?
    /// A part of the job's name, in any case, or its key.
    public var search: Name?
    public var key: Name?
    /// The tags with the values that the job must have.
    public var tags: [Name: Name] = [:]
    /// The most jobs in the page; 100 by default, 1,000 at most.
    public var limit: Int?
    /// The start of the page: ``JobsPage/nextCursor`` of the previous one.
    public var cursor: String?

    public init() {}
}
