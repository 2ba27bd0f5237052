internal import Ledger
internal import Synchronization

/// A bounded cache of past states of jobs, from which folds continue.
///
/// While a fold reads the events of a job, it keeps states at even distances: its *checkpoints*. A later question about
/// any event then folds only the events since the checkpoint before it. The last state of a fold is kept as well,
/// because the parts of a page ask about the same moment.
///
/// If the states exceed the limit, those of the job that was used least recently are evicted. A single job that exceeds
/// it doubles the distance of its checkpoints.
final class FoldCache: Sendable {
    /// The maximum memory of all states, in bytes, by the estimates of their parts.
    ///
    /// It is more than their memory, because the states of a job share the parts that did not change between them.
    static let bytesMax = 256 << 20
    /// The least number of events between checkpoints.
    static let distanceMin: Int64 = 50_000

    /// The state of a job after an event.
    struct State: Sendable {
        var sequence: EventSequence = .start
        var fold = Fold(tracksChanges: false)
        var estimate = EstimateState()

        /// Its approximate memory in bytes.
        var bytes: Int { 4_096 + fold.memoryEstimate + estimate.memoryEstimate }
    }

    fileprivate struct Entry {
        let state: State
        /// The hash of its last event, which identifies the history.
        let hash: EventHash
        let bytes: Int
    }

    fileprivate struct Job {
        /// The checkpoints, ascending.
        var checkpoints: [Entry] = []
        /// The last state of the latest fold; nil if it is a checkpoint.
        var latest: Entry?
        /// The number of events between checkpoints.
        var distance: Int64
        /// The number of the latest use of the cache for this job.
        var use: UInt64 = 0

        var bytes: Int { checkpoints.reduce(latest?.bytes ?? 0) { $0 + $1.bytes } }
        var entries: [Entry] { checkpoints + (latest.map { [$0] } ?? []) }
    }

    fileprivate struct Contents {
        var jobs: [JobID: Job] = [:]
        var uses: UInt64 = 0

        var bytes: Int { jobs.values.reduce(0) { $0 + $1.bytes } }
    }

    private let limit: Int
    private let distanceMin: Int64
    private let contents = Mutex(Contents())

    /// Creates an empty cache.
    ///
    /// - Parameters:
    ///   - limit: The maximum memory of all states, in bytes.
    ///   - distanceMin: The least number of events between checkpoints.
    init(limit: Int = FoldCache.bytesMax, distanceMin: Int64 = FoldCache.distanceMin) {
        self.limit = limit
        self.distanceMin = distanceMin
    }

    /// The approximate memory of all states, in bytes.
    var bytes: Int { contents.withLock { $0.bytes } }

    /// The sequences of the states of a job, ascending.
    func sequences(of job: JobID) -> [EventSequence] {
        contents.withLock { $0.jobs[job]?.entries.map(\.state.sequence).sorted() ?? [] }
    }

    /// The number of events between the checkpoints of a job.
    func distance(of job: JobID) -> Int64 { contents.withLock { $0.jobs[job]?.distance ?? distanceMin } }

    /// Returns the latest state of a job up to an event, with the hash of its event.
    ///
    /// Nil without one.
    ///
    /// The caller must check that the job still has an event with this sequence and hash.
    func state(of job: JobID, upTo sequence: EventSequence) -> (state: State, hash: EventHash)? {
        contents.withLock { contents in
            contents.uses += 1
            contents.jobs[job]?.use = contents.uses
            let found = contents.jobs[job]?.entries.filter { $0.state.sequence <= sequence }
                .max { $0.state.sequence < $1.state.sequence }
            return found.map { ($0.state, $0.hash) }
        }
    }

    /// Removes the states of a job, because it has another history now.
    func remove(_ job: JobID) {
        contents.withLock { $0.jobs[job] = nil }
    }

    /// Adds states of a job, ascending, with the hashes of their last events.
    ///
    /// Evicts others if there is no room.
    ///
    /// A state of more than half of the limit is not kept.
    func insert(_ states: [(state: State, hash: EventHash)], of job: JobID) {
        contents.withLock { contents in
            contents.uses += 1
            for (state, hash) in states {
                let entry = Entry(state: state, hash: hash, bytes: state.bytes)
                guard entry.bytes <= limit / 2 else { continue }
                contents.jobs[job, default: Job(distance: distanceMin)].use = contents.uses
                contents.jobs[job]?.insert(entry)
                contents.makeRoom(limit, for: job)
            }
        }
    }
}

extension FoldCache.Contents {
    fileprivate mutating func makeRoom(_ limit: Int, for job: JobID) {
        while bytes > limit {
            if let oldest = jobs.filter({ $0.key != job }).min(by: { $0.value.use < $1.value.use }) {
                jobs[oldest.key] = nil
            } else {
                jobs[job]?.thinOut()
            }
        }
    }
}

extension FoldCache.Job {
    fileprivate mutating func insert(_ entry: FoldCache.Entry) {
        guard entry.state.sequence.number.isMultiple(of: distance) else {
            latest = entry
            return
        }
        let index = checkpoints.firstIndex { $0.state.sequence >= entry.state.sequence } ?? checkpoints.count
        if index < checkpoints.count, checkpoints[index].state.sequence == entry.state.sequence { return }
        checkpoints.insert(entry, at: index)
    }

    /// Doubles the distance of the checkpoints.
    ///
    /// Without checkpoints, the last state is removed.
    fileprivate mutating func thinOut() {
        if checkpoints.isEmpty { latest = nil }
        distance *= 2
        checkpoints.removeAll { !$0.state.sequence.number.isMultiple(of: distance) }
    }
}
