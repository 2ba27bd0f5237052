/// Finds out whether a job is stalled and which of its executions are silent.
///
/// It is a pure function of the job's events up to a moment, the moment, and the history of its name, like
/// ``Estimator``. A job is stalled if it has not advanced for several times as long as ever before, and if its running
/// executions make that implausible, too. Both are necessary: the longest gap of a young job says little, and the
/// tails of durations are longer than those of any model.
///
/// An ordinary decision costs some microseconds. Only a job with an unusually long gap is described in detail, which
/// costs a tenth of a millisecond.
public struct StallDetector: Sendable {
    private let state: EstimateState
    private let patterns: [LabelPattern]
    /// The running executions that are considered.
    private let running: [RunningExecution]
    private let snapshot: Snapshot
    private let history: EstimateHistory?
    private let lease: Double?

    /// The fewest advances that show a pattern.
    private static let advancesMin: Int64 = 3
    /// The multiple of the longest gap from which on a gap is long.
    ///
    /// With earlier jobs it is lower. While a declared label has never been worked on, the next step may be of a new
    /// kind, and it is higher.
    private static let gapFactor = (usual: 4.0, withHistory: 3.0, withUnseenWork: 8.0)
    /// The same without any running execution that shows when it would advance.
    private static let gapFactorAlone = 16.0
    private static let advancesMinAlone: Int64 = 10
    /// The number of advances that earlier jobs are worth.
    private static let advancesOfHistory = 5.0
    /// The shortest gap that is a stall, in seconds.
    ///
    /// Clients collect reports for a second, and deliver them late after a short outage.
    private static let secondsMin = 10.0
    /// The longest gap that running executions can explain.
    ///
    /// It is a multiple of the job's time before the gap. Otherwise a job that waits for its last, unusually long
    /// execution would never be stalled.
    private static let elapsedFactor = 2.0
    /// The maximum number of indicators that are examined in detail.
    private static let indicatorsMax = 64

    /// - Parameters:
    ///   - state: The state as of the snapshot.
    ///   - description: The job, for the tag `ledger.lease`.
    ///   - history: The merged summaries of earlier jobs; nil without any.
    public init(_ state: EstimateState, _ snapshot: Snapshot, of description: JobDescription, history: EstimateHistory?)
    {
        self.state = state
        patterns = state.labels
        running = Array(state.consideredExecutions)
        self.snapshot = snapshot
        self.history = history.flatMap { $0.runs > 0 ? $0 : nil }
        lease = description.leaseSeconds.map { Double($0) }
    }

    /// The stalls at a moment, not before the last event of the snapshot.
    public func stalls(at now: Timestamp) -> JobStalls {
        guard snapshot.state == .running, let startedAt = snapshot.startedAt else { return .none }
        var stalls = JobStalls(lastAdvance: state.lastAdvance, silentCount: Int64(silentCount(at: now)))
        guard state.workers > 0 else { return stalls }
        // Almost always no gap is long, not even against the lowest multiple.
        let lowest = knowsGaps ? Self.gapFactor.withHistory : Self.gapFactor.usual
        guard isJobLate(lowest, at: now) || patterns.contains(where: { isLate($0, lowest, at: now) }) else {
            return stalls
        }
        let factor = gapFactor
        let isJobLate = isJobLate(factor, at: now)
        let late = lateIndicators(factor, at: now)
        guard isJobLate || !late.isEmpty else { return stalls }
        let estimator = Estimator(state, snapshot, history: history, startedTasks: [])
        let model = AdvanceModel(estimator, at: now, startedAt: startedAt)
        if isJobLate, let last = state.lastAdvanceSinceReopening, model.isWorkLeft,
            isImplausible(state.gaps, since: last, on: nil, model, at: now)
                || factor < Self.gapFactor.withUnseenWork
                    && now.seconds(since: last) >= Self.elapsedFactor * last.seconds(since: startedAt)
        {
            stalls.since = last
        }
        guard !late.isEmpty else { return stalls }
        for (label, pattern) in late {
            guard let last = state.lastAdvance(of: pattern) else { continue }
            if isImplausible(pattern.gaps, since: last, on: .some(label), model, at: now) {
                stalls.indicators[label] = last
            }
        }
        return stalls
    }

    /// The silent executions at a moment.
    public func silence(at now: Timestamp) -> JobSilence {
        guard snapshot.state == .running, !running.isEmpty else { return .none }
        let limits = limits
        return JobSilence(
            silent: limits.silent(at: now), tracked: running,
            limitOfOthers: state.runningCount > Int64(running.count) ? limits.ofUntracked : nil, at: now)
    }

    private func silentCount(at now: Timestamp) -> Int {
        guard mayBeSilent(at: now) else { return 0 }
        return limits.silent(at: now).count
    }

    private var limits: SilenceDetector {
        SilenceDetector(state, patterns, running, snapshot, lease: lease, history: history)
    }

    /// Whether any execution has sent no event for the shortest limit.
    private func mayBeSilent(at now: Timestamp) -> Bool {
        let shortest = lease ?? SilenceDetector.secondsMin
        return running.contains { now.seconds(since: $0.lastEventAt) > shortest }
    }

    /// Whether anything may be stalled or silent.
    ///
    /// If not, the history of the job need not be read: earlier jobs change nothing.
    public func mayFind(at now: Timestamp) -> Bool {
        guard snapshot.state == .running, !running.isEmpty else { return false }
        func isQuiet(_ advance: Timestamp?) -> Bool {
            advance.map { now.seconds(since: $0) >= Self.secondsMin } ?? false
        }
        return mayBeSilent(at: now) || isQuiet(state.lastAdvanceSinceReopening)
            || patterns.contains { isQuiet(state.lastAdvance(of: $0)) }
    }

    /// Whether the job with this state may be stalled.
    ///
    /// Decides by the part of the state that concerns the job as a whole. If it is false, ``stalls(at:)`` finds no
    /// stall of the job, whatever else is known.
    public static func mayBeStalled(_ state: EstimateState, at now: Timestamp) -> Bool {
        state.workers > 0
            && isLong(state.gaps, gapFactor.withHistory, since: state.lastAdvanceSinceReopening, 0, at: now)
    }

    /// Whether the gaps of earlier jobs are known.
    ///
    /// Summaries of earlier versions do not have them.
    private var knowsGaps: Bool { history.map { $0.longestGap > 0 } ?? false }

    private var gapFactor: Double {
        guard !knowsGaps else { return Self.gapFactor.withHistory }
        let seen = Set(patterns.filter { $0.samples > 0 }.map(\.key))
        let isUnseen = snapshot.indicators.contains {
            $0.counted.total > $0.counted.done && !seen.contains(NameKey($0.label))
        }
        return isUnseen ? Self.gapFactor.withUnseenWork : Self.gapFactor.usual
    }

    private func isJobLate(_ factor: Double, at now: Timestamp) -> Bool {
        Self.isLong(
            state.gaps, factor, since: state.lastAdvanceSinceReopening, history?.longestGap ?? 0, at: now)
    }

    private func isLate(_ label: LabelPattern, _ factor: Double, at now: Timestamp) -> Bool {
        Self.isLong(label.gaps, factor, since: state.lastAdvance(of: label), 0, at: now)
    }

    /// Whether the time since the last advance is long against the gaps before.
    private static func isLong(
        _ gaps: AdvanceGaps, _ factor: Double, since last: Timestamp?, _ known: Double, at now: Timestamp
    ) -> Bool {
        guard let last, gaps.count >= advancesMin else { return false }
        return now.seconds(since: last) >= max(secondsMin, factor * max(Double(secondsOf: gaps.longest), known))
    }

    /// The indicators with work left and a long gap, with their patterns.
    private func lateIndicators(_ factor: Double, at now: Timestamp) -> [(label: Name?, pattern: LabelPattern)] {
        let late = patterns.filter { isLate($0, factor, at: now) }
        guard !late.isEmpty else { return [] }
        let lateByKey = Dictionary(late.map { ($0.key, $0) }) { first, _ in first }
        var found: [(Name?, LabelPattern)] = []
        for indicator in snapshot.indicators where found.count < Self.indicatorsMax {
            guard indicator.counted.total > indicator.counted.done || indicator.counted.total == 0,
                let pattern = lateByKey[NameKey(indicator.label)]
            else { continue }
            found.append((indicator.label, pattern))
        }
        return found
    }

    /// Whether the running executions would have advanced by now.
    private func isImplausible(
        _ gaps: AdvanceGaps, since last: Timestamp, on label: Name??, _ model: AdvanceModel, at now: Timestamp
    ) -> Bool {
        let count = Double(gaps.count) + (history == nil ? 0 : Self.advancesOfHistory)
        let limit = 0.1 / (count + 10)
        if let probability = model.probabilityOfNoAdvance(since: last, on: label, below: limit) {
            return probability < limit
        }
        // An indicator that nothing works on is waiting.
        guard label == nil, gaps.count >= Self.advancesMinAlone else { return false }
        return now.seconds(since: last) >= Self.gapFactorAlone * Double(secondsOf: gaps.longest)
    }
}

extension EstimateState {
    /// The later of the last advance and the reopening of the job.
    ///
    /// No time passes for a job that has ended. Nil before the first advance.
    fileprivate var lastAdvanceSinceReopening: Timestamp? { later(of: lastAdvance) }

    /// The same of a label.
    fileprivate func lastAdvance(of label: LabelPattern) -> Timestamp? { later(of: label.lastAdvance) }

    private func later(of advance: Timestamp?) -> Timestamp? { advance.map { max($0, reopenedAt ?? $0) } }
}
