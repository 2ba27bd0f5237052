extension TaskSummary {
    /// Why an execution does not count.
    public struct Supersession: Hashable, Sendable {
        /// The execution that took its place, or was last already when it began.
        public var by: ExecutionIdentity
        /// Whether that one was there already.
        public var isLate: Bool
    }

    /// Why this one of its executions does not count; nil for the one that does. By the executions that the summary
    /// holds: of a task with more, the superseder may be another than the first.
    public func supersession(of execution: ExecutionSummary) -> Supersession? {
        guard !execution.isCounted else { return nil }
        func isHigher(_ other: ExecutionSummary) -> Bool {
            (other.attempt, other.firstSequence) > (execution.attempt, execution.firstSequence)
        }
        let higher = executions.filter(isHigher)
        let earlier = higher.filter { $0.firstSequence < execution.firstSequence }
        let winner =
            earlier.max { ($0.attempt, $0.firstSequence) < ($1.attempt, $1.firstSequence) }
            ?? higher.min { $0.firstSequence < $1.firstSequence }
        return winner.map { winner in
            Supersession(
                by: ExecutionIdentity(execution: winner.name, attempt: winner.attempt, sequence: winner.firstSequence),
                isLate: !earlier.isEmpty)
        }
    }
}
