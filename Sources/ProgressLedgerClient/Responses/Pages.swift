public import Ledger
public import LedgerWire

/// A part of a list of jobs.
public struct JobsPage: Hashable, Sendable {
    public let jobs: [JobAnswer]
    /// Where the next page begins; nil at the end.
    public let nextCursor: String?
}

/// A part of a job's history.
public struct EventsPage: Hashable, Sendable {
    public let events: [ExplainedEvent]
    /// What to give as ``EventSearch/after`` for the next part; nil at the end.
    public let nextAfter: Int64?
}

/// A part of a job's tasks.
public struct TasksPage: Hashable, Sendable {
    /// The last event in the snapshot to which they belong.
    public let sequence: Int64
    public let tasks: [TaskSummary]
    /// Where the next page begins; nil at the end.
    public let nextCursor: String?
}

/// A job's snapshot with the tag that tells it from others.
public struct ReadJob: Hashable, Sendable {
    public let job: JobAnswer
    /// What to give as `unchangedSince` to hear of the next change; nil where a proxy has taken it away.
    public let entityTag: String?
}

extension JobsPage: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        var jobs: [JobAnswer] = []
        for element in try value.elements("jobs") { jobs.append(try JobAnswer(element)) }
        self.jobs = jobs
        nextCursor = value["next_cursor"]?.text
    }
}

extension EventsPage: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        var events: [ExplainedEvent] = []
        for element in try value.elements("events") { events.append(try ExplainedEvent(element)) }
        self.events = events
        nextAfter = try value.integerIfPresent("next_after")
    }
}

extension TasksPage: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        var tasks: [TaskSummary] = []
        for element in try value.elements("tasks") { tasks.append(try TaskSummary(element)) }
        sequence = try value.integer("sequence")
        self.tasks = tasks
        nextCursor = value["next_cursor"]?.text
    }
}

/// The newest replays, newest first, without the differences that they found.
public struct ReplayList: Hashable, Sendable {
    public let replays: [Replay]
}

extension ReplayList: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        var replays: [Replay] = []
        for element in try value.elements("replays") { replays.append(try Replay(element)) }
        self.replays = replays
    }
}
