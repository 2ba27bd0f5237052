internal import Ledger
internal import Logging
internal import PQ
internal import Synchronization

/// Tells other processes what was appended and folded, by NOTIFY: after the commit, in transactions of its own, and
/// never more than one at a time, so that what comes in meanwhile is told in one.
actor NotificationPublisher {
    /// Jobs appended to; the payload is the sender's instance and the jobs' ids, or `*` for any.
    static let appendedChannel = "progress_ledger_appended"
    /// Snapshots moved; the payload is the sender's instance and for each `ID=SEQUENCE`, or `*` for any.
    static let foldedChannel = "progress_ledger_folded"
    /// Says that there is somebody to tell; the payload is the sender's instance.
    static let presenceChannel = "progress_ledger_presence"
    /// How often it is said, and how long it holds.
    static let presence: (interval: Duration, holds: Duration) = (.seconds(10), .seconds(35))
    /// PostgreSQL takes fewer than 8,000 bytes.
    private static let payloadMax = 7_900
    /// The least time between two.
    private static let pause: Duration = .milliseconds(5)

    private let pool: Pool
    private let instance: String
    private let logger: Logger
    private var appended: Set<JobID> = []
    private var folded: [JobID: Int64] = [:]
    private var isSending = false
    private var isPresenceDue = false
    /// Whether all snapshots are to be looked at again, whatever their sequences.
    private var isEverythingDue = false
    private let peerHeardAt = Mutex<ContinuousClock.Instant?>(nil)

    init(pool: Pool, instance: String, logger: Logger) {
        self.pool = pool
        self.instance = instance
        self.logger = logger
    }

    /// Another process is there. Alone, nothing is sent: each hint would be a transaction for nobody.
    ///
    /// - Returns: Whether we had thought that we were alone.
    func heardPeer() -> Bool {
        let hadPeers = hasPeers
        peerHeardAt.withLock { $0 = .now }
        return !hadPeers
    }

    /// Says that we are there.
    func publishPresence() {
        isPresenceDue = true
        begin()
    }

    /// Whether there is anybody to tell.
    nonisolated var hasPeers: Bool {
        peerHeardAt.withLock { $0.map { $0.duration(to: .now) < Self.presence.holds } ?? false }
    }

    func appended(_ jobs: [JobID]) {
        guard hasPeers else { return }
        appended.formUnion(jobs)
        begin()
    }

    func folded(_ jobs: [(job: JobID, sequence: Int64)]) {
        guard hasPeers else { return }
        for (job, sequence) in jobs { folded[job] = max(folded[job] ?? 0, sequence) }
        begin()
    }

    /// Any snapshot may have become another one without having moved.
    func foldedAnew() {
        guard hasPeers else { return }
        isEverythingDue = true
        begin()
    }

    private func begin() {
        guard !isSending else { return }
        isSending = true
        Task(name: "hints") { await send() }
    }

    private func send() async {
        while !appended.isEmpty || !folded.isEmpty || isPresenceDue || isEverythingDue {
            let presence =
                isPresenceDue
                ? Query("select pg_notify($1, $2)", [.text(Self.presenceChannel), .text(instance)]) : nil
            isPresenceDue = false
            let queries = [
                // A hint need not survive a crash, so nothing waits for it to reach the disk.
                Query("select set_config('synchronous_commit', 'off', true)"),
                presence,
                Self.notify(Self.appendedChannel, instance, appended.map(\.description)),
                Self.notify(
                    Self.foldedChannel, instance,
                    isEverythingDue ? ["*"] : folded.map { "\($0.key)=\($0.value)" }),
            ].compactMap { $0 }
            isEverythingDue = false
            appended = []
            folded = [:]
            do throws(PQError) {
                _ = try await pool.pipeline(queries, deadline: .seconds(5))
            } catch {
                // Hints may get lost: sweeps find what they would have told.
                logger.debug("hints were not sent", metadata: ["error": "\(error)"])
            }
            do { try await Task.sleep(for: Self.pause) } catch { break }
        }
        isSending = false
    }

    private static func notify(_ channel: String, _ instance: String, _ items: [String]) -> Query? {
        guard !items.isEmpty else { return nil }
        var payload = ([instance] + items).joined(separator: " ")
        if payload.utf8.count > payloadMax { payload = "\(instance) *" }
        return Query("select pg_notify($1, $2)", [.text(channel), .text(payload)])
    }

    /// What a hint of another process says; nil for one of our own.
    static func read(_ notification: Notification, instance: String) -> [Substring]? {
        let parts = notification.payload.split(separator: " ")
        guard let sender = parts.first, sender != instance else { return nil }
        return Array(parts.dropFirst())
    }
}
