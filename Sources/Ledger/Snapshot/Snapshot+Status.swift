extension Snapshot.Indicator {
    /// The status of an indicator, for display.
    public enum Status: String, CaseIterable, Hashable, Sendable {
        /// No units are declared, and none are done.
        case empty
        /// Units are done, but their total was never declared.
        case unknown
        /// None of its units is done yet.
        case waiting
        /// Some of its units are done.
        case moving
        /// As `moving`, but without an advance for longer than plausible.
        ///
        /// ``StallDetector`` finds it.
        case stalled
        /// All of its units are done.
        case complete
        /// More units are done than were declared.
        case over
    }

    /// Returns the indicator's status.
    public func status(isStalled: Bool) -> Status {
        let (done, total) = (counted.done, counted.total)
        if total == 0 { return done == 0 ? .empty : .unknown }
        if done >= total { return done == total ? .complete : .over }
        if done == 0 { return .waiting }
        return isStalled ? .stalled : .moving
    }
}

extension Snapshot {
    /// The time since which the job is idle; nil if it is not.
    ///
    /// All tasks of an idle job have ended, and the job has not; a job without tasks is not idle. It is the time of the
    /// last event, because a late event shows that something still works.
    public var idleSince: Timestamp? {
        state == .running && tasks.total > 0 && tasks.running == 0 ? updatedAt : nil
    }

    /// The job's progress: the mean of its indicators' percentages, rounded down.
    ///
    /// It is a mean because the units of indicators differ and cannot be added up. Each indicator counts at most 100.
    /// An indicator without a total counts as 0 while the job is running, and is left out when the job has ended. A
    /// running job shows at most 99, because more work may follow. Nil if no indicator counts.
    public var percent: Int? { PercentageSum(indicators.lazy.map(\.counted)).percent(in: state) }
}
