/// A page of a job's tasks, as of one sequence.
public struct TaskPage: Sendable {
    /// The last event in the snapshot to which the tasks belong.
    public var sequence: EventSequence
    /// The tasks, in the order of start.
    public var tasks: [TaskSummary]
    /// The `cursor` for the next page. `nil` if this is the last one.
    public var nextCursor: TaskID?

    public init(sequence: EventSequence, tasks: [TaskSummary], nextCursor: TaskID?) {
        self.sequence = sequence
        self.tasks = tasks
        self.nextCursor = nextCursor
    }

    /// The events that contain the reporters, messages and links of all executions.
    public var notedEvents: [EventSequence] { tasks.flatMap { $0.executions.flatMap(\.notedEvents) } }

    /// Sets the reporter, the message and the link of each execution.
    ///
    /// - Parameter notes: Those of ``notedEvents``, by their sequences.
    public mutating func setNotes(_ notes: [EventSequence: EventNotes]) {
        for task in tasks.indices {
            for execution in tasks[task].executions.indices { tasks[task].executions[execution].setNotes(notes) }
        }
    }
}
