/// The estimate of a job at a moment, with the names that it refers to.
public struct JobEstimate: Hashable, Sendable {
    /// The prediction, or the reason for none.
    public var estimate: Estimate
    /// The moment at which it was made.
    public var at: Timestamp
    /// The tasks of the running executions that will probably end last.
    public var waitingTasks: [Name]
    /// The track record of earlier jobs; nil without any.
    public var trackRecord: TrackRecord?

    /// The recent speeds of the indicators, by label.
    public var paces: [Name?: IndicatorPace]

    public init(
        _ estimate: Estimate, at: Timestamp, waitingTasks: [Name] = [], trackRecord: TrackRecord? = nil,
        paces: [Name?: IndicatorPace] = [:]
    ) {
        self.estimate = estimate
        self.at = at
        self.waitingTasks = waitingTasks
        self.trackRecord = trackRecord
        self.paces = paces
    }

    /// The end of the job after this many more seconds.
    ///
    /// At most ``Timestamp/latest``.
    public func finish(after seconds: Double) -> Timestamp {
        let left = Double(Timestamp.latest.microseconds - at.microseconds)
        let microseconds = seconds * .microsecondsPerSecond
        return microseconds < left ? Timestamp(microseconds: at.microseconds + Int64(microseconds)) : .latest
    }
}
