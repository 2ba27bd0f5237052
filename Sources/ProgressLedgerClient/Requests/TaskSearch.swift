public import Ledger

/// The criteria of a list of tasks, in the order of their start.
public struct TaskSearch: Hashable, Sendable {
    public var state: TaskState?
    /// Whether only tasks with a silent execution are listed.
    public var onlySilent = false
    /// The most tasks in the page; 100 by default, 1,000 at most.
    public var limit: Int?
    /// The start of the page: ``TasksPage/nextCursor`` of the previous one.
    public var cursor: String?

    public init() {}
}
