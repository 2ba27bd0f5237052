/// The times after which the running executions of a job are silent.
///
/// An execution is measured by its own reports. Before it has any, it is measured by executions of the same label, in
/// this job and in earlier ones, then by labels of the same stem. With none of them, ``unknownSeconds`` is the limit.
/// A lease replaces all of this: it is the job's own statement after how many seconds an execution is lost.
struct SilenceDetector {
    /// The limit of an execution that nothing is known about.
    static let unknownSeconds = 300.0
    /// The lowest limit without a lease.
    ///
    /// The clients repeat the start of an execution that has nothing to report after 30 s, and may need half as long to
    /// send it. Therefore a shorter silence says nothing about an execution that a client reports for.
    static let secondsMin = 45.0
    /// The number of an execution's own reports from which on they are a pattern.
    static let reportsMin: Int64 = 3

    private let state: EstimateState
    private let running: [RunningExecution]
    private let lease: Double?
    /// The limits of the known labels, by their indicators.
    private let labels: [IndicatorID: Double]
    /// The limit of an execution that has not shown its label.
    private let ofUnknownLabel: Double
    /// Whether executions of this job end.
    private let executionsEnd: Bool

    /// The limit for a longest observed silence.
    ///
    /// A silence three times as long as the longest of many is implausible. Of few observations, the longest one is
    /// itself uncertain.
    ///
    /// - Parameter count: The number of observations.
    static func limit(longest seconds: Double, count: Double) -> Double {
        max(secondsMin, 3 * (1 + 3 / max(1, count)) * seconds)
    }

    /// - Parameters:
    ///   - patterns: The patterns of the state, in order.
    ///   - running: The running executions that are considered.
    ///   - lease: The seconds of the tag `ledger.lease`; nil without it.
    init(
        _ state: EstimateState, _ patterns: [LabelPattern], _ running: [RunningExecution], _ snapshot: Snapshot,
        lease: Double?, history: EstimateHistory?
    ) {
        self.state = state
        self.running = running
        self.lease = lease
        executionsEnd = state.executionsEnd
        guard lease == nil else {
            (labels, ofUnknownLabel) = ([:], 0)
            return
        }
        var observed: [IndicatorID: (longest: Double, count: Double)] = [:]
        func add(_ seconds: Double, _ count: Double, to indicator: IndicatorID) {
            guard count > 0 else { return }
            let known = observed[indicator] ?? (0, 0)
            observed[indicator] = (max(known.longest, seconds), known.count + count)
        }
        for pattern in patterns {
            add(Double(secondsOf: pattern.longestQuiet), Double(pattern.samples), to: pattern.indicator)
            guard let known = history?.labels[pattern.key], known.longestQuiet > 0 else { continue }
            add(known.longestQuiet, known.executions, to: pattern.indicator)
        }
        for execution in running where execution.reports >= Self.reportsMin {
            guard let label = execution.shownPart?.indicator else { continue }
            add(Double(secondsOf: execution.longestQuiet), Double(execution.reports), to: label)
        }
        let ownLimits = observed.mapValues { Self.limit(longest: $0.longest, count: $0.count) }
        let all = Self.withStems(ownLimits, patterns, snapshot)
        labels = all.labels
        ofUnknownLabel = all.waiting.map { $0 ?? Self.unknownSeconds }.max() ?? Self.unknownSeconds
    }

    /// Adds the limits of labels without observations from those of the same stem.
    ///
    /// - Returns: The limits by indicator, and those of the indicators with work left.
    private static func withStems(
        _ limits: [IndicatorID: Double], _ patterns: [LabelPattern], _ snapshot: Snapshot
    ) -> (labels: [IndicatorID: Double], waiting: [Double?]) {
        var limits = limits
        let ids = Dictionary(patterns.map { ($0.key, $0.indicator) }) { first, _ in first }
        let indexed = snapshot.indicators.map { (indicator: $0, id: ids[NameKey($0.label)]) }
        var stems: [NameKey: Double] = [:]
        if limits.count < indexed.count {
            for (indicator, id) in indexed {
                guard let id, let limit = limits[id] else { continue }
                let stem = NameKey.Stems(of: indicator.label).whole
                stems[stem] = max(stems[stem] ?? 0, limit)
            }
        }
        var waiting: [Double?] = []
        for (indicator, id) in indexed {
            var limit = id.flatMap { limits[$0] }
            if limit == nil, !stems.isEmpty { limit = stems[NameKey.Stems(of: indicator.label).whole] }
            if let id { limits[id] = limit }
            if indicator.counted.done < indicator.counted.total { waiting.append(limit) }
        }
        return (limits, waiting)
    }

    /// The limit of an execution that is not considered, in seconds.
    var ofUntracked: Double { lease ?? ofUnknownLabel }

    private func limit(of execution: RunningExecution) -> Double {
        if execution.reports >= Self.reportsMin {
            return Self.limit(longest: Double(secondsOf: execution.longestQuiet), count: Double(execution.reports))
        }
        guard let label = execution.shownPart?.indicator else { return ofUnknownLabel }
        return labels[label] ?? Self.unknownSeconds
    }

    private func isOver(_ execution: RunningExecution) -> Bool { !executionsEnd && execution.hasDoneAll }

    /// The silent executions at a moment, in the order of their start.
    func silent(at now: Timestamp) -> [RunningExecution] {
        if let lease { return running.filter { now.seconds(since: $0.lastEventAt) > lease && !isOver($0) } }
        var planners: [RunningExecution] = []
        var silent: [RunningExecution] = []
        var longest = Self.unknownSeconds
        for execution in running {
            if execution.isOnlyDeclaring, !state.workersDeclare, execution.reports < Self.reportsMin {
                planners.append(execution)
                longest = max(longest, limit(of: execution))
                continue
            }
            if isOver(execution) { continue }
            let limit = limit(of: execution)
            longest = max(longest, limit)
            if now.seconds(since: execution.lastEventAt) > limit { silent.append(execution) }
        }
        // An execution that plans the work of others waits for them. It is as silent as the whole job.
        if let last = state.lastEventAt, now.seconds(since: last) > longest {
            silent = (silent + planners).sorted { $0.id < $1.id }
        }
        return silent
    }
}
