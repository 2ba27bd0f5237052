public import Ledger

/// Which jobs to list: those for which everything given here is so, newest first.
public struct JobSearch: Hashable, Sendable {
    public var state: JobState?
    public var name: Name?
    public var key: Name?
    /// Tags that the job has with these values.
    public var tags: [Name: Name] = [:]
    /// Jobs in the page; 100 unless told, 1,000 at most.
    public var limit: Int?
    /// Where the page begins: ``JobsPage/nextCursor`` of the one before.
    public var cursor: String?

    public init() {}
}

/// Which events to read: those for which everything given here is so.
public struct EventSearch: Hashable, Sendable {
    /// The indicator to look for: only its `progress` events.
    public struct Indicator: Hashable, Sendable {
        /// Nil is the default indicator.
        public var label: Name?

        public init(label: Name?) {
            self.label = label
        }
    }

    /// Events after (or, descending, before) this sequence: ``EventsPage/nextAfter`` of the page before.
    public var after: Int64?
    /// Events in the page; 100 unless told, 1,000 at most. Not for a stream.
    public var limit: Int?
    /// From the last event to the first.
    public var isDescending = false
    public var task: Name?
    /// The name of the execution as it is shown.
    public var execution: Name?
    public var indicator: Indicator?
    public var type: EventType?
    public var verdict: Verdict?

    public init() {}
}

/// Which tasks to read, in the order in which they began.
public struct TaskSearch: Hashable, Sendable {
    public var state: TaskState?
    /// Tasks in the page; 100 unless told, 1,000 at most.
    public var limit: Int?
    /// Where the page begins: ``TasksPage/nextCursor`` of the one before.
    public var cursor: String?

    public init() {}
}
