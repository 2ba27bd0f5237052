import ArgumentParser
import Ledger

/// What is waited for: that an indicator, or the job, is so far. `LABEL>=PERCENT`; without a label, the job's figure.
struct WatchGoal: ExpressibleByArgument, Hashable {
    /// The indicator; nil is the job as a whole.
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

    /// Whether the job is so far.
    func isReached(in snapshot: Snapshot) -> Bool {
        guard let label else { return snapshot.percent.map { Int128($0) >= percent } ?? false }
        return Self.indicator(label, of: snapshot)?.percent.map { $0 >= percent } ?? false
    }

    /// The label, where the job has no such indicator, or not yet.
    func missingLabel(in snapshot: Snapshot) -> Name? {
        label.flatMap { Self.indicator($0, of: snapshot) == nil ? $0 : nil }
    }

    /// The indicator without a label is meant by `(default)`, where none has it for a label.
    private static func indicator(_ label: Name, of snapshot: Snapshot) -> Snapshot.Indicator? {
        let labelled = snapshot.indicators.first { $0.label == label }
        return labelled
            ?? (label.text == SnapshotText.unlabeled ? snapshot.indicators.first { $0.label == nil } : nil)
    }
}

/// A length of time on the command line: `300`, `300s`, `5m`, `1h`.
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

/// When watching ends, and with which code.
struct WatchEnd: Hashable {
    let goals: [WatchGoal]
    let stalledTimeout: Duration?

    /// What a snapshot ends watching with; nil where it goes on.
    func status(after snapshot: Snapshot) -> ExitStatus? {
        !goals.isEmpty && goals.allSatisfy { $0.isReached(in: snapshot) } ? .done : nil
    }

    /// What to say of goals that this snapshot knows nothing of: they may be misspelt, or still to come.
    func remarks(on snapshot: Snapshot) -> [String] {
        let known = snapshot.indicators.map { $0.label?.text ?? SnapshotText.unlabeled }
        let shown = known.prefix(10).joined(separator: ", ") + (known.count > 10 ? ", …" : "")
        return goals.compactMap { $0.missingLabel(in: snapshot) }.map { label in
            "The job has no indicator \(label.text) yet, which --until names; it has \(shown)."
        }
    }

    /// What the end of the job ends watching with.
    func status(atEndOf snapshot: Snapshot) -> ExitStatus {
        if let status = status(after: snapshot) { return status }
        switch snapshot.state {
        case .failed: return .jobFailed
        case .canceled: return .jobCanceled
        case .completed, .running: return goals.isEmpty ? .done : .goalMissed
        }
    }

    /// Whether nothing has advanced for too long.
    func isStalled(since advancedAt: ContinuousClock.Instant, now: ContinuousClock.Instant) -> Bool {
        stalledTimeout.map { advancedAt.duration(to: now) >= $0 } ?? false
    }
}
