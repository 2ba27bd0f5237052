/// A replay: projections built anew from the events beside the live ones, and compared with them.
///
/// It is itself a job of the ledger, which tells how far it is: its id is that job's.
public struct Replay: Hashable, Sendable {
    /// What is asked of a replay.
    public struct Request: Hashable, Sendable {
        /// The one job to replay; nil for all.
        public var job: JobID?
        /// By which rule the numbers are made. By another than ``CountingPolicy/last`` they are only compared.
        public var policy: CountingPolicy
        /// Whether what is built takes the place of what is live.
        public var applies: Bool

        public init(job: JobID? = nil, policy: CountingPolicy = .last, applies: Bool = false) {
            self.job = job
            self.policy = policy
            self.applies = applies
        }
    }

    /// How far it is, or how it ended.
    public enum State: String, CaseIterable, Hashable, Sendable {
        /// It builds and compares. → `done`, `applied`, `canceling`, `failed`
        case running
        /// It stops and clears away what it has built. → `canceled`
        case canceling
        /// What it has built is live; what was before is kept. → `reverting`
        case applied
        /// It puts back what was before. → `reverted`, `applied` where that fails
        case reverting
        /// It has compared allState and kept nothing.
        case done
        /// What was live before it is live again.
        case reverted
        case canceled
        case failed

        /// Whether it still works on something.
        public var isUnderWay: Bool {
            switch self {
            case .running, .canceling, .reverting: true
            case .applied, .done, .reverted, .canceled, .failed: false
            }
        }
    }

    /// So many of so many.
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
    /// What went wrong, where something did.
    public var error: String?
    /// Jobs to replay, and those compared or skipped.
    public var jobs: Count
    /// The events that their live projections held when it began, and those folded again.
    public var events: Count
    /// Jobs that could not be replayed, since their events are not there any more.
    public var skippedJobs: Int64
    /// Whether the projections that are not live are kept, so that it can be reverted where it was applied.
    public var keeps: Bool
    /// Where the live projections are not what their events amount to, in all jobs.
    public var differenceCount: Int64
    /// The first of the differences; at most ``differencesMax``.
    public var differences: [Finding]

    /// The first of the jobs that could not be replayed; at most ``skipsMax``.
    public var skips: [Skip] = []

    /// A job that could not be replayed, and why.
    public struct Skip: Hashable, Sendable {
        public var job: JobID
        public var reason: String

        public init(job: JobID, reason: String) {
            self.job = job
            self.reason = reason
        }
    }

    /// Skipped jobs that are told with a replay, at most.
    public static let skipsMax = 100
    /// Differences that are told with a replay, at most.
    public static let differencesMax = 1_000

    public init(
        id: JobID, request: Request, state: State, createdAt: Timestamp, finishedAt: Timestamp?, error: String?,
        jobs: Count, events: Count, skippedJobs: Int64, keeps: Bool, differenceCount: Int64, differences: [Finding]
    ) {
        self.id = id
        self.request = request
        self.state = state
        self.createdAt = createdAt
        self.finishedAt = finishedAt
        self.error = error
        self.jobs = jobs
        self.events = events
        self.skippedJobs = skippedJobs
        self.keeps = keeps
        self.differenceCount = differenceCount
        self.differences = differences
    }

    /// A place where a live projection is not what its events amount to.
    public struct Finding: Hashable, Sendable {
        /// What differs.
        public enum Part: String, CaseIterable, Hashable, Sendable {
            /// The job's state, times and counts.
            case snapshot
            /// An indicator, by its label.
            case indicator
            /// A task, by its name.
            case task
            /// An execution, by its first event.
            case execution
            /// Report numbers of an execution, by its first event and the page.
            case reportPage = "report_page"
            /// A discarded event, by its sequence.
            case discard
        }

        public var job: JobID
        public var part: Part
        /// Which of them; for an indicator its label, empty for the default one.
        public var key: Name
        /// What the live projection says; nil where it lacks it.
        public var live: String?
        /// What the events say; nil where they say nothing of it.
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
