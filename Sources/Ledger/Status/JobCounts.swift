/// Numbers of jobs for monitoring.
public struct JobCounts: Hashable, Sendable {
    /// Jobs that are running now.
    public var running: Int64
    /// Running jobs that do not advance.
    ///
    /// ``StallDetector`` finds them.
    public var stalled: Int64
    /// Running jobs after their deadlines.
    public var late: Int64
    /// Jobs that have failed within the last hour.
    public var failed: Int64

    public init(running: Int64 = 0, stalled: Int64 = 0, late: Int64 = 0, failed: Int64 = 0) {
        self.running = running
        self.stalled = stalled
        self.late = late
        self.failed = failed
    }

    static func + (one: JobCounts, other: JobCounts) -> JobCounts {
        JobCounts(
            running: one.running + other.running, stalled: one.stalled + other.stalled, late: one.late + other.late,
            failed: one.failed + other.failed)
    }

    /// The number of reasons to look at these jobs.
    fileprivate var troubles: Int64 { stalled + late + failed }
}

/// Numbers of jobs by name, for a limited number of names.
public struct JobCountsByName: Sendable {
    /// The maximum number of names. Each is four time series of a monitoring system.
    public static let namesMax = 100

    /// The names with the most troubled jobs, then those with the most running ones.
    public var names: [(name: Name, counts: JobCounts)]
    /// The sum of all other names.
    public var others: JobCounts

    /// Chooses the names.
    public init(_ counts: [Name: JobCounts]) {
        let ordered = counts.sorted { one, other in
            (-one.value.troubles, -one.value.running, one.key) < (
                -other.value.troubles, -other.value.running, other.key
            )
        }
        names = ordered.prefix(Self.namesMax).map { ($0.key, $0.value) }
        others = ordered.dropFirst(Self.namesMax).reduce(JobCounts()) { $0 + $1.value }
    }
}
