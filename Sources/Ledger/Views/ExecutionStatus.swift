/// An execution and the last one of its task. They are equal if it is the last.
public struct ExecutionStatus: Hashable, Sendable {
    public var execution: ExecutionIdentity
    public var last: ExecutionIdentity

    public init(execution: ExecutionIdentity, last: ExecutionIdentity) {
        self.execution = execution
        self.last = last
    }

    /// Whether the execution is the last one, which counts.
    public var isLast: Bool { execution.sequence == last.sequence }
}
