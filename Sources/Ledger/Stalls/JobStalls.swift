/// The parts of a job that do not advance, at a moment.
public struct JobStalls: Hashable, Sendable {
    /// The time of the last advance of a job that is stalled; nil if it is not.
    public var since: Timestamp?
    /// The last time at which counted units were done, stalled or not.
    ///
    /// Nil before, and where it is not known.
    public var lastAdvance: Timestamp?
    /// The number of silent executions.
    public var silentCount: Int64
    /// The time of the last advance of each stalled indicator, by its label.
    public var indicators: [Name?: Timestamp]

    /// Nothing is stalled or silent.
    public static let none = JobStalls()

    public init(
        since: Timestamp? = nil, lastAdvance: Timestamp? = nil, silentCount: Int64 = 0,
        indicators: [Name?: Timestamp] = [:]
    ) {
        self.since = since
        self.lastAdvance = lastAdvance
        self.silentCount = silentCount
        self.indicators = indicators
    }

    /// Whether nothing is stalled or silent.
    public var isNone: Bool { since == nil && silentCount == 0 && indicators.isEmpty }

    /// The time of the last advance of an indicator that is stalled; nil for others.
    public func since(_ indicator: Snapshot.Indicator) -> Timestamp? { indicators[indicator.label] }
}
