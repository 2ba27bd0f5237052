/// The executions of all tasks of a job over time, aggregated by intervals.
///
/// Its size does not depend on the number of executions, so a job of a hundred thousand tasks can be drawn.
public struct ExecutionTimeline: Hashable, Sendable {
    /// A kind of executions, which a timeline counts apart from others.
    public struct Kind: Hashable, Sendable {
        /// Whether it is the last execution of its task, which is the one that counts.
        public var isCounted: Bool
        /// Its outcome; nil while it has none.
        public var outcome: ExecutionOutcome?

        public init(isCounted: Bool, outcome: ExecutionOutcome?) {
            self.isCounted = isCounted
            self.outcome = outcome
        }
    }

    /// Executions of one kind with common intervals.
    ///
    /// They began in the same interval, and ended in the same one.
    public struct Group: Hashable, Sendable {
        public var kind: Kind
        /// The index of the interval in which they began.
        public var first: Int
        /// The index of the interval in which they ended, or of the last interval.
        public var last: Int
        public var count: Int64
        /// The sum of their starts, in microseconds since the interval `first` began.
        public var starts: Double
        /// The sum of their ends, in microseconds since the interval `last` began.
        public var ends: Double

        public init(kind: Kind, first: Int, last: Int, count: Int64, starts: Double, ends: Double) {
            self.kind = kind
            self.first = first
            self.last = last
            self.count = count
            self.starts = starts
            self.ends = ends
        }
    }

    /// The times at which the intervals begin, ascending.
    public let bounds: [Timestamp]
    /// The end of the last interval.
    public let end: Timestamp
    /// The executions of each kind at work in each interval.
    ///
    /// They are an average over the interval.
    public private(set) var working: [Kind: [Double]] = [:]
    /// The executions of each kind that ended in each interval.
    public private(set) var ended: [Kind: [Int64]] = [:]

    /// Creates a timeline without executions.
    ///
    /// - Parameter count: The number of intervals, at least 1.
    public init(from start: Timestamp, to end: Timestamp, intervals count: Int) {
        precondition(count >= 1, "a timeline needs an interval")
        // Each interval has a length.
        let span = Swift.max(Int64(count), end.microseconds - start.microseconds)
        bounds = (0..<count).map { index in
            Timestamp(microseconds: start.microseconds + Int64(Int128(span) * Int128(index) / Int128(count)))
        }
        self.end = Timestamp(microseconds: start.microseconds + span)
    }

    /// The length of an interval in microseconds.
    private func length(_ index: Int) -> Double {
        let next = index + 1 < bounds.count ? bounds[index + 1] : end
        return Double(next.microseconds - bounds[index].microseconds)
    }

    /// Adds executions.
    public mutating func add(_ group: Group) {
        var shares = working[group.kind] ?? Array(repeating: 0, count: bounds.count)
        let count = Double(group.count)
        if group.first == group.last {
            shares[group.first] += (group.ends - group.starts) / length(group.first)
        } else {
            shares[group.first] += count - group.starts / length(group.first)
            for index in group.first + 1..<group.last { shares[index] += count }
            shares[group.last] += group.ends / length(group.last)
        }
        working[group.kind] = shares
        if group.kind.outcome != nil {
            ended[group.kind, default: Array(repeating: 0, count: bounds.count)][group.last] += group.count
        }
    }

    /// Adds an execution.
    ///
    /// - Parameter isRunning: Whether it has lasted until the end of the timeline.
    public mutating func add(_ execution: Execution, isRunning: Bool) {
        func within(_ moment: Timestamp) -> Timestamp { Swift.min(end, Swift.max(bounds[0], moment)) }
        let start = within(execution.startedAt)
        let stop = isRunning ? end : within(execution.lastAt)
        let (first, last) = (index(of: start), index(of: stop))
        add(
            Group(
                kind: Kind(isCounted: execution.isLast, outcome: execution.outcome), first: first, last: last, count: 1,
                starts: Double(start.microseconds - bounds[first].microseconds),
                ends: Double(stop.microseconds - bounds[last].microseconds)))
    }

    /// The interval that contains a time: the last one that begins before it or then.
    private func index(of moment: Timestamp) -> Int {
        var (low, high) = (0, bounds.count - 1)
        while low < high {
            let middle = (low + high + 1) / 2
            if bounds[middle] <= moment { low = middle } else { high = middle - 1 }
        }
        return low
    }
}
