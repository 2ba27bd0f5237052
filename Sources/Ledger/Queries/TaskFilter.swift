/// A filter of tasks, and their order: a task must match every given value.
public struct TaskFilter: Hashable, Sendable {
    /// The state of the task.
    public var state: TaskState?
    /// Whether its last execution must be silent.
    public var onlySilent: Bool
    /// The exact name; at most one task has it.
    public var name: Name?
    /// A part of the name, ignoring case.
    public var search: Name?
    /// The order of the tasks.
    public var order: TaskOrder

    public init(
        state: TaskState? = nil, onlySilent: Bool = false, name: Name? = nil, search: Name? = nil,
        order: TaskOrder = .started
    ) {
        self.state = state
        self.onlySilent = onlySilent
        self.name = name
        self.search = search
        self.order = order
    }

    /// Whether a task has a name that matches.
    func matchesName(_ task: Name) -> Bool {
        (name.map { $0 == task } ?? true) && (search.map { task.contains($0) } ?? true)
    }
}

/// An order of tasks.
///
/// Those of ``isPaged`` can be continued with a cursor. The others sort all tasks of the job by values that change, and
/// return only the first ones.
public enum TaskOrder: String, CaseIterable, Hashable, Sendable {
    /// The task that began first is the first one.
    case started
    /// The task that began last is the first one.
    case newest
    /// By name, in the order of Unicode scalars.
    case name
    /// The task with the most executions is the first one.
    case attempts
    /// The task with the longest last execution is the first one.
    ///
    /// A running execution has taken until now.
    case longest
    /// The running task with the oldest last event is the first one.
    ///
    /// Tasks that have ended are behind all running ones.
    case quietest

    /// Whether the list can be continued with a cursor.
    public var isPaged: Bool { self == .started || self == .newest }
}
