import Ledger
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerStore

@Suite("The cache of past states")
struct FoldCacheTests {
    private static let job = JobID(high: 1, low: 1)
    private static let other = JobID(high: 1, low: 2)
    private static let hash = EventHash(1, 2, 3, 4)

    /// A state after this event; its size is that of any state without tasks.
    private static func state(_ sequence: EventSequence) -> FoldCache.State {
        FoldCache.State(
            sequence: sequence, fold: Fold(JobProgress(sequence: sequence), tracksChanges: false),
            estimate: EstimateState())
    }

    private static func checkpoint(_ sequence: EventSequence) -> FoldCheckpoint {
        FoldCheckpoint(state(sequence).fold, EstimateState(), after: nil)
    }

    private static let checkpointBytes = checkpoint(1).bytes(after: nil)

    @Test("the nearest state up to an event is found, and none beyond it")
    func finds() {
        let cache = FoldCache(distanceMin: 10)
        for sequence in [10, 20, 30] as [EventSequence] {
            cache.insert(Self.checkpoint(sequence), Self.hash, of: Self.job)
        }
        for (sequence, found) in [(9, nil), (10, 10), (19, 10), (20, 20), (1_000, 30)]
            as [(EventSequence, EventSequence?)]
        {
            #expect(cache.start(of: Self.job, upTo: sequence)?.sequence == found)
        }
        #expect(cache.start(of: Self.other, upTo: 1_000) == nil)
    }

    @Test("the checkpoints stay, and of the other states only the latest one")
    func keepsCheckpoints() {
        let cache = FoldCache(distanceMin: 10)
        for sequence in [10, 20, 25] as [EventSequence] {
            cache.insert(Self.checkpoint(sequence), Self.hash, of: Self.job)
        }
        for sequence in [13, 25, 21] as [EventSequence] { cache.insert(Self.state(sequence), Self.hash, of: Self.job) }
        #expect(cache.sequences(of: Self.job) == [10, 20, 21])
        #expect(cache.start(of: Self.job, upTo: 30)?.sequence == 21)
    }

    @Test("a state before the nearest checkpoint is preferred if it takes less time")
    func prefersStates() throws {
        let cache = FoldCache(distanceMin: 100)
        var state = FoldCache.State()
        for (index, event) in RandomHistory.events(count: 99, seed: 7).enumerated() {
            try state.estimate.apply(event, to: &state.fold)
            state.sequence = EventSequence(index + 1)
        }
        let executions = state.fold.executionCount
        #expect(executions > 2)
        cache.insert(Self.checkpoint(100), Self.hash, of: Self.job)
        cache.insert(state, Self.hash, of: Self.job)
        #expect(cache.start(of: Self.job, upTo: 150)?.sequence == 99)
        cache.insert(Self.checkpoint(200), Self.hash, of: Self.job)
        #expect(cache.start(of: Self.job, upTo: 250)?.sequence == 200)
    }

    @Test("parts of another history are not used, and all others name the events that prove theirs")
    func proves() throws {
        let cache = FoldCache(distanceMin: 10)
        let other = EventHash(5, 6, 7, 8)
        cache.insert(Self.checkpoint(10), Self.hash, of: Self.job)
        cache.insert(Self.state(10), other, of: Self.job)
        let contradictory = try #require(cache.start(of: Self.job, upTo: 19))
        #expect(contradictory.hashes == [10: other] && contradictory.checkpoint == nil)
        cache.insert(Self.checkpoint(10), other, of: Self.job)
        #expect(cache.start(of: Self.job, upTo: 19)?.checkpoint != nil, "a checkpoint of another history is replaced")
        var later = FoldCache.State()
        for (index, event) in RandomHistory.events(count: 35, seed: 7).enumerated() {
            try later.estimate.apply(event, to: &later.fold)
            later.sequence = EventSequence(index + 1)
        }
        cache.insert(later, Self.hash, of: Self.job)
        #expect(cache.start(of: Self.job, upTo: 19)?.hashes == [10: other, 35: Self.hash])
    }

    @Test("a job that exceeds the limit doubles the distance of its checkpoints")
    func thinsOut() {
        let cache = FoldCache(limit: 4 * Self.checkpointBytes, distanceMin: 10)
        for number in 1...12 { cache.insert(Self.checkpoint(EventSequence(number * 10)), Self.hash, of: Self.job) }
        #expect(cache.bytes <= 4 * Self.checkpointBytes)
        #expect(cache.distance(of: Self.job) == 40)
        #expect(cache.sequences(of: Self.job) == [40, 80, 120])
    }

    @Test("the job that was used least recently is evicted first")
    func evicts() {
        let cache = FoldCache(limit: 4 * Self.checkpointBytes, distanceMin: 10)
        let third = JobID(high: 1, low: 3)
        for job in [Self.job, Self.other] {
            for sequence in [10, 20] as [EventSequence] { cache.insert(Self.checkpoint(sequence), Self.hash, of: job) }
        }
        #expect(cache.start(of: Self.job, upTo: 10) != nil)
        cache.insert(Self.checkpoint(10), Self.hash, of: third)
        #expect(cache.sequences(of: Self.job) == [10, 20] && cache.sequences(of: Self.other) == [])
        #expect(cache.bytes == 3 * Self.checkpointBytes)
    }

    @Test("a state of more than half of the limit is not kept")
    func refuses() {
        let cache = FoldCache(limit: Self.state(10).bytes * 2 - 1)
        cache.insert(Self.state(10), Self.hash, of: Self.job)
        #expect(cache.bytes == 0)
    }

    @Test("folds that continue from any kept state agree with the pure fold", arguments: [UInt64(41), 42])
    func continues(seed: UInt64) async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let drafts = RandomHistory.events(count: 200, seed: seed).dropFirst().map { EventDraft($0.body) }
            _ = try await ledger.append(Array(drafts), to: job)
            #expect(try await ledger.waitUntilFolded(job, sequence: 200, deadline: .testTimeout))
            let view = try #require(try await ledger.job(job))
            let page = try #require(try await ledger.events(job, EventFilter(), after: nil, limit: 1_000))
            var fold = Fold(tracksChanges: false)
            var snapshots = [fold.snapshot()]
            for entry in page.events {
                try fold.apply(entry.event)
                snapshots.append(fold.snapshot())
            }
            let reader = PointInTimeFold(pool: ledger.pool, cache: FoldCache(distanceMin: 16))
            var generator = SeededGenerator(seed: seed)
            for sequence in (0...200).shuffled(using: &generator) {
                let past = try await reader.past(of: view, at: EventSequence(sequence))
                #expect(past.snapshot == snapshots[sequence], "seed \(seed), event \(sequence)")
                var state = EstimateState()
                var expected = Fold(tracksChanges: false)
                for entry in page.events.prefix(sequence) { try state.apply(entry.event, to: &expected) }
                #expect(past.state == state, "seed \(seed), event \(sequence)")
            }
            #expect(
                reader.cache.sequences(of: job).filter { $0.number.isMultiple(of: 16) }
                    == Array(stride(from: 16, through: 192, by: 16)))
        }
    }

    @Test("a state of another history is not used")
    func checksTheHistory() async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let report = ProgressReport(reference: ExecutionReference(task: "t"), done: 1)
            _ = try await ledger.append(Array(repeating: EventDraft(.progress(report)), count: 20), to: job)
            #expect(try await ledger.waitUntilFolded(job, sequence: 21, deadline: .testTimeout))
            let view = try #require(try await ledger.job(job))
            let cache = FoldCache(distanceMin: 10)
            let reader = PointInTimeFold(pool: ledger.pool, cache: cache)
            // As after a failover that lost events: the same sequence was another event.
            cache.insert(Self.checkpoint(10), Self.hash, of: job)
            let past = try await reader.past(of: view, at: 12)
            #expect(past.snapshot.indicators.first?.counted.done == 11)
            #expect(cache.sequences(of: job) == [10, 12])
            #expect(cache.start(of: job, upTo: 10)?.hashes.values.contains(Self.hash) == false)
        }
    }
}
