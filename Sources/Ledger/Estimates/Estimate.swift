/// A prediction of the remaining time of a running job, or the reason for none.
public struct Estimate: Hashable, Sendable {
    /// The remaining time; nil without grounds for one.
    public var remaining: Remaining?
    /// The grounds of the prediction.
    public var basis: Basis
    /// The indicator and the executions that determine the end.
    public var waitingFor: WaitingFor?
    /// The reason why there is no prediction.
    public var reason: Reason?

    /// Quantiles of the remaining time in seconds.
    ///
    /// Of ten jobs, eight should end between ``p10`` and ``p90``.
    public struct Remaining: Hashable, Sendable {
        public var p10: Double
        public var p50: Double
        public var p90: Double

        public init(p10: Double, p50: Double, p90: Double) {
            self.p10 = p10
            self.p50 = p50
            self.p90 = p90
        }
    }

    /// The grounds of a prediction.
    public enum Basis: String, Hashable, Sendable, CaseIterable {
        /// The job's own events.
        case job
        /// The job's own events and earlier jobs of the same name.
        case history
    }

    /// The work that determines the end of a job.
    public struct WaitingFor: Hashable, Sendable {
        /// The indicator; nil is the default one.
        public var label: Name?
        /// The running executions that will probably end last, by their first events.
        ///
        /// The most probable one is the first.
        public var executions: [ExecutionID]

        public init(label: Name?, executions: [ExecutionID]) {
            self.label = label
            self.executions = executions
        }
    }

    /// The reason why there is no prediction.
    public enum Reason: String, Hashable, Sendable, CaseIterable {
        /// The job has ended.
        case finished
        /// No units have been declared, and history does not know the job.
        case totalUnknown = "total_unknown"
        /// Nothing has been done yet, and history does not know the job.
        case noProgress = "no_progress"
        /// Everything that was declared has been done for some time.
        ///
        /// Nothing shows when the job will be ended.
        case allDone = "all_done"
        /// The job began before an upgrade, and its past has not been read yet.
        case pastUnknown = "past_unknown"
        /// The job began before an upgrade, and has too many executions.
        ///
        /// Its past is not read.
        case tooLarge = "too_large"
    }

    /// An estimate without a prediction.
    public static func none(_ reason: Reason) -> Estimate {
        Estimate(remaining: nil, basis: .job, waitingFor: nil, reason: reason)
    }

    public init(remaining: Remaining?, basis: Basis, waitingFor: WaitingFor?, reason: Reason?) {
        self.remaining = remaining
        self.basis = basis
        self.waitingFor = waitingFor
        self.reason = reason
    }
}
