/// The tasks of a job by state, and the number of its executions.
///
/// A task has the state of its last execution.
public struct TaskCounts: Hashable, Sendable {
    /// Tasks with a last execution that has no outcome while the job is running.
    public var running: Int64 = 0
    /// Tasks with a last execution that succeeded.
    public var succeeded: Int64 = 0
    /// Tasks with a last execution that failed.
    public var failed: Int64 = 0
    /// Tasks with a last execution that was canceled.
    public var canceled: Int64 = 0
    /// Tasks with a last execution that has no outcome although the job has ended.
    public var abandoned: Int64 = 0
    /// The executions of all tasks.
    public var executions: Int64 = 0

    public init() {}

    /// All tasks.
    public var total: Int64 { running + succeeded + failed + canceled + abandoned }
    /// The executions that are not the last one of their task.
    public var supersededExecutions: Int64 { executions - total }

    /// Returns the counts that readers see for a job in this state.
    public func shown(in job: JobState) -> TaskCounts {
        guard job != .running else { return self }
        var counts = self
        counts.abandoned += counts.running
        counts.running = 0
        return counts
    }

    /// The number of tasks in this state.
    public subscript(state: TaskState) -> Int64 {
        get {
            switch state {
            case .running: running
            case .succeeded: succeeded
            case .failed: failed
            case .canceled: canceled
            case .abandoned: abandoned
            }
        }
        set {
            switch state {
            case .running: running = newValue
            case .succeeded: succeeded = newValue
            case .failed: failed = newValue
            case .canceled: canceled = newValue
            case .abandoned: abandoned = newValue
            }
        }
    }
}
