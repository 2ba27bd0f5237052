internal import Ledger
internal import Logging
internal import PQ
internal import Synchronization

/// Notifies other processes of appended events and moved snapshots by NOTIFY.
///
/// It sends after the commit, in separate transactions, at most one at a time: hints that arrive while it sends share
/// the next transaction.
actor HintPublisher {
    /// The channel of appends.
    ///
    /// The payload is the sender's instance and the ids of the jobs, or `*` for all jobs.
    static let appendedChannel = "progress_ledger_appended"
    /// The channel of moved snapshots.
    ///
    /// The payload is the sender's instance and a ``FoldedHint`` for each job, or `*` for all jobs.
    static let foldedChannel = "progress_ledger_folded"
    /// The channel by which processes announce themselves.
    ///
    /// The payload is the sender's instance.
    static let presenceChannel = "progress_ledger_presence"
    /// The interval of announcements, and the time for which one is valid.
    static let presence: (interval: Duration, validity: Duration) = (.seconds(10), .seconds(35))
    /// The maximum size of a payload. PostgreSQL accepts less than 8,000 bytes.
    static let payloadMax = 7_900
    /// The maximum number of notifications of a channel in one transaction.
    ///
    /// They name about 20,000 jobs. A look at all jobs costs the receivers less than more of them.
    static let notificationsMax = 100
    /// The minimum time between two transactions.
    private static let pause: Duration = .milliseconds(5)

    /// A snapshot that has moved: `ID=SEQUENCE`, or `ID=SEQUENCE=STATE`.
    ///
    /// The second form is for jobs that have ended, which is rare: a process of an earlier version then reads all
    /// snapshots.
    struct FoldedHint {
        let job: JobID
        let sequence: EventSequence
        /// The state of a job that has ended; nil for a running job.
        let endState: JobState?

        init(_ job: JobID, _ sequence: EventSequence, _ state: JobState) {
            self.job = job
            self.sequence = sequence
            endState = state == .running ? nil : state
        }

        /// Parses a hint; nil if it is none.
        init?(_ text: Substring) {
            let parts = text.split(separator: "=", omittingEmptySubsequences: false)
            guard parts.count == 2 || parts.count == 3, let job = JobID(String(parts[0])),
                let sequence = EventSequence(parts[1])
            else { return nil }
            let state = parts.count == 3 ? JobState(rawValue: String(parts[2])) : .running
            guard let state else { return nil }
            self.init(job, sequence, state)
        }

        var text: String { "\(job)=\(sequence)\(endState.map { "=\($0.rawValue)" } ?? "")" }
    }

    private let pool: Pool
    private let instance: String
    private let logger: Logger
    private var appended: Set<JobID> = []
    private var folded: [JobID: FoldedHint] = [:]
    private var isSending = false
    private var isPresenceDue = false
    /// Whether all snapshots must be read again, regardless of their sequences.
    private var isFullReadDue = false
    private let peerSeenAt = Mutex<ContinuousClock.Instant?>(nil)
    private let now: @Sendable () -> ContinuousClock.Instant

    init(
        pool: Pool, instance: String, logger: Logger, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) {
        self.pool = pool
        self.instance = instance
        self.logger = logger
        self.now = now
    }

    /// Records that another process is present.
    ///
    /// A process that is alone sends nothing, because no other process would receive the hints.
    ///
    /// - Returns: Whether this process considered itself alone until now.
    func recordPeer() -> Bool {
        let hadPeers = hasPeers
        peerSeenAt.withLock { $0 = now() }
        return !hadPeers
    }

    /// Announces this process to others.
    func publishPresence() {
        isPresenceDue = true
        startSending()
    }

    /// Whether other processes are present.
    nonisolated var hasPeers: Bool {
        peerSeenAt.withLock { $0.map { $0.duration(to: now()) < Self.presence.validity } ?? false }
    }

    func appended(_ jobs: [JobID]) {
        guard hasPeers else { return }
        appended.formUnion(jobs)
        startSending()
    }

    func folded(_ jobs: [(job: JobID, sequence: EventSequence, state: JobState)]) {
        guard hasPeers else { return }
        for (job, sequence, state) in jobs where sequence > folded[job]?.sequence ?? 0 {
            folded[job] = FoldedHint(job, sequence, state)
        }
        startSending()
    }

    /// Announces that any snapshot may have changed without having moved.
    ///
    /// It is rare, so it is also sent if no peer was seen lately.
    func projectionSwitched() {
        isFullReadDue = true
        startSending()
    }

    private func startSending() {
        guard !isSending else { return }
        isSending = true
        Task(name: "hints") { await send() }
    }

    private func send() async {
        while !appended.isEmpty || !folded.isEmpty || isPresenceDue || isFullReadDue {
            let presence =
                isPresenceDue
                ? Query("select pg_notify($1, $2)", [.text(Self.presenceChannel), .text(instance)]) : nil
            isPresenceDue = false
            // A hint need not survive a crash, so the transaction does not wait for the disk.
            let queries =
                [Query("select set_config('synchronous_commit', 'off', true)"), presence].compactMap { $0 }
                + notify(Self.appendedChannel, appended.map(\.description))
                + notify(Self.foldedChannel, isFullReadDue ? ["*"] : folded.values.map(\.text))
            isFullReadDue = false
            appended = []
            folded = [:]
            do throws(PQError) {
                _ = try await pool.pipeline(queries, deadline: .seconds(5))
            } catch {
                // Hints may get lost: sweeps find the same jobs.
                logger.debug("cannot send hints", metadata: ["error": "\(error)"])
            }
            do { try await Task.sleep(for: Self.pause) } catch { break }
        }
        isSending = false
    }

    private func notify(_ channel: String, _ items: [String]) -> [Query] {
        Self.payloads(of: instance, items).map { Query("select pg_notify($1, $2)", [.text(channel), .text($0)]) }
    }

    /// Distributes the items of a hint over as many payloads as they need.
    ///
    /// Too many items become one `*`, which stands for everything.
    static func payloads(of instance: String, _ items: [String]) -> [String] {
        var payloads: [String] = []
        for item in items {
            if let last = payloads.last, last.utf8.count + 1 + item.utf8.count <= payloadMax {
                payloads[payloads.count - 1] += " \(item)"
            } else {
                guard payloads.count < notificationsMax else { return ["\(instance) *"] }
                payloads.append("\(instance) \(item)")
            }
        }
        return payloads
    }

    /// The items of another process's hint, or `nil` for one from this process.
    static func read(_ notification: Notification, instance: String) -> [Substring]? {
        let parts = notification.payload.split(separator: " ")
        guard let sender = parts.first, sender != instance else { return nil }
        return Array(parts.dropFirst())
    }
}
