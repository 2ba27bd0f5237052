public import Ledger
package import LedgerWire

/// A page of a job's tasks.
public struct TasksPage: Hashable, Sendable {
    /// The sequence of the snapshot that contains the tasks.
    public let sequence: EventSequence
    public let tasks: [TaskSummary]
    /// The cursor of the next page; nil at the end.
    public let nextCursor: String?
}

extension TasksPage: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        var tasks: [TaskSummary] = []
        for element in try value.elements("tasks") { tasks.append(try TaskSummary(element)) }
        sequence = try value.sequence("sequence")
        self.tasks = tasks
        nextCursor = value["next_cursor"]?.text
    }
}
