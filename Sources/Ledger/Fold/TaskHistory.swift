/// The executions of one task, which tell for any event of the task what has become of it.
///
/// The fold decides which events are discarded, once and on arrival; whether the others count follows from the
/// executions alone, so no verdict need ever be stored or changed.
public struct TaskHistory: Sendable {
    /// What the executions tell of an event.
    public struct Classification: Hashable, Sendable {
        /// The execution that the event belongs to.
        public let execution: ExecutionIdentity
        /// Whether its execution was superseded already when it arrived.
        public let isLate: Bool
        /// The execution that was last on arrival, or the one that first took its execution's place.
        public let supersededBy: ExecutionIdentity?
    }

    private let executions: [Execution]
    /// For each of the executions, the position of the highest among it and those before it.
    private let lastPositions: [Int]
    private let byName: [Name: Int]
    private let byAttempt: [Int32: Int]
    private let bySequence: [Int64: Int]

    /// The history of these executions, which are all of one task.
    public init(_ executions: [Execution]) {
        let ordered = executions.sorted { $0.sequence < $1.sequence }
        var lastPositions: [Int] = []
        var byName: [Name: Int] = [:]
        var byAttempt: [Int32: Int] = [:]
        var bySequence: [Int64: Int] = [:]
        for (position, execution) in ordered.enumerated() {
            let last = lastPositions.last ?? position
            lastPositions.append(execution.rank > ordered[last].rank ? position : last)
            if let name = execution.name { byName[name] = position }
            if byAttempt[execution.attempt] == nil { byAttempt[execution.attempt] = position }
            bySequence[execution.sequence] = position
        }
        self.executions = ordered
        self.lastPositions = lastPositions
        self.byName = byName
        self.byAttempt = byAttempt
        self.bySequence = bySequence
    }

    /// The execution that a reference of this task means; nil where the fold has not met it.
    public func execution(of reference: ExecutionReference) -> Execution? {
        position(of: reference).map { executions[$0] }
    }

    /// The last execution of the task; nil where there is none.
    public var last: Execution? { lastPositions.last.map { executions[$0] } }

    /// What became of the event with this reference at this sequence; nil where the fold has not met its execution.
    /// Costs a binary search.
    public func classification(of reference: ExecutionReference, at sequence: Int64) -> Classification? {
        guard let position = position(of: reference), executions[position].sequence <= sequence else { return nil }
        let execution = executions[position]
        let known = executions.partitioningIndex { $0.sequence > sequence }
        let lastOnArrival = lastPositions[known - 1]
        if lastOnArrival != position {
            return Classification(
                execution: execution.identity, isLate: true, supersededBy: executions[lastOnArrival].identity)
        }
        let successor = execution.supersededBy.flatMap { bySequence[$0] }
        return Classification(
            execution: execution.identity, isLate: false, supersededBy: successor.map { executions[$0].identity })
    }

    private func position(of reference: ExecutionReference) -> Int? {
        if let name = reference.execution { return byName[name] }
        return byAttempt[reference.attempt ?? 1]
    }
}
