/// The durations of earlier jobs of the same name.
public struct UsualDuration: Hashable, Sendable {
    /// The median, in seconds.
    public var median: Double
    /// The longest one, in seconds.
    public var longest: Double

    /// The minimum number of earlier jobs; fewer do not show the usual duration.
    public static let jobsMin = 3
    /// The number of newest jobs that count.
    public static let jobsMax = 20

    /// Creates it from the durations of earlier jobs; nil if they are too few.
    public init?(seconds: [Double]) {
        guard seconds.count >= Self.jobsMin else { return nil }
        let sorted = seconds.sorted()
        let middle = sorted.count / 2
        median = sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
        longest = sorted[sorted.count - 1]
    }
}

/// The finding that a running job will probably be late.
public struct Lateness: Hashable, Sendable {
    /// The time that will be missed.
    public enum Limit: Hashable, Sendable {
        /// The job's deadline.
        case deadline(Timestamp)
        /// The usual duration of such jobs.
        case usual(UsualDuration)
    }

    public let limit: Limit
    /// The moment that identifies the finding.
    ///
    /// A job is late once for its deadline, or once since its start.
    public let since: Timestamp

    /// The factor by which a job must exceed the median.
    ///
    /// Ordinary variation must not be reported. Half of the time again is noticed by people, and the durations of
    /// regular jobs rarely vary that much.
    public static let marginFactor = 1.5

    /// Returns the finding about a job; nil if it is on time, or if that is not known.
    ///
    /// With a deadline, a job is late as soon as it is more probable than not that the job ends after it. Without one
    /// it is late if it will probably take ``marginFactor`` times the median and longer than any earlier one, and if
    /// even an optimistic estimate (p10) exceeds the median: estimates at the beginning of a job vary.
    public init?(_ view: JobView, deadline: Timestamp?, usual: UsualDuration?, now: Timestamp) {
        guard view.snapshot.state == .running else { return nil }
        let remaining = view.estimate?.estimate.remaining
        if let deadline {
            let finish = remaining.flatMap { remaining in view.estimate?.finish(after: remaining.p50) }
            guard max(finish ?? now, now) > deadline else { return nil }
            self.init(limit: .deadline(deadline), since: deadline)
            return
        }
        guard let usual, let remaining, let startedAt = view.snapshot.startedAt, let moment = view.estimate?.at else {
            return nil
        }
        let elapsed = Double(moment.microseconds - startedAt.microseconds) / 1e6
        guard elapsed + remaining.p50 > max(Self.marginFactor * usual.median, usual.longest),
            elapsed + remaining.p10 > usual.median
        else { return nil }
        self.init(limit: .usual(usual), since: startedAt)
    }

    private init(limit: Limit, since: Timestamp) {
        self.limit = limit
        self.since = since
    }
}
