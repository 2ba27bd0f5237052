/// The id of a part of a job: the sequence of the part's first event.
///
/// An event begins at most one task, one execution and one indicator. Therefore its sequence identifies each of them
/// within the job, and orders the parts of one kind by their beginning. Each kind has a type of its own, because the
/// numbers of a task and of its first execution are equal.
public protocol FirstEventID: Hashable, Comparable, Sendable {
    /// The sequence of the first event.
    var sequence: EventSequence { get }

    /// Creates the id of the part that begins with this event.
    init(_ sequence: EventSequence)
}

extension FirstEventID {
    public static func < (left: Self, right: Self) -> Bool { left.sequence < right.sequence }
}

/// The id of a task in its job.
public struct TaskID: FirstEventID {
    public let sequence: EventSequence

    public init(_ sequence: EventSequence) {
        self.sequence = sequence
    }
}

/// The id of an execution in its job.
public struct ExecutionID: FirstEventID {
    public let sequence: EventSequence

    public init(_ sequence: EventSequence) {
        self.sequence = sequence
    }
}

/// The id of an indicator in its job.
///
/// Its first event is the first one that names the label, with any verdict.
public struct IndicatorID: FirstEventID {
    public let sequence: EventSequence

    public init(_ sequence: EventSequence) {
        self.sequence = sequence
    }
}
