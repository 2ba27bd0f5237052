/// The jobs of a ledger that a caller may use.
///
/// These are all jobs, those with given tags, or one job. Other jobs do not exist for the caller: they are not found,
/// and no list contains them.
public struct Confinement: Hashable, Sendable {
    /// Tags that a job must have, with these values.
    public var tags: [Name: Name]
    /// The only job; nil for no such limit.
    public var job: JobID?

    public init(tags: [Name: Name] = [:], job: JobID? = nil) {
        self.tags = tags
        self.job = job
    }

    /// All jobs.
    public static let unconfined = Confinement()

    /// Whether it includes all jobs.
    public var isUnconfined: Bool { tags.isEmpty && job == nil }

    /// Whether it includes the job with this id and these tags.
    public func includes(_ id: JobID, tags: [Name: Name]) -> Bool {
        (job == nil || job == id) && self.tags.allSatisfy { tags[$0.key] == $0.value }
    }

    /// Whether all its jobs are also among those of another confinement.
    public func isWithin(_ other: Confinement) -> Bool {
        (other.job == nil || other.job == job) && other.tags.allSatisfy { tags[$0.key] == $0.value }
    }
}

extension JobFilter {
    /// Returns the filter of the matching jobs within a confinement.
    public func confined(to confinement: Confinement) -> JobFilter {
        var filter = self
        for (name, value) in confinement.tags {
            if let other = filter.tags.updateValue(value, forKey: name), other != value { filter.matchesNothing = true }
        }
        if let only = confinement.job {
            if let other = filter.job, other != only { filter.matchesNothing = true }
            filter.job = only
        }
        return filter
    }
}

extension JobDescription {
    /// Returns the description with the tags of a confinement.
    ///
    /// - Throws: ``OutsideConfinement`` if a tag has another value, or if the confinement is another job.
    public func confined(to confinement: Confinement) throws(OutsideConfinement) -> JobDescription {
        guard confinement.job == nil else { throw OutsideConfinement(tag: nil) }
        var description = self
        for (name, value) in confinement.tags {
            if let other = description.tags.updateValue(value, forKey: name), other != value {
                throw OutsideConfinement(tag: name)
            }
        }
        return description
    }
}

/// The error of a new job that would be outside of its creator's confinement.
public struct OutsideConfinement: Error, Hashable, Sendable {
    /// The tag with another value; nil if the creator is confined to one job.
    public let tag: Name?
}
