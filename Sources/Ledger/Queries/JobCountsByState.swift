/// The numbers of jobs by state, each up to a limit.
public struct JobCountsByState: Hashable, Sendable {
    /// The maximum count of one state.
    ///
    /// Counting a thousand jobs takes a few milliseconds.
    public static let countMax = 1_000
    /// The maximum number of jobs of one state that are examined, the newest ones.
    public static let examinedMax = 10_000

    /// The counts.
    public private(set) var counts: [JobState: Int] = [:]
    /// The states with more jobs than their count, or with jobs that were not examined.
    public private(set) var incomplete: Set<JobState> = []

    public init() {}

    /// Sets the count of a state.
    ///
    /// - Parameters:
    ///   - count: The number of matching jobs that were found.
    ///   - isIncomplete: Whether there may be more.
    public mutating func set(_ state: JobState, _ count: Int, isIncomplete: Bool) {
        counts[state] = min(count, Self.countMax)
        if isIncomplete || count > Self.countMax { incomplete.insert(state) }
    }

    public subscript(state: JobState) -> Int { counts[state] ?? 0 }
}
