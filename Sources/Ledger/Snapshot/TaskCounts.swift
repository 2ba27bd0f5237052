/// How many tasks a job has, by the state of their last executions, and how many executions.
public struct TaskCounts: Hashable, Sendable {
    /// Tasks whose last execution has no outcome while the job runs.
    public var running: Int64 = 0
    /// Tasks whose last execution succeeded.
    public var succeeded: Int64 = 0
    /// Tasks whose last execution failed.
    public var failed: Int64 = 0
    /// Tasks whose last execution was canceled.
    public var canceled: Int64 = 0
    /// Tasks whose last execution has no outcome although the job has ended.
    public var abandoned: Int64 = 0
    /// Executions of all tasks.
    public var executions: Int64 = 0

    public init() {}

    /// All tasks.
    public var total: Int64 { running + succeeded + failed + canceled + abandoned }
    /// Executions that are not the last of their task.
    public var supersededExecutions: Int64 { executions - total }

    /// The counts that readers see of a job in this state.
    public func shown(in job: JobState) -> TaskCounts {
        guard job != .running else { return self }
        var counts = self
        counts.abandoned += counts.running
        counts.running = 0
        return counts
    }

    /// How many tasks are in this state.
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
