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
}
