public import Ledger

/// A job with its snapshot, as a server told it.
public struct Job: Hashable, Sendable, Identifiable {
    /// Its id.
    public let id: JobID
    /// Its name, key and tags.
    public let description: JobDescription
    /// Whether it runs, or how it ended.
    public let state: JobState
    /// The last event in the snapshot.
    public let sequence: Int64
    /// The last event in the ledger; the difference is the lag.
    public let ledgerSequence: Int64
    /// Times as RFC 3339 in UTC with microseconds; nil before they come.
    public let createdAt: String?
    public let startedAt: String?
    public let updatedAt: String?
    public let finishedAt: String?
    public let tasks: TaskCounts
    /// The indicators, in the order in which the job first named them.
    public let progress: [Indicator]

    /// One `done` / `total` pair.
    public struct Indicator: Hashable, Sendable {
        /// Its label; nil is the default indicator.
        public let label: Name?
        /// Units over the executions that count.
        public let counted: Units
        /// `done` in hundredths of `total`, rounded down; may exceed 100; nil while `total` is 0.
        public let percent: Int128?
        /// Units over all executions.
        public let attempted: Units
        /// RFC 3339.
        public let updatedAt: String?
    }

    /// The numbers of tasks, by the state of their last executions, and of executions.
    public struct TaskCounts: Hashable, Sendable, Decodable {
        public let total: Int64
        public let running: Int64
        public let succeeded: Int64
        public let failed: Int64
        public let canceled: Int64
        public let executions: Int64
        public let supersededExecutions: Int64

        private enum CodingKeys: String, CodingKey {
            case total, running, succeeded, failed, canceled, executions
            case supersededExecutions = "superseded_executions"
        }
    }
}

/// A part of a list of jobs.
public struct JobPage: Hashable, Sendable, Decodable {
    public let jobs: [Job]
    /// Where the next page begins; nil at the end.
    public let nextCursor: String?

    private enum CodingKeys: String, CodingKey {
        case jobs
        case nextCursor = "next_cursor"
    }
}

/// A job's snapshot with the tag that tells it from others.
public struct ReadJob: Hashable, Sendable {
    public let job: Job
    /// What to give as `unchangedSince` to hear of the next change; nil where a proxy has taken it away.
    public let entityTag: String?
}

extension Job: Decodable {
    private enum CodingKeys: String, CodingKey {
        case job, key, name, tags, state, sequence, tasks, progress
        case ledgerSequence = "ledger_sequence"
        case createdAt = "created_at"
        case startedAt = "started_at"
        case updatedAt = "updated_at"
        case finishedAt = "finished_at"
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        id = try fields.jobID(.job)
        let tags = try fields.decode([String: String].self, forKey: .tags)
        description = JobDescription(
            name: try fields.name(.name), key: try fields.nameIfPresent(.key),
            tags: Dictionary(uniqueKeysWithValues: tags.map { (Name($0.key), Name($0.value)) }))
        state = try fields.word(.state)
        sequence = try fields.decode(Int64.self, forKey: .sequence)
        ledgerSequence = try fields.decode(Int64.self, forKey: .ledgerSequence)
        createdAt = try fields.decodeIfPresent(String.self, forKey: .createdAt)
        startedAt = try fields.decodeIfPresent(String.self, forKey: .startedAt)
        updatedAt = try fields.decodeIfPresent(String.self, forKey: .updatedAt)
        finishedAt = try fields.decodeIfPresent(String.self, forKey: .finishedAt)
        tasks = try fields.decode(TaskCounts.self, forKey: .tasks)
        progress = try fields.decode([Indicator].self, forKey: .progress)
    }
}

extension Job.Indicator: Decodable {
    private enum CodingKeys: String, CodingKey {
        case label, done, total, percent
        case attemptedDone = "attempted_done"
        case attemptedTotal = "attempted_total"
        case updatedAt = "updated_at"
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        label = try fields.nameIfPresent(.label)
        counted = Units(
            total: try fields.decode(Int128.self, forKey: .total), done: try fields.decode(Int128.self, forKey: .done))
        percent = try fields.decodeIfPresent(Int128.self, forKey: .percent)
        attempted = Units(
            total: try fields.decode(Int128.self, forKey: .attemptedTotal),
            done: try fields.decode(Int128.self, forKey: .attemptedDone))
        updatedAt = try fields.decodeIfPresent(String.self, forKey: .updatedAt)
    }
}
