/// How a ledger fares: what is behind, who works on it, and what stands in the way. For those who look after it.
public struct LedgerStatus: Hashable, Sendable {
    /// How far snapshots are behind the events, in all jobs.
    public struct Lag: Hashable, Sendable {
        /// Jobs whose snapshot lacks events.
        public var jobs: Int64
        /// The events that they lack.
        public var events: Int64
        /// The age of the oldest of them; 0 where none is lacking.
        public var seconds: Double
        /// Jobs that have no snapshot at all: somebody has dropped their projections. They are among ``jobs``.
        public var missingSnapshots: Int64
        /// The jobs that lack the oldest events; at most ``LedgerStatus/listMax``.
        public var mostBehind: [BehindJob]

        public init(
            jobs: Int64, events: Int64, seconds: Double, missingSnapshots: Int64 = 0, mostBehind: [BehindJob] = []
        ) {
            self.missingSnapshots = missingSnapshots
            self.jobs = jobs
            self.events = events
            self.seconds = seconds
            self.mostBehind = mostBehind
        }
    }

    /// A job whose snapshot lacks events.
    public struct BehindJob: Hashable, Sendable {
        public var job: JobID
        public var events: Int64
        public var seconds: Double

        public init(job: JobID, events: Int64, seconds: Double) {
            self.job = job
            self.events = events
            self.seconds = seconds
        }
    }

    /// Something that went wrong.
    public struct Failure: Hashable, Sendable {
        public var at: Timestamp
        /// The SQLSTATE, where PostgreSQL gave one.
        public var state: String?
        public var message: String

        public init(at: Timestamp, state: String?, message: String) {
            self.at = at
            self.state = state
            self.message = message
        }
    }

    /// A process that projects.
    public struct Worker: Hashable, Sendable {
        /// Another one each time that a process starts.
        public var worker: String
        public var host: String
        public var process: Int32
        public var startedAt: Timestamp
        /// When it last said that it lives.
        public var seenAt: Timestamp
        /// Whether that was so long ago that it must be dead or cut off.
        public var isLost: Bool
        /// When it last stored a step.
        public var foldedAt: Timestamp?
        public var foldedEvents: Int64
        public var steps: Int64
        public var failures: Int64
        /// Jobs that it has been told of and has not looked at yet.
        public var pendingJobs: Int64
        /// Its last failure, also where it has gone on since.
        public var lastFailure: Failure?

        public init(
            worker: String, host: String, process: Int32, startedAt: Timestamp, seenAt: Timestamp, isLost: Bool,
            foldedAt: Timestamp?, foldedEvents: Int64, steps: Int64, failures: Int64, pendingJobs: Int64,
            lastFailure: Failure?
        ) {
            self.worker = worker
            self.host = host
            self.process = process
            self.startedAt = startedAt
            self.seenAt = seenAt
            self.isLost = isLost
            self.foldedAt = foldedAt
            self.foldedEvents = foldedEvents
            self.steps = steps
            self.failures = failures
            self.pendingJobs = pendingJobs
            self.lastFailure = lastFailure
        }
    }

    /// A job whose events could not be folded when last tried.
    public struct StuckJob: Hashable, Sendable {
        public var job: JobID
        public var since: Timestamp
        public var failures: Int64
        public var worker: String
        public var failure: Failure

        public init(job: JobID, since: Timestamp, failures: Int64, worker: String, failure: Failure) {
            self.job = job
            self.since = since
            self.failures = failures
            self.worker = worker
            self.failure = failure
        }
    }

    /// A session of the database, as its administrator sees it.
    public struct Session: Hashable, Sendable {
        public var process: Int32
        /// What it calls itself.
        public var application: String
        /// `active`, `idle in transaction`, …; nil where the ledger's role may not see it.
        public var state: String?
        /// How long its transaction has lasted.
        public var seconds: Double
        /// The beginning of its statement; nil where the ledger's role may not see it.
        public var statement: String?

        public init(process: Int32, application: String, state: String?, seconds: Double, statement: String?) {
            self.process = process
            self.application = application
            self.state = state
            self.seconds = seconds
            self.statement = statement
        }
    }

    /// A transaction that waits for a lock, and who holds it.
    public struct Blocked: Hashable, Sendable {
        public var session: Session
        public var blockers: [Session]

        public init(session: Session, blockers: [Session]) {
            self.session = session
            self.blockers = blockers
        }
    }

    /// Something that keeps vacuum from removing old row versions.
    public struct VacuumHolder: Hashable, Sendable {
        /// What it is.
        public enum Kind: String, CaseIterable, Hashable, Sendable {
            /// A transaction that is open.
            case transaction
            /// A transaction that was prepared for a two-phase commit.
            case preparedTransaction = "prepared_transaction"
            /// A replication slot, whether or not anything reads from it.
            case replicationSlot = "replication_slot"
            /// A standby that reports its own transactions (`hot_standby_feedback`).
            case standby
        }

        public var kind: Kind
        /// The application, the global identifier, or the name of the slot or standby.
        public var name: String
        /// The process that serves it; nil if there is none.
        public var process: Int32?
        /// How long the transaction has lasted; nil for what is no transaction.
        public var seconds: Double?
        /// How many transactions have begun since the oldest one that it holds.
        public var transactions: Int64

        public init(kind: Kind, name: String, process: Int32?, seconds: Double?, transactions: Int64) {
            self.kind = kind
            self.name = name
            self.process = process
            self.seconds = seconds
            self.transactions = transactions
        }
    }

    /// How many dead row versions a table has, by PostgreSQL's statistics.
    public struct TableHealth: Hashable, Sendable {
        /// The table, without its schema.
        public var table: String
        public var liveRows: Int64
        /// Versions that vacuum has not removed yet.
        public var deadRows: Int64
        /// When it was last vacuumed; nil if it never was.
        public var vacuumedAt: Timestamp?

        public init(table: String, liveRows: Int64, deadRows: Int64, vacuumedAt: Timestamp?) {
            self.table = table
            self.liveRows = liveRows
            self.deadRows = deadRows
            self.vacuumedAt = vacuumedAt
        }
    }

    /// Entries of a list, at most.
    public static let listMax = 20
    /// Blocked transactions that are listed, at most: more than a server has connections.
    public static let blockedMax = 200

    public var lag: Lag
    public var workers: [Worker]
    /// The jobs that have been stuck for longest; at most ``listMax``.
    public var stuckJobs: [StuckJob]
    /// How many jobs are stuck.
    public var stuckJobCount: Int64
    /// At most ``blockedMax``.
    public var blocked: [Blocked]
    /// The replay that is under way.
    public var replay: JobID?
    /// What holds vacuum back, the oldest first; at most ``listMax``.
    public var vacuumHolders: [VacuumHolder] = []
    /// The tables whose rows change all the time.
    public var tables: [TableHealth] = []
    /// In which ways the database does not keep the ledger append-only, as sentences; empty if it does.
    public var guaranteeFaults: [String] = []
    /// What keeps commits from being durable, as sentences: a database that takes no writes, standbys that are away, and
    /// acknowledged events that are no longer in the ledger. Empty if there is nothing.
    public var durabilityFaults: [String] = []
    /// What somebody has chosen that weakens commits, as sentences: `fsync = off`.
    public var durabilityRemarks: [String] = []
    /// The months, of this one and the next, whose partition is not attached, such as `2026-11`.
    public var missingPartitions: [String] = []
    /// The last failure of an append on the server that was asked; nil if one has succeeded since.
    public var appendFailure: Failure?

    public init(
        lag: Lag, workers: [Worker], stuckJobs: [StuckJob], stuckJobCount: Int64, blocked: [Blocked], replay: JobID?
    ) {
        self.stuckJobCount = stuckJobCount
        self.lag = lag
        self.workers = workers
        self.stuckJobs = stuckJobs
        self.blocked = blocked
        self.replay = replay
    }
}
