extension TaskSummary {
    /// The reason why an execution does not count.
    public struct Supersession: Hashable, Sendable {
        /// The execution that superseded it, or that was last already when it began.
        public var by: ExecutionIdentity
        /// Whether that execution existed already when this one began.
        public var isLate: Bool
    }

    /// Returns the reason why an execution does not count; nil for the one that counts.
    ///
    /// It considers only the executions that the summary contains. For a task with more executions, the result may not
    /// be the first one that superseded it.
    public func supersession(of execution: ExecutionSummary) -> Supersession? {
        guard !execution.isCounted else { return nil }
        func isHigher(_ other: ExecutionSummary) -> Bool {
            (other.attempt, other.id) > (execution.attempt, execution.id)
        }
        let higher = executions.filter(isHigher)
        let earlier = higher.filter { $0.id < execution.id }
        let winner =
            earlier.max { ($0.attempt, $0.id) < ($1.attempt, $1.id) }
            ?? higher.min { $0.id < $1.id }
        return winner.map { winner in
            Supersession(
                by: ExecutionIdentity(execution: winner.name, attempt: winner.attempt, id: winner.id),
                isLate: !earlier.isEmpty)
        }
    }
}
