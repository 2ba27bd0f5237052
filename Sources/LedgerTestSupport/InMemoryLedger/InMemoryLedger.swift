public import Ledger
public import LedgerStore
internal import Synchronization

/// A ledger in memory, for tests that need no database.
///
/// It folds events as they are appended, with the same ``Fold`` as the database's projection, and derives everything
/// else from that fold and the events. The contract suite of `LedgerService` runs against both ledgers. It forgets
/// everything when it is released, has no limits of its own, and refuses replays, because it stores no projection.
public final class InMemoryLedger: Sendable {
    struct State: Sendable {
        var jobs: [JobID: InMemoryJob] = [:]
        /// The jobs with keys.
        var keys: [Name: JobID] = [:]
        /// The jobs with idempotency keys, by reporter and key.
        var idempotencyKeys: [[Name?]: JobID] = [:]
    }

    private let state = Mutex(State())
    private let observers = SnapshotObservers()
    public let tokens = TokenRegistry()
    private let tokenState = Mutex<[(token: AccessToken, digest: [UInt8])]>([])
    private let notificationState = Mutex(Notifications())
    private let isFolding: Bool

    /// Creates an empty ledger.
    ///
    /// - Parameter isFolding: Whether events are folded. If not, the snapshot of each job stays at its first event, as
    ///   without a projection worker.
    public init(isFolding: Bool = true) {
        self.isFolding = isFolding
    }

    /// All jobs, in no order.
    var jobs: [InMemoryJob] { state.withLock { Array($0.jobs.values) } }

    /// Reads a job, or returns `nil` if it does not exist.
    func inspect<R>(_ id: JobID, _ body: (InMemoryJob) -> R?) -> R? {
        // Only copying the job holds the lock, so that a long computation does not block appends.
        state.withLock { $0.jobs[id] }.flatMap(body)
    }

    /// Changes the jobs, folds their new events and announces their snapshots.
    func change<R: Sendable>(
        _ body: (inout State, _ now: Timestamp) throws(StoreError) -> (result: R, changed: [JobID])
    ) throws(StoreError) -> R {
        let (result, hints) = try state.withLock { state throws(StoreError) in
            let (result, changed) = try body(&state, Self.now)
            var hints: [SnapshotHint] = []
            for id in changed {
                if let sequence = state.jobs[id]?.fold(isFolding ? EventSequence(Int64.max) : 1) {
                    hints.append(.folded(id, sequence: sequence))
                }
            }
            return (result, hints)
        }
        for hint in hints { observers.notify(hint) }
        return result
    }

    /// All tokens with their digests, in the order of creation.
    var storedTokens: [(token: AccessToken, digest: [UInt8])] { tokenState.withLock { $0 } }

    /// Changes the tokens, which takes effect at once.
    func changeTokens(
        _ body: (inout [(token: AccessToken, digest: [UInt8])]) throws(StoreError) -> Void
    ) throws(StoreError) {
        try tokenState.withLock { stored throws(StoreError) in
            try body(&stored)
            let revoked = stored.count { $0.token.revokedAt != nil }
            tokens.replace(stored, TokenRegistry.Version(tokens: Int64(stored.count), revoked: Int64(revoked)))
        }
    }

    /// Reads or changes the subscriptions and deliveries.
    func changeNotifications<R: Sendable>(_ body: (inout Notifications) -> R) -> R {
        notificationState.withLock { body(&$0) }
    }

    static var now: Timestamp { .now }
}

extension InMemoryLedger: LedgerService {
    public func createJob(
        _ description: JobDescription, by reporter: Name?, idempotencyKey: Name?
    ) throws(StoreError) -> (view: JobView, created: Bool) {
        let (id, created) = try change { state, now throws(StoreError) in
            if let key = description.key, let id = state.keys[key], let job = state.jobs[id] {
                guard job.description == description else {
                    throw StoreError(
                        .keyTaken, "job \(id) already has this key, with another name or other tags", jobs: [id])
                }
                return ((id, false), [])
            }
            let scoped = description.key == nil ? idempotencyKey.map { [reporter, $0] } : nil
            if let scoped, let id = state.idempotencyKeys[scoped], let job = state.jobs[id] {
                guard job.description == description else {
                    throw StoreError(
                        .idempotencyKeyReused, "the Idempotency-Key was already used with other content")
                }
                return ((id, false), [])
            }
            // A counter after the time keeps jobs of the same millisecond in order (RFC 9562, section 6.2, method 1).
            let id = JobID(
                createdAt: now, randomHigh: UInt64(state.jobs.count), randomLow: .random(in: 0 ... .max))
            var job = InMemoryJob(id, description)
            job.record(EventDraft(.jobCreated(description), reporter: reporter), at: now)
            state.add(job)
            if let scoped { state.idempotencyKeys[scoped] = id }
            return ((id, true), [id])
        }
        guard let view = job(id) else { preconditionFailure("jobs are never removed") }
        return (view, created)
    }

    public func append(_ drafts: [EventDraft], to job: JobID) throws(StoreError) -> ClosedRange<EventSequence> {
        guard let appended = try append(drafts.map { (job, $0) }).first else {
            throw StoreError(.corrupt, "the append contains no events")
        }
        return appended.sequences
    }

    public func append(
        _ drafts: [EventDraft], to job: JobID,
        whenDone: @escaping @Sendable (Result<ClosedRange<EventSequence>, StoreError>) -> Void
    ) {
        whenDone(Result { () throws(StoreError) in try append(drafts, to: job) })
    }

    public func append(
        _ entries: [(job: JobID, draft: EventDraft)]
    ) throws(StoreError) -> [(job: JobID, sequences: ClosedRange<EventSequence>)] {
        try change { state, now throws(StoreError) in
            var jobs: [JobID] = []
            for entry in entries where !jobs.contains(entry.job) { jobs.append(entry.job) }
            let unknown = jobs.filter { state.jobs[$0] == nil }
            guard unknown.isEmpty else {
                let list = unknown.map(\.description).joined(separator: ", ")
                throw StoreError(.unknownJob, "there is no job \(list)", jobs: unknown)
            }
            let before = jobs.map { state.jobs[$0]?.sequence ?? 0 }
            for (id, draft) in entries { state.jobs[id]?.record(draft, at: now) }
            let appended = zip(jobs, before).map { id, before in
                (job: id, sequences: before + 1...(state.jobs[id]?.sequence ?? 0))
            }
            return (appended, jobs)
        }
    }

    public func append(
        _ drafts: [EventDraft], to job: JobID, unlessCanceledWithin deadline: Duration
    ) throws(StoreError) -> ClosedRange<EventSequence> {
        try change { state, now throws(StoreError) in
            guard var changed = state.jobs[job] else {
                throw StoreError(.unknownJob, "there is no job \(job)", jobs: [job])
            }
            // Only a ledger that does not fold is behind, and it would be so after the deadline, too.
            guard changed.fold.progress.sequence == changed.sequence else {
                throw StoreError(.behind, "the events are not folded; nothing was recorded", jobs: [job])
            }
            guard changed.fold.progress.state != .canceled else { throw .canceled(job) }
            let before = changed.sequence
            for draft in drafts { changed.record(draft, at: now) }
            state.jobs[job] = changed
            return (before + 1...changed.sequence, [job])
        }
    }

    public func knownState(of job: JobID) -> JobState? { inspect(job) { $0.fold.progress.state } }

    public func tags(of ids: [JobID]) -> [JobID: [Name: Name]] {
        state.withLock { state in
            Dictionary(
                uniqueKeysWithValues: Set(ids).compactMap { id in state.jobs[id].map { (id, $0.description.tags) } })
        }
    }

    // MARK: Watching

    public func observeSnapshots(_ body: @escaping @Sendable (SnapshotHint) -> Void) -> SnapshotSubscription {
        observers.add(body)
    }

    public func waitUntilFolded(_ job: JobID, sequence: EventSequence, deadline: Duration) async -> Bool {
        let (hints, sink) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        // The snapshot is compared after the subscription, so that no change is missed.
        let subscription = observeSnapshots { _ in sink.yield() }
        let isReached = { (self.job(job)?.snapshot.sequence ?? 0) >= sequence }
        // Even a wait of no time finds what has been reached.
        guard !isReached() else { return true }
        let timer = Task(name: "in-memory-wait") {
            do { try await Task.sleep(for: deadline) } catch { return }
            sink.finish()
        }
        defer {
            timer.cancel()
            withExtendedLifetime(subscription) {}
        }
        for await _ in hints where isReached() { return true }
        return false
    }

    public func waitForChange(_ job: JobID, after sequence: EventSequence, deadline: Duration) async -> Bool {
        await waitUntilFolded(job, sequence: sequence + 1, deadline: deadline)
    }

    public func newExecutionName() -> Name {
        let id = JobID(
            createdAt: Self.now, randomHigh: .random(in: 0 ... .max), randomLow: .random(in: 0 ... .max))
        return Name(id.description)
    }
}

extension InMemoryLedger.State {
    mutating func add(_ job: InMemoryJob) {
        jobs[job.id] = job
        if let key = job.description.key { keys[key] = job.id }
    }
}
