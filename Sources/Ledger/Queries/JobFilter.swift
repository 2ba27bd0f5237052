/// A filter of jobs: a job must match every given value.
public struct JobFilter: Hashable, Sendable {
    /// The states of which the job's snapshot must have one; empty for any.
    public var states: Set<JobState>
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
    /// The search reads jobs one by one, in the order of the list.
    public var search: Name?
    /// The earliest time of creation, inclusive, to the millisecond.
    ///
    /// The times of creation are those in the ids, so that the order of the list needs no further index.
    public var createdFrom: Timestamp?
    /// The latest time of creation, exclusive, to the millisecond.
    public var createdBefore: Timestamp?
    /// Whether the jobs that track the ledger's own replays match too.
    public var includesReplays = true

    public init(
        state: JobState? = nil, name: Name? = nil, key: Name? = nil, tags: [Name: Name] = [:], search: Name? = nil,
        job: JobID? = nil
    ) {
        states = state.map { [$0] } ?? []
        self.name = name
        self.key = key
        self.tags = tags
        self.search = search
        self.job = job
    }

    /// The order of a list of jobs.
    public enum Order: String, CaseIterable, Sendable {
        /// Newest first.
        case newest = "desc"
        /// Oldest first.
        case oldest = "asc"
    }

    /// The states of which a job must have one, in a fixed order; empty for any.
    ///
    /// It is empty too if the filter names all states.
    public var orderedStates: [JobState] {
        states.count == JobState.allCases.count ? [] : JobState.allCases.filter(states.contains)
    }

    /// Whether a job with this description, and its snapshot in this state, matches.
    ///
    /// The query for lists of jobs applies the same rules.
    public func matches(_ id: JobID, _ description: JobDescription, in state: JobState) -> Bool {
        guard !matchesNothing, job == nil || job == id, states.isEmpty || states.contains(state) else { return false }
        if let createdFrom, id < JobID(startOf: createdFrom) { return false }
        if let createdBefore, id >= JobID(startOf: createdBefore) { return false }
        if let name, description.name != name { return false }
        if let key, description.key != key { return false }
        if let search, !description.name.contains(search), description.key != search { return false }
        guard includesReplays || !description.isOfReplay else { return false }
        return tags.allSatisfy { description.tags[$0.key] == $0.value }
    }
}
