internal import Ledger
internal import Synchronization

/// A bounded cache of past states of jobs, from which folds continue.
///
/// While a fold reads the events of a job, it adds states at even distances: its *checkpoints*, in compact form. A
/// later question about any event then folds only the events since the checkpoint before it. The last state of a fold
/// is kept as it is, because the parts of a page ask about the same moment.
///
/// If the states exceed the limit, those of the job that was used least recently are evicted. A single job that exceeds
/// it doubles the distance of its checkpoints.
final class FoldCache: Sendable {
    /// The maximum memory of all states, in bytes, by the estimates of their parts.
    ///
    /// It is more than their memory, because the states of a job share further parts.
    static let bytesMax = 256 << 20
    /// The least number of events between checkpoints.
    ///
    /// To fold them takes some 100 ms in a job of a hundred thousand tasks, as long as to restore a checkpoint of it.
    static let distanceMin: Int64 = 50_000

    /// The state of a job after an event.
    struct State: Sendable {
        var sequence: EventSequence = .start
        var fold = Fold(tracksChanges: false)
        var estimate = EstimateState()

        /// Its approximate memory in bytes.
        var bytes: Int { 4_096 + fold.memoryEstimateWithReports + estimate.memoryEstimate }
    }

    /// The nearest state before an event, with other parts of its history.
    struct Start: Sendable {
        fileprivate enum Nearest: Sendable {
            case state(State)
            case checkpoint(FoldCheckpoint)
        }

        fileprivate var nearest: Nearest
        /// The nearest kept checkpoint at or before this state.
        ///
        /// The next checkpoint shares its parts.
        fileprivate(set) var checkpoint: FoldCheckpoint?
        fileprivate var positions: FoldPositions?
        /// The hashes of events that identify the history of all these parts.
        ///
        /// They are to be used only if the job has these events.
        fileprivate(set) var hashes: [EventSequence: EventHash]

        /// The event after which the state is.
        var sequence: EventSequence {
            switch nearest {
            case .state(let state): state.sequence
            case .checkpoint(let checkpoint): checkpoint.sequence
            }
        }

        /// Returns the state.
        ///
        /// Costs 1 µs for each execution of a checkpoint, twice as much if no later state is known.
        func state() throws(FoldStateError) -> State {
            switch nearest {
            case .state(let state): return state
            case .checkpoint(let checkpoint):
                let (fold, estimate) = try checkpoint.state(sharing: positions)
                return State(sequence: checkpoint.sequence, fold: fold, estimate: estimate)
            }
        }

        /// Adds a proof of the history.
        ///
        /// - Returns: false if it contradicts the others, so that its part belongs to another history.
        fileprivate mutating func require(_ sequence: EventSequence, _ hash: EventHash) -> Bool {
            if let other = hashes[sequence] { return other == hash }
            hashes[sequence] = hash
            return true
        }
    }

    fileprivate struct Entry<Content: Sendable> {
        let content: Content
        let sequence: EventSequence
        /// The hash of its last event, which identifies the history.
        let hash: EventHash
    }

    fileprivate struct Job {
        /// The checkpoints, ascending.
        var checkpoints: [Entry<FoldCheckpoint>] = []
        /// The last state of the latest fold.
        var latest: Entry<State>?
        /// The positions of the largest of these states.
        var positions: Entry<FoldPositions>?
        /// The number of events between checkpoints.
        var distance: Int64
        /// The number of the latest use of the cache for this job.
        var use: UInt64 = 0
        /// The approximate memory.
        var bytes = 0
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
        contents.withLock { contents in
            guard let job = contents.jobs[job] else { return [] }
            let states = job.checkpoints.map(\.sequence) + (job.latest.map { [$0.sequence] } ?? [])
            return Set(states).sorted()
        }
    }

    /// The number of events between the checkpoints of a job.
    func distance(of job: JobID) -> Int64 { contents.withLock { $0.jobs[job]?.distance ?? distanceMin } }

    /// Returns the nearest state of a job up to an event; nil without one.
    ///
    /// The caller must check that the job still has the events of its ``Start/hashes``.
    func start(of job: JobID, upTo sequence: EventSequence) -> Start? {
        contents.withLock { contents in
            contents.uses += 1
            contents.jobs[job]?.use = contents.uses
            return contents.jobs[job]?.start(upTo: sequence)
        }
    }

    /// Removes the states of a job, because it has another history now.
    func remove(_ job: JobID) {
        contents.withLock { $0.jobs[job] = nil }
    }

    /// Adds a checkpoint of a job, with the hash of its last event.
    ///
    /// Evicts others if there is no room.
    func insert(_ checkpoint: FoldCheckpoint, _ hash: EventHash, of job: JobID) {
        insert(of: job) { $0.insert(Entry(content: checkpoint, sequence: checkpoint.sequence, hash: hash)) }
    }

    /// Adds the last state of a fold of a job, with the hash of its last event.
    ///
    /// Evicts others if there is no room. A state of more than half of the limit is not kept.
    func insert(_ state: State, _ hash: EventHash, of job: JobID) {
        guard state.bytes <= limit / 2 else { return }
        insert(of: job) { job in
            job.latest = Entry(content: state, sequence: state.sequence, hash: hash)
            guard state.fold.executionCount > job.positions?.content.executionCount ?? 0 else { return }
            job.positions = Entry(content: state.fold.positions, sequence: state.sequence, hash: hash)
        }
    }

    private func insert(of job: JobID, _ body: (inout Job) -> Void) {
        contents.withLock { contents in
            contents.uses += 1
            var changed = contents.jobs[job] ?? Job(distance: distanceMin)
            // Otherwise the changes would copy it.
            contents.jobs[job] = nil
            changed.use = contents.uses
            body(&changed)
            changed.count()
            contents.jobs[job] = changed
            contents.makeRoom(limit, for: job)
        }
    }
}

extension FoldCache.Contents {
    fileprivate mutating func makeRoom(_ limit: Int, for job: JobID) {
        while bytes > limit {
            if let oldest = jobs.filter({ $0.key != job }).min(by: { $0.value.use < $1.value.use }) {
                jobs[oldest.key] = nil
            } else {
                jobs[job]?.doubleDistance()
            }
        }
    }
}

extension FoldCache.Job {
    fileprivate func start(upTo sequence: EventSequence) -> FoldCache.Start? {
        let checkpoint = checkpoints.last { $0.sequence <= sequence }
        guard var start = nearest(checkpoint, upTo: sequence) else { return nil }
        if let checkpoint, checkpoint.sequence <= start.sequence, start.require(checkpoint.sequence, checkpoint.hash) {
            start.checkpoint = checkpoint.content
        }
        if let positions, start.require(positions.sequence, positions.hash) { start.positions = positions.content }
        return start
    }

    private func nearest(
        _ checkpoint: FoldCache.Entry<FoldCheckpoint>?, upTo sequence: EventSequence
    ) -> FoldCache.Start? {
        if let latest, latest.sequence <= sequence {
            // To restore an execution takes as long as to fold half an event.
            let further = checkpoint.map { $0.sequence - latest.sequence } ?? 0
            if 2 * further <= latest.content.fold.executionCount {
                return FoldCache.Start(nearest: .state(latest.content), hashes: [latest.sequence: latest.hash])
            }
        }
        return checkpoint.map {
            FoldCache.Start(nearest: .checkpoint($0.content), hashes: [$0.sequence: $0.hash])
        }
    }

    fileprivate mutating func insert(_ entry: FoldCache.Entry<FoldCheckpoint>) {
        guard entry.sequence.number.isMultiple(of: distance) else { return }
        let index = checkpoints.firstIndex { $0.sequence >= entry.sequence } ?? checkpoints.count
        if index < checkpoints.count, checkpoints[index].sequence == entry.sequence {
            if checkpoints[index].hash != entry.hash { checkpoints[index] = entry }
        } else {
            checkpoints.insert(entry, at: index)
        }
    }

    /// Counts the memory.
    fileprivate mutating func count() {
        bytes = (latest?.content.bytes ?? 0) + (positions?.content.bytes ?? 0)
        var previous: FoldCheckpoint?
        for checkpoint in checkpoints {
            bytes += checkpoint.content.bytes(after: previous)
            previous = checkpoint.content
        }
    }

    /// Doubles the distance of the checkpoints.
    ///
    /// Without checkpoints, the last state is removed.
    fileprivate mutating func doubleDistance() {
        if checkpoints.isEmpty { (latest, positions) = (nil, nil) }
        distance *= 2
        checkpoints.removeAll { !$0.sequence.number.isMultiple(of: distance) }
        count()
    }
}
