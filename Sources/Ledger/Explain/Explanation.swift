/// The contributions of all executions to one indicator, as of a snapshot.
///
/// It accounts for each reported unit: over all pages, the entries add up exactly to the sums of the indicator.
public struct Explanation: Hashable, Sendable {
    /// The last event that the snapshot includes.
    public var sequence: EventSequence
    /// The indicator, for which received = counted + superseded + discarded.
    public var indicator: IndicatorState
    /// The executions that reported on the indicator.
    ///
    /// Tasks are in the order in which they began; the highest execution of each task is the last one.
    public var entries: [Entry]
    /// The beginning of the next page; nil on the last page.
    public var nextCursor: Cursor?

    public init(sequence: EventSequence, indicator: IndicatorState, entries: [Entry], nextCursor: Cursor?) {
        self.sequence = sequence
        self.indicator = indicator
        self.entries = entries
        self.nextCursor = nextCursor
    }

    /// The contribution of one execution to the indicator.
    public struct Entry: Hashable, Sendable {
        public var task: Name
        public var execution: ExecutionIdentity
        /// The units of its events that were not discarded.
        ///
        /// They count while it is the last execution of its task.
        public var reported: Units
        /// The units of its events that were discarded on arrival.
        public var discarded: Units
        /// Whether it counts, by the policy of the explanation.
        public var isCounted: Bool
        /// The execution that superseded it, or that was last already when it began.
        ///
        /// With a policy other than ``CountingPolicy/last``: the execution of its task that counts instead. Nil if
        /// there is none.
        public var supersededBy: ExecutionIdentity?

        public init(
            task: Name, execution: ExecutionIdentity, reported: Units, discarded: Units, isCounted: Bool,
            supersededBy: ExecutionIdentity?
        ) {
            self.task = task
            self.execution = execution
            self.reported = reported
            self.discarded = discarded
            self.isCounted = isCounted
            self.supersededBy = supersededBy
        }

        /// Its units that the snapshot counts.
        public var counted: Units { isCounted ? reported : .zero }
        /// Its units that were wasted.
        public var superseded: Units { isCounted ? .zero : reported }
    }

    /// The position of an execution in the order of the entries.
    public struct Cursor: Hashable, Comparable, Sendable, CustomStringConvertible {
        public var task: TaskID
        public var attempt: Int32
        public var execution: ExecutionID

        public init(task: TaskID, attempt: Int32, execution: ExecutionID) {
            self.task = task
            self.attempt = attempt
            self.execution = execution
        }

        /// The position before all executions.
        public static let start = Cursor(task: TaskID(0), attempt: 0, execution: ExecutionID(0))

        /// Parses a ``description``; nil if the text is anything else.
        public init?(_ text: String) {
            let parts = text.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 3, let task = EventSequence(parts[0]), let attempt = Int32(parts[1]),
                let execution = EventSequence(parts[2]), attempt >= 0
            else { return nil }
            self.init(task: TaskID(task), attempt: attempt, execution: ExecutionID(execution))
        }

        public static func < (left: Cursor, right: Cursor) -> Bool {
            (left.task, left.attempt, left.execution) < (right.task, right.attempt, right.execution)
        }

        public var description: String { "\(task.sequence).\(attempt).\(execution.sequence)" }
    }
}
