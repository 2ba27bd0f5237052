/// The silent executions of a job at a moment.
public struct JobSilence: Sendable {
    /// The silent executions that the state contains.
    public let executions: Set<ExecutionID>
    /// All running executions that the state contains.
    private let tracked: Set<ExecutionID>
    /// The seconds after which the other running executions are silent.
    ///
    /// Nil if there are none.
    private let limitOfOthers: Double?
    private let now: Timestamp

    /// No execution is silent.
    public static let none = JobSilence(silent: [], tracked: [], limitOfOthers: nil, at: .earliest)

    init(silent: [RunningExecution], tracked: [RunningExecution], limitOfOthers: Double?, at now: Timestamp) {
        executions = Set(silent.map(\.id))
        self.tracked = Set(tracked.map(\.id))
        self.limitOfOthers = limitOfOthers
        self.now = now
    }

    /// Whether ``executions`` are all silent ones.
    ///
    /// A state contains at most 512 running executions. The others are judged by the times of their last events.
    public var isComplete: Bool { limitOfOthers == nil }

    /// The time since which a running execution is silent; nil if it is not.
    ///
    /// - Parameters:
    ///   - execution: It must be the last execution of its task.
    ///   - lastAt: The time of its last event.
    public func since(_ execution: ExecutionID, lastAt: Timestamp) -> Timestamp? {
        if tracked.contains(execution) { return executions.contains(execution) ? lastAt : nil }
        guard let limitOfOthers else { return nil }
        return now.seconds(since: lastAt) > limitOfOthers ? lastAt : nil
    }
}
