/// The recent speed of an indicator.
public struct IndicatorPace: Hashable, Sendable {
    /// The units done per second.
    public var rate: Double
    /// The time that the units left take at this rate, in seconds.
    ///
    /// Nil without a total, and at a rate of 0.
    public var remainingSeconds: Double?

    public init(rate: Double, remainingSeconds: Double?) {
        self.rate = rate
        self.remainingSeconds = remainingSeconds
    }
}

extension EstimateState {
    /// The speeds of the indicators of a running job at a moment.
    ///
    /// An indicator on which nothing was done yet has none.
    public func paces(of snapshot: Snapshot, at now: Timestamp) -> [Name?: IndicatorPace] {
        guard snapshot.state == .running, let startedAt = snapshot.startedAt else { return [:] }
        let jobSeconds = now.seconds(since: startedAt)
        let byKey = Dictionary(labels.map { ($0.key, $0) }) { first, _ in first }
        var paces: [Name?: IndicatorPace] = [:]
        for indicator in snapshot.indicators {
            guard let pattern = byKey[NameKey(indicator.label)], let last = pattern.lastAdvance,
                let rate = pattern.throughput.rate(after: now.seconds(since: last), jobSeconds: jobSeconds)
            else { continue }
            let left = max(0, Double(indicator.counted.total) - Double(indicator.counted.done))
            let isKnown = indicator.counted.total > 0 && (rate > 0 || left == 0)
            paces[indicator.label] = IndicatorPace(
                rate: rate, remainingSeconds: isKnown ? (left > 0 ? left / rate : 0) : nil)
        }
        return paces
    }
}
