/// The operational state of a ledger: backlog, workers and problems.
///
/// It shows operators which projections are behind, which processes fold them, and which obstacles there are.
public struct LedgerStatus: Hashable, Sendable {
    /// The backlog of events that snapshots do not include yet, over all jobs.
    public struct Lag: Hashable, Sendable {
        /// The number of jobs with a snapshot that lacks events.
        public var jobs: Int64
        /// The number of events that these snapshots lack.
        public var events: Int64
        /// The age of the oldest of these events; 0 if there are none.
        public var seconds: Double
        /// The number of jobs without any snapshot, because their projections were dropped.
        ///
        /// They are included in ``jobs``.
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

    /// A job with a snapshot that lacks events.
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

    /// A failure: when it happened, and its message.
    public struct Failure: Hashable, Sendable {
        public var at: Timestamp
        /// The SQLSTATE, if PostgreSQL gave one.
        public var state: String?
        public var message: String

        public init(at: Timestamp, state: String?, message: String) {
            self.at = at
            self.state = state
            self.message = message
        }
    }

    /// A process that runs a projection worker.
    public struct Worker: Hashable, Sendable {
        /// The worker's id; each start of a process gets a new one.
        public var worker: String
        public var host: String
        public var process: Int32
        public var startedAt: Timestamp
        /// The time of its last heartbeat.
        public var seenAt: Timestamp
        /// Whether its last heartbeat is so old that it must be dead or disconnected.
        public var isLost: Bool
        /// The time when it last stored a step.
        public var foldedAt: Timestamp?
        public var foldedEvents: Int64
        public var steps: Int64
        public var failures: Int64
        /// The number of jobs that it was notified of and has not examined yet.
        public var pendingJobs: Int64
        /// Its last failure, even if it has made progress since.
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

    /// A job for which the last attempt to fold its events failed.
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

    /// A database session, as the database administrator sees it.
    public struct Session: Hashable, Sendable {
        public var process: Int32
        /// The application name that the session reports.
        public var application: String
        /// `active`, `idle in transaction`, …; nil if the ledger's role may not see it.
        public var state: String?
        /// The age of its transaction.
        public var seconds: Double
        /// The beginning of its statement; nil if the ledger's role may not see it.
        public var statement: String?

        public init(process: Int32, application: String, state: String?, seconds: Double, statement: String?) {
            self.process = process
            self.application = application
            self.state = state
            self.seconds = seconds
            self.statement = statement
        }
    }

    /// A transaction that waits for a lock, and the sessions that hold it.
    public struct Blocked: Hashable, Sendable {
        public var session: Session
        public var blockers: [Session]

        public init(session: Session, blockers: [Session]) {
            self.session = session
            self.blockers = blockers
        }
    }

    /// An object that keeps vacuum from removing old row versions.
    public struct VacuumHolder: Hashable, Sendable {
        /// The kind of object.
        public enum Kind: String, CaseIterable, Hashable, Sendable {
            /// An open transaction.
            case transaction
            /// A transaction prepared for a two-phase commit.
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
        /// The age of the transaction; nil if it is not a transaction.
        public var seconds: Double?
        /// The number of transactions since the oldest one that it retains.
        public var transactions: Int64

        public init(kind: Kind, name: String, process: Int32?, seconds: Double?, transactions: Int64) {
            self.kind = kind
            self.name = name
            self.process = process
            self.seconds = seconds
            self.transactions = transactions
        }
    }

    /// The live and dead row versions of a table, by PostgreSQL's statistics.
    public struct TableHealth: Hashable, Sendable {
        /// The table, without its schema.
        public var table: String
        public var liveRows: Int64
        /// The row versions that vacuum has not removed yet.
        public var deadRows: Int64
        /// The time of the last vacuum; nil if there was none.
        public var vacuumedAt: Timestamp?

        public init(table: String, liveRows: Int64, deadRows: Int64, vacuumedAt: Timestamp?) {
            self.table = table
            self.liveRows = liveRows
            self.deadRows = deadRows
            self.vacuumedAt = vacuumedAt
        }
    }

    /// The database's version, and its settings that decide how durable a commit is.
    public struct Database: Hashable, Sendable {
        /// PostgreSQL's version, such as `17.5`.
        public var version: String
        /// The setting of appending sessions, such as `on` or `remote_apply`.
        public var synchronousCommit: String
        /// The setting that names the standbys that commits wait for; empty if none.
        public var synchronousStandbyNames: String
        /// The number of connected standbys that commits may wait for.
        ///
        /// Nil if the ledger's login may not see them.
        public var synchronousStandbys: Int64?
        /// Whether commits wait for the disk.
        public var fsync: Bool
        /// Whether pages are protected against partial writes.
        public var fullPageWrites: Bool

        public init(
            version: String, synchronousCommit: String, synchronousStandbyNames: String, synchronousStandbys: Int64?,
            fsync: Bool, fullPageWrites: Bool
        ) {
            self.version = version
            self.synchronousCommit = synchronousCommit
            self.synchronousStandbyNames = synchronousStandbyNames
            self.synchronousStandbys = synchronousStandbys
            self.fsync = fsync
            self.fullPageWrites = fullPageWrites
        }

        /// Whether acknowledged events survive a crash of the database's machine.
        public var survivesCrash: Bool { fsync && fullPageWrites && synchronousCommit != "off" }

        /// Whether acknowledged events survive a failover to a synchronous standby.
        ///
        /// With `remote_write` they survive unless the standby's machine crashes too, so the answer is no.
        public var survivesFailover: Bool {
            survivesCrash && !synchronousStandbyNames.isEmpty && ["on", "remote_apply"].contains(synchronousCommit)
        }
    }

    /// The maximum number of entries in a list.
    public static let listMax = 20
    /// The maximum number of blocked transactions in the list.
    ///
    /// It is larger than the number of connections of a server.
    public static let blockedMax = 200

    /// The number from which on jobs without estimates are not counted.
    public static let unestimatedMax: Int64 = 10_000

    /// The version of the server that responded; nil if it is older than this field.
    public var version: String?
    /// The Git commit of that server's build, or `development`.
    public var build: String?
    public var lag: Lag
    public var workers: [Worker]
    /// The jobs that have been stuck for longest; at most ``listMax``.
    public var stuckJobs: [StuckJob]
    /// The number of stuck jobs.
    public var stuckJobCount: Int64
    /// The transactions that wait for locks; at most ``blockedMax``.
    public var blocked: [Blocked]
    /// The replay in progress.
    public var replay: JobID?
    /// The number of jobs with a state of estimates or a summary to be built.
    ///
    /// At most ``unestimatedMax``. After an upgrade these are all earlier jobs.
    public var unestimatedJobs: Int64 = 0
    /// The subscriptions, and the deliveries that wait.
    public var notifications = NotificationCounts()
    /// The objects that hold vacuum back, oldest first; at most ``listMax``.
    public var vacuumHolders: [VacuumHolder] = []
    /// The database; nil if the ledger is not in one.
    public var database: Database?
    /// The standby that serves reads of the past; nil for none.
    public var readReplica: ReadReplica?
    /// The databases of a divided ledger; empty with one database.
    public var shards: [Shard] = []
    /// The tables with rows that change all the time.
    public var tables: [TableHealth] = []
    /// The ways in which the database does not keep the ledger append-only.
    ///
    /// Each is a sentence. Empty if the guarantee holds.
    public var guaranteeFaults: [String] = []
    /// The reasons why commits may not be durable, as sentences.
    ///
    /// A database that accepts no writes, missing standbys, or acknowledged events that are no longer in the ledger.
    /// Empty if there are none.
    public var durabilityFaults: [String] = []
    /// The chosen settings that weaken commits, as sentences: `fsync = off`.
    public var durabilityRemarks: [String] = []
    /// The months without an attached partition, such as `2026-11`.
    ///
    /// Only this month and the next one are checked.
    public var missingPartitions: [String] = []
    /// The last failed append on the server that responds.
    ///
    /// Nil if an append has succeeded since.
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
