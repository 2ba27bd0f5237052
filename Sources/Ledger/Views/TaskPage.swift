/// A page of a job's tasks, as of one sequence.
public struct TaskPage: Sendable {
    /// The last event in the snapshot to which the tasks belong.
    public var sequence: Int64
    /// The tasks, in the order of start.
    public var tasks: [TaskSummary]
    /// The `cursor` for the next page. `nil` if this is the last one.
    public var nextCursor: Int64?

    public init(sequence: Int64, tasks: [TaskSummary], nextCursor: Int64?) {
        self.sequence = sequence
        self.tasks = tasks
        self.nextCursor = nextCursor
    }

    /// The first events of all executions.
    public var firstEvents: [Int64] { tasks.flatMap { $0.executions.map(\.firstSequence) } }

    /// Sets the reporter of each execution.
    ///
    /// - Parameter reporters: The reporters of the executions' first events, by their sequences.
    public mutating func setReporters(_ reporters: [Int64: Name]) {
        for task in tasks.indices {
            for execution in tasks[task].executions.indices {
                let sequence = tasks[task].executions[execution].firstSequence
                tasks[task].executions[execution].reporter = reporters[sequence]
            }
        }
    }
}
