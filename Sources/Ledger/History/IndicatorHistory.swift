/// How an indicator came to its numbers: `total` and `done` over sequence and time.
public struct IndicatorHistory: Hashable, Sendable {
    /// The indicator; nil is the default one.
    public var label: Name?
    /// The last event in it.
    public var sequence: Int64
    /// In the order of sequences: as many as were asked for, or the decreases with the first and the last point.
    public var points: [Point]

    public init(label: Name?, sequence: Int64, points: [Point]) {
        self.label = label
        self.sequence = sequence
        self.points = points
    }

    /// What the indicator showed after an event that changed it.
    public struct Point: Hashable, Sendable {
        public var sequence: Int64
        public var at: Timestamp
        public var counted: Units
        /// Why a number fell here; nil where none did.
        public var cause: Cause?

        public init(sequence: Int64, at: Timestamp, counted: Units, cause: Cause? = nil) {
            self.sequence = sequence
            self.at = at
            self.counted = counted
            self.cause = cause
        }
    }

    /// A run began, and what the run before it had counted no longer does.
    public struct Cause: Hashable, Sendable {
        public var task: Name
        /// The run that began.
        public var execution: ExecutionIdentity
        /// The run whose place it took.
        public var superseded: ExecutionIdentity
        /// What that one had counted on the indicator.
        public var lost: Units

        public init(task: Name, execution: ExecutionIdentity, superseded: ExecutionIdentity, lost: Units) {
            self.task = task
            self.execution = execution
            self.superseded = superseded
            self.lost = lost
        }
    }
}
