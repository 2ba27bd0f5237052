/// An execution and the last execution of its task.
public struct ExecutionStatus: Hashable, Sendable {
    /// The execution.
    public var execution: ExecutionIdentity
    /// The last execution of its task; the same one if it is the last.
    public var last: ExecutionIdentity

    public init(execution: ExecutionIdentity, last: ExecutionIdentity) {
        self.execution = execution
        self.last = last
    }

    /// Whether the execution is the last one, which counts.
    public var isLast: Bool { execution.id == last.id }
}
