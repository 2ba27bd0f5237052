/// A replay: rebuilds projections from events and compares them with the live ones.
///
/// A replay is itself a job of the ledger, which shows its progress; its id is the id of that job.
public struct Replay: Hashable, Sendable {
    /// The parameters of a replay.
    public struct Request: Hashable, Sendable {
        /// The one job to replay; nil for all jobs.
        public var job: JobID?
        /// The counting policy.
        ///
        /// With a policy other than ``CountingPolicy/last`` the numbers are only compared.
        public var policy: CountingPolicy
        /// Whether the rebuilt projections replace the live ones.
        public var applies: Bool

        public init(job: JobID? = nil, policy: CountingPolicy = .last, applies: Bool = false) {
            self.job = job
            self.policy = policy
            self.applies = applies
        }
    }

    /// The state of a replay.
    public enum State: String, CaseIterable, Hashable, Sendable {
        /// It rebuilds and compares. → `done`, `applied`, `canceling`, `failed`
        case running
        /// It stops and deletes the rebuilt projections. → `canceled`
        case canceling
        /// The rebuilt projections are live; the previous ones are kept. → `reverting`
        case applied
        /// It restores the previous projections. → `reverted`, or on failure `applied`
        case reverting
        /// It has compared everything and kept nothing.
        case done
        /// The previous projections are live again.
        case reverted
        case canceled
        case failed

        /// Whether it is still in progress.
        public var isInProgress: Bool {
            switch self {
            case .running, .canceling, .reverting: true
            case .applied, .done, .reverted, .canceled, .failed: false
            }
        }
    }

    /// A total, and the part of it that is done.
    public struct Count: Hashable, Sendable {
        public var total: Int64
        public var done: Int64

        public init(total: Int64, done: Int64) {
            self.total = total
            self.done = done
        }
    }

    public var id: JobID
    public var request: Request
    public var state: State
    public var createdAt: Timestamp
    public var finishedAt: Timestamp?
    /// The error, if there was one.
    public var error: String?
    /// The jobs to replay, and those compared or skipped so far.
    public var jobs: Count
    /// The events to fold, and those folded again so far.
    ///
    /// The total is the number of events in the live projections when the replay began.
    public var events: Count
    /// The number of retired jobs when the replay began.
    ///
    /// They have no events to replay.
    public var retiredJobs: Int64
    /// The number of jobs that could not be replayed because their events are missing.
    public var skippedJobs: Int64
    /// Whether the projections that are not live are kept.
    ///
    /// A replay that was applied can be reverted as long as they are.
    public var keeps: Bool
    /// The number of differences between live and rebuilt projections, in all jobs.
    public var differenceCount: Int64
    /// The first of the differences; at most ``differencesMax``.
    public var differences: [Finding]

    /// The first of the jobs that could not be replayed; at most ``skipsMax``.
    public var skips: [Skip] = []

    /// A job that could not be replayed, and the reason.
    public struct Skip: Hashable, Sendable {
        public var job: JobID
        public var reason: String

        public init(job: JobID, reason: String) {
            self.job = job
            self.reason = reason
        }
    }

    /// The maximum number of skipped jobs in a replay's description.
    public static let skipsMax = 100
    /// The maximum number of differences in a replay's description.
    public static let differencesMax = 1_000

    public init(
        id: JobID, request: Request, state: State, createdAt: Timestamp, finishedAt: Timestamp?, error: String?,
        retiredJobs: Int64 = 0, jobs: Count, events: Count, skippedJobs: Int64, keeps: Bool, differenceCount: Int64,
        differences: [Finding]
    ) {
        self.id = id
        self.request = request
        self.state = state
        self.createdAt = createdAt
        self.finishedAt = finishedAt
        self.error = error
        self.retiredJobs = retiredJobs
        self.jobs = jobs
        self.events = events
        self.skippedJobs = skippedJobs
        self.keeps = keeps
        self.differenceCount = differenceCount
        self.differences = differences
    }

    /// A difference between a live projection and the fold of its events.
    public struct Finding: Hashable, Sendable {
        /// The part of the projection that differs.
        public enum Part: String, CaseIterable, Hashable, Sendable {
            /// The job's state, times and counts.
            case snapshot
            /// An indicator, identified by its label.
            case indicator
            /// A task, identified by its name.
            case task
            /// An execution, identified by its first event.
            case execution
            /// Report numbers of an execution, identified by its first event and the page.
            case reportPage = "report_page"
            /// A discarded event, identified by its sequence.
            case discard
        }

        public var job: JobID
        public var part: Part
        /// The key of the part; for an indicator its label, empty for the default one.
        public var key: Name
        /// The value in the live projection; nil if it lacks the part.
        public var live: String?
        /// The value by the events; nil if they yield none.
        public var replayed: String?

        public init(job: JobID, part: Part, key: Name, live: String?, replayed: String?) {
            self.job = job
            self.part = part
            self.key = key
            self.live = live
            self.replayed = replayed
        }
    }
}
