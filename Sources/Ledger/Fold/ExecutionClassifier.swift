/// Classifies the events of one task by the task's executions.
///
/// The fold decides once, on arrival, which events are discarded. Whether the others count follows from the executions
/// alone, so no verdict need ever be stored or changed.
public struct ExecutionClassifier: Sendable {
    /// The classification of an event that was not discarded.
    public struct Classification: Hashable, Sendable {
        /// The execution that the event belongs to.
        public let execution: ExecutionIdentity
        /// Whether its execution was superseded already when the event arrived.
        public let isLate: Bool
        /// The execution that superseded its execution.
        ///
        /// For a late event: the execution that was last on arrival. Otherwise the first one that superseded its
        /// execution.
        public let supersededBy: ExecutionIdentity?
    }

    private let executions: [Execution]
    /// The position of the highest execution among each execution and those before it.
    private let lastPositions: [Int]
    private let byName: [Name: Int]
    private let byAttempt: [Int32: Int]
    private let byID: [ExecutionID: Int]

    /// Creates a classifier from the executions of one task.
    public init(_ executions: [Execution]) {
        let ordered = executions.sorted { $0.id < $1.id }
        var lastPositions: [Int] = []
        var byName: [Name: Int] = [:]
        var byAttempt: [Int32: Int] = [:]
        var byID: [ExecutionID: Int] = [:]
        for (position, execution) in ordered.enumerated() {
            let last = lastPositions.last ?? position
            lastPositions.append(execution.rank > ordered[last].rank ? position : last)
            if let name = execution.name { byName[name] = position }
            if byAttempt[execution.attempt] == nil { byAttempt[execution.attempt] = position }
            byID[execution.id] = position
        }
        self.executions = ordered
        self.lastPositions = lastPositions
        self.byName = byName
        self.byAttempt = byAttempt
        self.byID = byID
    }

    /// Returns the execution of a reference; nil if the fold has not reached it.
    public func execution(of reference: ExecutionReference) -> Execution? {
        position(of: reference).map { executions[$0] }
    }

    /// The last execution of the task; nil if it has none.
    public var last: Execution? { lastPositions.last.map { executions[$0] } }

    /// Returns the classification of the event with this reference and sequence.
    ///
    /// Costs a binary search.
    ///
    /// - Returns: nil if the fold has not reached its execution.
    public func classification(of reference: ExecutionReference, at sequence: EventSequence) -> Classification? {
        guard let position = position(of: reference), executions[position].id.sequence <= sequence else { return nil }
        let execution = executions[position]
        let arrivedCount = executions.partitioningIndex { $0.id.sequence > sequence }
        let lastOnArrival = lastPositions[arrivedCount - 1]
        if lastOnArrival != position {
            return Classification(
                execution: execution.identity, isLate: true, supersededBy: executions[lastOnArrival].identity)
        }
        let successor = execution.supersededBy.flatMap { byID[$0] }
        return Classification(
            execution: execution.identity, isLate: false, supersededBy: successor.map { executions[$0].identity })
    }

    private func position(of reference: ExecutionReference) -> Int? {
        if let name = reference.execution { return byName[name] }
        return byAttempt[reference.attempt ?? 1]
    }
}
