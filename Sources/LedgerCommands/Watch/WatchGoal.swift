import ArgumentParser
import Ledger

/// A goal of `watch`: a percentage of an indicator or of the job.
///
/// It is written `LABEL>=PERCENT`; without a label it means the job's percentage.
struct WatchGoal: ExpressibleByArgument, Hashable {
    /// The label of the indicator; nil for the job as a whole.
    let label: Name?
    let percent: Int128

    init?(argument: String) {
        guard let range = argument.ranges(of: ">=").last else { return nil }
        var number = argument[range.upperBound...]
        if number.last == "%" { number.removeLast() }
        guard let percent = Int128(number), percent >= 0 else { return nil }
        self.percent = percent
        let label = String(argument[..<range.lowerBound])
        self.label = label.isEmpty ? nil : Name(label)
    }

    /// Whether the snapshot reaches the goal.
    func isReached(in snapshot: Snapshot) -> Bool {
        guard let label else { return snapshot.percent.map { Int128($0) >= percent } ?? false }
        return Self.indicator(label, of: snapshot)?.percent.map { $0 >= percent } ?? false
    }

    /// The label if the job has no such indicator (yet); nil otherwise.
    func missingLabel(in snapshot: Snapshot) -> Name? {
        label.flatMap { Self.indicator($0, of: snapshot) == nil ? $0 : nil }
    }

    /// The indicator with a label.
    ///
    /// `(default)` means the indicator without a label, unless an indicator has that label.
    private static func indicator(_ label: Name, of snapshot: Snapshot) -> Snapshot.Indicator? {
        let labelled = snapshot.indicators.first { $0.label == label }
        return labelled
            ?? (label.text == SnapshotText.unlabeled ? snapshot.indicators.first { $0.label == nil } : nil)
    }
}

/// A duration on the command line: `300`, `300s`, `5m`, `1h`.
struct DurationOption: ExpressibleByArgument, Hashable {
    let duration: Duration

    init?(argument: String) {
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3_600]
        var number = argument[...]
        var factor = 1
        if let last = number.last, let unit = units[last] {
            factor = unit
            number.removeLast()
        }
        guard let value = Int(number), (1...1_000_000).contains(value) else { return nil }
        duration = .seconds(value * factor)
    }
}

/// The conditions under which watching ends, with their exit codes.
struct WatchEnd: Hashable {
    let goals: [WatchGoal]
    let stalledTimeout: Duration?
    /// The time after which an idle job ends watching; see ``Snapshot/idleSince``.
    var idleTimeout: Duration?

    /// The exit code if this snapshot ends watching; nil otherwise.
    func status(after snapshot: Snapshot) -> ExitStatus? {
        !goals.isEmpty && goals.allSatisfy { $0.isReached(in: snapshot) } ? .done : nil
    }

    /// Remarks on goals for labels that do not exist yet, which may be misspelt.
    func remarks(on snapshot: Snapshot) -> [String] {
        let labels = snapshot.indicators.map { $0.label?.text ?? SnapshotText.unlabeled }
        let shown = labels.prefix(10).joined(separator: ", ") + (labels.count > 10 ? ", …" : "")
        return goals.compactMap { $0.missingLabel(in: snapshot) }.map { label in
            "The job has no indicator \(label.text) yet, which --until names. Its indicators: \(shown)."
        }
    }

    /// The exit code at the end of the job.
    func status(atEndOf snapshot: Snapshot) -> ExitStatus {
        if let status = status(after: snapshot) { return status }
        switch snapshot.state {
        case .failed: return .jobFailed
        case .canceled: return .jobCanceled
        case .completed, .running: return goals.isEmpty ? .done : .goalMissed
        }
    }

    /// Whether the job has been idle for the timeout, by the server's clock.
    func isIdle(_ snapshot: Snapshot, now: Timestamp) -> Bool {
        guard let idleTimeout, let since = snapshot.idleSince else { return false }
        return .microseconds(now.microseconds - since.microseconds) >= idleTimeout
    }

    /// Whether the job has not advanced for the timeout.
    func isStalled(since advancedAt: ContinuousClock.Instant, now: ContinuousClock.Instant) -> Bool {
        stalledTimeout.map { advancedAt.duration(to: now) >= $0 } ?? false
    }
}
