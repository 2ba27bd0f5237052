/// A straight answer about a job: a short text, and the facts behind it.
///
/// It says how far the job is, when it will be done, what holds it up, whether the numbers can be trusted, and when to
/// ask again.
public struct JobAnswer: Hashable, Sendable {
    /// The answer in a few sentences.
    ///
    /// Names that come from the job are excerpts in quotation marks; see ``Name/quotation``.
    public var text: String
    /// Whether the job is running, or its outcome.
    public var state: JobState
    /// The job's progress; nil if no units are declared.
    public var percent: Int?
    /// The remaining time; nil without a prediction.
    public var remaining: Estimate.Remaining?
    /// The time of the end; nil without a prediction.
    public var finishAt: FinishTimes?
    /// The time since which the job is stalled; nil if it is not.
    public var stalledSince: Timestamp?
    /// The number of tasks with a last execution that failed.
    public var failedTasks: Int64
    /// The work that determines the end; nil without a prediction.
    public var waitingFor: AwaitedWork?
    /// The time after which the answer will have changed noticeably.
    public var askAgain: Duration

    /// Quantiles of the time of the end.
    public struct FinishTimes: Hashable, Sendable {
        public var p10: Timestamp
        public var p50: Timestamp
        public var p90: Timestamp

        public init(p10: Timestamp, p50: Timestamp, p90: Timestamp) {
            self.p10 = p10
            self.p50 = p50
            self.p90 = p90
        }
    }

    /// An indicator, and the running tasks that will probably end last.
    public struct AwaitedWork: Hashable, Sendable {
        /// The indicator; nil is the default one.
        public var label: Name?
        /// The tasks, the most probable one first.
        public var tasks: [Name]

        public init(label: Name?, tasks: [Name]) {
            self.label = label
            self.tasks = tasks
        }
    }

    public init(
        text: String, state: JobState, percent: Int?, remaining: Estimate.Remaining?, finishAt: FinishTimes?,
        stalledSince: Timestamp?, failedTasks: Int64, waitingFor: AwaitedWork?, askAgain: Duration
    ) {
        self.text = text
        self.state = state
        self.percent = percent
        self.remaining = remaining
        self.finishAt = finishAt
        self.stalledSince = stalledSince
        self.failedTasks = failedTasks
        self.waitingFor = waitingFor
        self.askAgain = askAgain
    }
}
