internal import Ledger
internal import PQ
internal import Synchronization

/// The states of jobs that this process knows, for the responses to appends.
///
/// An append must not pay for them: it looks up one entry. The projection worker of this process and the hints of other
/// processes keep the entries current. A hint can get lost, so an entry that is older than ``ageMax`` is
/// read again in the background, shared with the other jobs that need it then.
final class JobStates: Sendable {
    /// The maximum number of jobs, at about 100 bytes each.
    private static let jobsMax = 100_000
    /// The age after which an entry is read again.
    static let ageMax: Duration = .seconds(30)

    /// The state of a job's live snapshot beside its head, read at one moment.
    struct Reading: Sendable {
        /// The last event in the ledger.
        let head: EventSequence
        /// The last event in the snapshot.
        let sequence: EventSequence
        /// The state at that event, which is a fact about the events up to it.
        let state: JobState
        let isRetired: Bool
    }

    private struct Entry {
        var sequence: EventSequence
        var state: JobState?
        /// The time at which it was read; nil while it is being read.
        var readAt: ContinuousClock.Instant?
    }

    private struct State {
        var entries = BoundedCache<JobID, Entry>(costMax: jobsMax)
        /// Older entries are read again.
        var expiry: ContinuousClock.Instant
    }

    private let state: Mutex<State>
    private let lookup: BatchedLookup<Reading>
    private let now: @Sendable () -> ContinuousClock.Instant

    init(_ pool: Pool, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) {
        self.now = now
        state = Mutex(State(expiry: now()))
        lookup = BatchedLookup(on: pool.reactor, jobsMax: 1_000) { jobs throws(PQError) in
            try await Self.read(jobs, on: pool)
        }
    }

    /// The statement that reads states. Tests check its plan.
    static let statement = """
        select
            head.job_id, head.sequence, coalesce(snapshot.sequence, 0),
            coalesce(snapshot.state, '\(JobState.running.rawValue)'), head.retired_hash is not null
        from ledger.job_head as head
        \(LiveSnapshot.join(of: "head.job_id"))
        where head.job_id = any($1)
        """

    private static func read(_ jobs: [JobID], on pool: Pool) async throws(PQError) -> [JobID: Reading] {
        var readings: [JobID: Reading] = [:]
        for row in try await pool.query(Query(statement, [.uuids(jobs.map(\.uuid))])) {
            guard let state = JobState(rawValue: try row.decode(3)) else {
                throw PQError(.decoding, "a snapshot has an unknown state")
            }
            readings[try row.decode(0, as: JobID.self)] = Reading(
                head: try row.decode(1), sequence: try row.decode(2), state: state, isRetired: try row.decode(4))
        }
        return readings
    }

    /// Returns the state of the newest known snapshot; nil if none is known.
    ///
    /// A missing or old entry is read in the background, for the next call.
    func known(_ job: JobID) -> JobState? {
        let now = self.now()
        let (known, isDue) = state.withLock { state in
            guard var entry = state.entries.find(job, where: { _ in true }) else {
                state.entries.put(Entry(sequence: 0), job)
                return (JobState?.none, true)
            }
            guard let readAt = entry.readAt, readAt < max(now - Self.ageMax, state.expiry) else {
                return (entry.state, false)
            }
            entry.readAt = nil
            state.entries.put(entry, job)
            return (entry.state, true)
        }
        if isDue {
            lookup.get(job) { [self] result in
                switch result {
                case .success(let reading?): record(job, reading.sequence, reading.state)
                // The next append tries again.
                case .success(nil), .failure: expire(job)
                }
            }
        }
        return known
    }

    /// Reads the state of a job from the database; nil if it does not exist.
    func read(_ job: JobID) async throws(StoreError) -> Reading? {
        try await withCheckedContinuation { continuation in
            lookup.get(job) { continuation.resume(returning: $0) }
        }.get()
    }

    /// Records the state of a new job.
    func created(_ job: JobID, _ sequence: EventSequence) {
        record(job, sequence, .running)
    }

    /// Records the state of a snapshot that has moved.
    ///
    /// - Parameter newest: Nil if the hint has no state: the job is running, or the sender is of an earlier version.
    func folded(_ job: JobID, _ sequence: EventSequence, _ newest: JobState?) {
        state.withLock { state in
            // Only jobs that are appended to here are of interest.
            guard var entry = state.entries.peek(job), sequence > entry.sequence else { return }
            if let newest {
                entry.sequence = sequence
                entry.state = newest
            } else if entry.state != .running {
                // The job was reopened, unless a worker of an earlier version has sent the hint.
                entry.sequence = sequence
                entry.state = nil
                if entry.readAt != nil { entry.readAt = state.expiry - .seconds(1) }
            }
            state.entries.put(entry, job)
        }
    }

    /// Makes every entry be read again, because hints may have been lost.
    func expireAll() {
        state.withLock { $0.expiry = now() }
    }

    private func record(_ job: JobID, _ sequence: EventSequence, _ newest: JobState) {
        state.withLock { state in
            var entry = state.entries.peek(job) ?? Entry(sequence: 0)
            // A hint may have overtaken the reading.
            if sequence >= entry.sequence {
                entry.sequence = sequence
                entry.state = newest
            }
            entry.readAt = now()
            state.entries.put(entry, job)
        }
    }

    private func expire(_ job: JobID) {
        state.withLock { state in
            guard var entry = state.entries.peek(job) else { return }
            entry.readAt = state.expiry - .seconds(1)
            state.entries.put(entry, job)
        }
    }
}
