extension Snapshot.Indicator {
    /// How an indicator stands, where done and total alone do not tell.
    public enum Status: String, CaseIterable, Hashable, Sendable {
        /// No units are declared, and none are done.
        case empty
        /// Units are done, and nobody has said of how many.
        case unknown
        /// None of its units is done yet.
        case waiting
        /// Units are done, and there are more to do.
        case moving
        /// The same, but nothing has been heard of it for ``stalledAfter`` while the job runs.
        case stalled
        /// As many are done as there are.
        case complete
        /// More are done than there are.
        case over
    }

    /// How long nothing is heard of an indicator before it is called stalled, in microseconds. Reporters send what they
    /// have once a second, and a unit that takes longer than a minute is worth a look.
    public static let stalledAfter: Int64 = 60_000_000

    /// How it stands in a job of this state, at this time.
    public func standing(in state: JobState, at now: Timestamp) -> Status {
        let (done, total) = (counted.done, counted.total)
        if total == 0 { return done == 0 ? .empty : .unknown }
        if done >= total { return done == total ? .complete : .over }
        if done == 0 { return .waiting }
        let silence = now.microseconds - updatedAt.microseconds
        return state == .running && silence > Self.stalledAfter ? .stalled : .moving
    }
}

extension Snapshot {
    /// How far the job is in one figure: the mean of its indicators, since their units cannot be added up, in hundredths,
    /// rounded down.
    ///
    /// Of each indicator no more than all counts. One that declares nothing counts as not begun while the job runs, and
    /// not at all when it has ended. A running job is never at 100: there may be more to come. Nil where no indicator
    /// counts.
    public var percent: Int? {
        let shares = indicators.compactMap { indicator -> Int128? in
            let (done, total) = (indicator.counted.done, indicator.counted.total)
            guard total > 0 else { return state == .running ? 0 : nil }
            // A sum may be so large that ten thousand times as much is none that 128 bits hold.
            return total.dividingFullWidth(min(done, total).multipliedFullWidth(by: 10_000)).quotient
        }
        guard !shares.isEmpty else { return nil }
        let percent = Int(shares.reduce(0, +) / Int128(shares.count * 100))
        return state == .running ? min(percent, 99) : percent
    }
}
