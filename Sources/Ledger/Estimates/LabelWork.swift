/// The work that is left on one label.
struct LabelWork {
    let label: Name?
    let key: NameKey
    let done: Double
    /// The units left, also those that history expects to be declared.
    let left: Double
    /// The units declared.
    let total: Double
    /// The samples of this job; nil before the first report.
    let pattern: LabelPattern?
    /// The samples of earlier jobs.
    let inHistory: EstimateHistory.Label?
    /// The kind of work, for labels without samples.
    let stems: NameKey.Stems
    /// The index of its class in the simulation; nil if nothing is left on it.
    var classIndex: Int?

    /// Whether executions of this job or of an earlier one have finished on it.
    var hasSamples: Bool { samples > 0 || hasSamplesInHistory }
    var samples: Double { Double(pattern?.samples ?? 0) }
    var hasSamplesInHistory: Bool { inHistory?.quantiles.isEmpty == false }

    /// The mean units of an execution of this job; nil before the first sample.
    var meanUnits: Double? {
        guard let pattern, pattern.samples > 0 else { return nil }
        return pattern.meanUnits
    }

    /// The share of a job's duration after which a total must have grown to grow again.
    private static let growthShareMin = 0.02
    /// The time at which growth ends, as a multiple of the latest job's duration.
    private static let growthEnd = 1.2

    /// - Parameters:
    ///   - repeatsFailures: Whether failed work is repeated, so that what it did is still left.
    ///   - elapsed: The seconds since the job's first execution.
    init(
        _ indicator: Snapshot.Indicator, key: NameKey, _ pattern: LabelPattern?, _ history: EstimateHistory?,
        repeatsFailures: Bool,
        elapsed: Double
    ) {
        label = indicator.label
        self.key = key
        self.pattern = pattern
        inHistory = history?.labels[key]
        stems = NameKey.Stems(of: label)
        let repeated = repeatsFailures ? Double(pattern?.provisionalDone ?? 0) : 0
        done = max(0, Double(indicator.counted.done) - repeated)
        var total = Double(indicator.counted.total)
        if let inHistory {
            if total <= 0, done > 0 {
                total = max(inHistory.done, done)
            } else if inHistory.growthShare > Self.growthShareMin, inHistory.total > total {
                // The total grew late in earlier jobs, and will in this one, up to about their duration.
                let expected = 1 - elapsed / max(.divisorMin, Self.growthEnd * (history?.lastSeconds ?? 0))
                total += (inHistory.total - total) * expected.clamped(to: 0...1)
            }
        }
        self.total = total
        left = max(0, total - done)
    }
}
