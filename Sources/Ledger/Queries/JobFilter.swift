/// A filter of jobs: a job must match every given value.
public struct JobFilter: Hashable, Sendable {
    /// The state of the job's snapshot.
    public var state: JobState?
    /// The exact name of the job.
    public var name: Name?
    /// The exact key of the job; at most one job has it.
    public var key: Name?
    /// Tags that the job must have, with these values.
    public var tags: [Name: Name]
    /// The only job that can match.
    public var job: JobID?
    /// Whether no job matches, because the values contradict each other.
    public var matchesNothing = false
    /// A part of the job's name, ignoring case, or its key.
    ///
    /// The search reads jobs one by one, newest first.
    public var search: Name?

    public init(
        state: JobState? = nil, name: Name? = nil, key: Name? = nil, tags: [Name: Name] = [:], search: Name? = nil,
        job: JobID? = nil
    ) {
        self.state = state
        self.name = name
        self.key = key
        self.tags = tags
        self.search = search
        self.job = job
    }
}
