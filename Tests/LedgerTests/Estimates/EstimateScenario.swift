import Ledger

/// A job written event by event, and its estimates at any moment.
struct EstimateScenario {
    private(set) var events: [Event] = []
    private var pending: [(second: Double, body: EventBody)] = []

    static let start = Timestamp(microseconds: 1_750_000_000_000_000)

    static func moment(_ second: Double) -> Timestamp {
        Timestamp(microseconds: start.microseconds + Int64(second * 1e6))
    }

    mutating func begin(_ task: String, attempt: Int32 = 1, at second: Double) {
        pending.append((second, .executionStarted(Self.reference(task, attempt))))
    }

    mutating func report(
        _ task: String, attempt: Int32 = 1, label: String = "tiles", total: Int64? = nil, done: Int64? = nil,
        at second: Double
    ) {
        let report = ProgressReport(
            reference: Self.reference(task, attempt), label: Name(label), total: total, done: done)
        pending.append((second, .progress(report)))
    }

    mutating func end(
        _ task: String, attempt: Int32 = 1, _ outcome: ExecutionOutcome = .succeeded, at second: Double
    ) {
        pending.append((second, .executionFinished(Self.reference(task, attempt), outcome)))
    }

    mutating func finish(_ outcome: JobOutcome = .completed, at second: Double) {
        pending.append((second, .jobFinished(outcome)))
    }

    /// Adds the tasks of workers that each take one task after the other.
    ///
    /// - Parameter seconds: The duration of each task, by its number.
    /// - Returns: The second at which the last one ends.
    @discardableResult
    mutating func work(
        tasks: Int, workers: Int, from second: Double = 0, label: String = "tiles", prefix: String = "t",
        stopAfter: Int? = nil, seconds: (Int) -> Double
    ) -> Double {
        var free = [Double](repeating: second, count: workers)
        for number in 0..<tasks {
            if let stopAfter, number >= stopAfter { break }
            let worker = free.indices.min { free[$0] < free[$1] } ?? 0
            let (begun, ended) = (free[worker], free[worker] + seconds(number))
            begin("\(prefix)\(number)", at: begun)
            report("\(prefix)\(number)", label: label, done: 1, at: ended)
            end("\(prefix)\(number)", at: ended)
            free[worker] = ended
        }
        return free.max() ?? second
    }

    /// Declares units by an execution that does none of them.
    mutating func plan(_ total: Int64, label: String = "tiles", at second: Double = 0) {
        begin("root", at: second)
        report("root", label: label, total: total, at: second)
    }

    private static func reference(_ task: String, _ attempt: Int32) -> ExecutionReference {
        ExecutionReference(task: Name(task), execution: Name("\(task)-\(attempt)"), attempt: attempt)
    }

    /// All events, in the order of their times.
    func recorded() -> [Event] {
        let ordered = pending.enumerated().sorted { ($0.element.second, $0.offset) < ($1.element.second, $1.offset) }
        let first = Event(
            sequence: 1, recordedAt: Self.start, body: .jobCreated(JobDescription(name: "scenario")))
        return [first]
            + ordered.enumerated().map { index, entry in
                Event(
                    sequence: EventSequence(index) + 2, recordedAt: Self.moment(entry.element.second),
                    body: entry.element.body)
            }
    }

    /// The fold and the state of the events up to a second.
    func folded(to second: Double) throws -> (fold: Fold, state: EstimateState) {
        var fold = Fold(tracksChanges: false)
        var state = EstimateState()
        for event in recorded() where event.recordedAt <= Self.moment(second) {
            try state.apply(event, to: &fold)
        }
        return (fold, state)
    }

    func estimate(at second: Double, history: EstimateHistory? = nil) throws -> Estimate {
        let (fold, state) = try folded(to: second)
        return Estimator(state, fold.snapshot(), history: history, startedTasks: fold.startedTasks)
            .estimate(at: Self.moment(second))
    }

    /// The summary of the job, which must have finished.
    func summary(after history: EstimateHistory? = nil) throws -> (summary: RunSummary?, score: EstimateScore?) {
        let events = recorded()
        let last = events[events.count - 1].recordedAt
        var fold = Fold(tracksChanges: false)
        var review = RunReview(from: Self.start, to: last, events: Int64(events.count), history: history)
        for event in events { try review.apply(event, to: &fold) }
        return (review.summary(of: fold), review.score)
    }
}

/// A reproducible sequence of durations.
struct Durations {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    /// A number between 0 and 1.
    private mutating func uniform() -> Double {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Double(state >> 11) / 9_007_199_254_740_992
    }

    /// A number of seconds around a mean, from 0.7 to 1.3 of it.
    mutating func around(_ mean: Double) -> Double { mean * (0.7 + 0.6 * uniform()) }
}
