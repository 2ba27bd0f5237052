/// The history of an indicator: `total` and `done` over sequence and time.
public struct IndicatorHistory: Hashable, Sendable {
    /// The indicator's label; nil is the default indicator.
    public var label: Name?
    /// The last event that the history includes.
    public var sequence: EventSequence
    /// The points, in the order of their sequences.
    ///
    /// At most as many as were requested, or, if there are more decreases than that, the decreases with the first and
    /// the last point.
    public var points: [Point]

    public init(label: Name?, sequence: EventSequence, points: [Point]) {
        self.label = label
        self.sequence = sequence
        self.points = points
    }

    /// The value of the indicator after an event that changed it.
    public struct Point: Hashable, Sendable {
        public var sequence: EventSequence
        public var at: Timestamp
        public var counted: Units
        /// The cause of a decrease at this point; nil if no number decreased.
        public var cause: Cause?

        public init(sequence: EventSequence, at: Timestamp, counted: Units, cause: Cause? = nil) {
            self.sequence = sequence
            self.at = at
            self.counted = counted
            self.cause = cause
        }
    }

    /// The supersession that caused a decrease.
    ///
    /// A new execution began, and the units that the previous execution had counted no longer count.
    public struct Cause: Hashable, Sendable {
        public var task: Name
        /// The execution that began.
        public var execution: ExecutionIdentity
        /// The execution that it superseded.
        public var superseded: ExecutionIdentity
        /// The units that the superseded execution had counted on the indicator.
        public var lost: Units

        public init(task: Name, execution: ExecutionIdentity, superseded: ExecutionIdentity, lost: Units) {
            self.task = task
            self.execution = execution
            self.superseded = superseded
            self.lost = lost
        }
    }
}
