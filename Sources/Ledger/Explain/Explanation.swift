/// Why an indicator shows what it shows: where each unit that was reported on it went, as of a snapshot.
///
/// Over all its pages, the sums of its entries are the sums of the indicator, unit by unit.
public struct Explanation: Hashable, Sendable {
    /// The last event in the snapshot.
    public var sequence: Int64
    /// The indicator, with the conservation line: received = counted + superseded + discarded.
    public var indicator: IndicatorState
    /// The executions that reported on it: by task in the order in which tasks began, the highest of each at the end.
    public var entries: [Entry]
    /// Where the next page begins; nil at the end.
    public var nextCursor: Cursor?

    public init(sequence: Int64, indicator: IndicatorState, entries: [Entry], nextCursor: Cursor?) {
        self.sequence = sequence
        self.indicator = indicator
        self.entries = entries
        self.nextCursor = nextCursor
    }

    /// What one execution reported on the indicator.
    public struct Entry: Hashable, Sendable {
        public var task: Name
        public var execution: ExecutionIdentity
        /// The units of its events that were not discarded: they count while it is the last one of its task.
        public var reported: Units
        /// The units of its events that were discarded on arrival.
        public var discarded: Units
        /// Whether it counts, by the policy of the explanation.
        public var isCounted: Bool
        /// The execution that took its place, or was last already when it began. By a policy other than
        /// ``CountingPolicy/last``: the one of its task that counts instead. Nil where there is none.
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

        /// What of it is in the number that the snapshot shows.
        public var counted: Units { isCounted ? reported : .zero }
        /// What of it was done for nothing.
        public var superseded: Units { isCounted ? .zero : reported }
    }

    /// The place of an execution in the order of the entries.
    public struct Cursor: Hashable, Comparable, Sendable, CustomStringConvertible {
        public var task: Int64
        public var attempt: Int32
        public var execution: Int64

        public init(task: Int64, attempt: Int32, execution: Int64) {
            self.task = task
            self.attempt = attempt
            self.execution = execution
        }

        /// Reads what ``description`` writes; nil where it is anything else.
        public init?(_ text: String) {
            let parts = text.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 3, let task = Int64(parts[0]), let attempt = Int32(parts[1]),
                let execution = Int64(parts[2]), task >= 0, attempt >= 0, execution >= 0
            else { return nil }
            self.init(task: task, attempt: attempt, execution: execution)
        }

        public static func < (left: Cursor, right: Cursor) -> Bool {
            (left.task, left.attempt, left.execution) < (right.task, right.attempt, right.execution)
        }

        public var description: String { "\(task).\(attempt).\(execution)" }
    }
}
