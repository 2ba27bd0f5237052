import Ledger
import LedgerTestSupport
import Testing

/// Laws that hold for every history.
///
/// A failure prints its seed; `RandomHistory.events(count:seed:)` reproduces the history.
@Suite("Laws of the fold", .serialized, .ownThread)
struct FoldLawTests {
    static let seeds: [UInt64] = (1...32).map { $0 &* 7_919 }

    @Test("the fold agrees with the oracle on every event and indicator", arguments: seeds)
    func agreesWithOracle(seed: UInt64) throws {
        var oracle = Oracle()
        var fold = Fold()
        for event in RandomHistory.events(count: 240, seed: seed) {
            oracle.append(event)
            let decision = try fold.apply(event)
            try #require(decision.verdict == oracle.verdict(of: event, at: event.sequence), "\(event)")
            try #require(decision.duplicateOf == oracle.duplicateOf[event.sequence], "\(event)")
            if event.sequence.number % 20 == 0 {
                for policy in CountingPolicy.allCases {
                    try #require(shown(fold.snapshot(policy)) == oracle.indicators(policy), "\(policy) at \(event)")
                }
                try #require(fold.progress.state == oracle.jobState)
                try #require(fold.snapshot().message == oracle.message)
            }
        }
        for execution in fold.executionStates {
            let sequence = execution.id.sequence
            #expect(execution.messageSequence == oracle.lastEvent(of: sequence) { $0.message != nil })
            #expect(execution.linkSequence == oracle.lastEvent(of: sequence) { $0.link != nil })
        }
        for task in fold.taskStates {
            #expect(task.state == oracle.taskState(task.name))
        }
        #expect(fold.progress.tasks.executions == Int64(oracle.executions.count))
    }

    @Test("verdicts derived from the executions agree with the oracle", arguments: seeds)
    func verdictsFollowFromExecutions(seed: UInt64) throws {
        let events = RandomHistory.events(count: 240, seed: seed)
        var oracle = Oracle()
        var fold = Fold()
        for event in events {
            oracle.append(event)
            try fold.apply(event)
        }
        let head = EventSequence(events.count)
        let histories = Dictionary(grouping: fold.executionStates, by: \.task).mapValues { ExecutionClassifier($0) }
        let tasks = Dictionary(uniqueKeysWithValues: fold.taskStates.map { ($0.name, $0.id) })
        for event in events {
            guard let reference = event.body.reference, oracle.discarded[event.sequence] == nil else { continue }
            let history = try #require(tasks[reference.task].flatMap { histories[$0] })
            let classification = try #require(history.classification(of: reference, at: event.sequence), "\(event)")
            #expect(classification.isLate == oracle.isLate(event), "\(event)")
            #expect(classification.supersededBy?.id.sequence == oracle.supersededBy(event, at: head), "\(event)")
            #expect(classification.execution.id.sequence == oracle.executionOfEvent[event.sequence]?.first, "\(event)")
        }
    }

    @Test(
        "folding event by event, in batches, from a stored state or in memory gives the same result", arguments: seeds,
        [0, 0.9, 1])
    func isIndependentOfBatches(seed: UInt64, shareInMemory: Double) throws {
        var generator = SeededGenerator(seed: seed ^ 0xBA7C4)
        let events = RandomHistory.events(count: 900, seed: seed)
        var whole = Fold()
        for event in events { try whole.apply(event) }

        var stored = StoredFold()
        var rest = events[...]
        while !rest.isEmpty {
            let batch = rest.prefix(Int.random(in: 1...150, using: &generator))
            rest = rest.dropFirst(batch.count)
            let keepsState = Double.random(in: 0..<1, using: &generator) < shareInMemory
            try stored.fold(Array(batch), keepsState: keepsState)
            try #require(stored.isConserved, "after \(stored.progress.sequence)")
        }
        #expect(stored.progress == whole.progress)
        #expect(stored.sortedTasks == whole.taskStates)
        #expect(stored.sortedExecutions == whole.executionStates)
        #expect(stored.sortedIndicators == whole.indicatorStates)
        for execution in whole.executionStates {
            #expect(stored.encodedStates[execution.id] == execution.encodedState)
        }
    }

    @Test("received = counted + superseded + discarded, at every event and label", arguments: seeds)
    func everyUnitIsAccountedFor(seed: UInt64) throws {
        var fold = Fold()
        for event in RandomHistory.events(count: 240, seed: seed) {
            try fold.apply(event)
            for indicator in fold.indicatorStates {
                try #require(indicator.isConserved)
                let counted = fold.executionStates.filter(\.isLast).flatMap(\.contributions.entries)
                    .filter { $0.indicator == indicator.id }
                try #require(counted.reduce(Units.zero) { $0 + $1.units } == indicator.counted)
                try #require(counted.reduce(0) { $0 + $1.events } == indicator.countedEvents)
            }
        }
    }

    @Test("many labels are distinguished, in the order in which they were first named")
    func manyLabels() throws {
        // Some labels differ in only one scalar. Their lengths lie around the eight bytes that are compared at once.
        let labels = (1...12).flatMap { length in
            ["a", "b"].map { Name(String(repeating: "x", count: length - 1) + $0) }
        }
        var fold = Fold()
        try fold.apply(
            Event(sequence: 1, recordedAt: Timestamp(microseconds: 1), body: .jobCreated(JobDescription(name: "n"))))
        for round in 0..<2 {
            for (number, label) in labels.enumerated() {
                let report = ProgressReport(
                    reference: ExecutionReference(task: "t", attempt: 1), label: label, done: Int64(number))
                let sequence = EventSequence(2 + round * labels.count + number)
                try fold.apply(
                    Event(
                        sequence: sequence, recordedAt: Timestamp(microseconds: sequence.number),
                        body: .progress(report)))
            }
        }
        let shown = fold.snapshot().indicators
        #expect(shown.map(\.label) == labels)
        #expect(shown.map(\.counted.done) == labels.indices.map { Int128(2 * $0) })
    }

    /// The indicators without their times, which the oracle does not define.
    private func shown(_ snapshot: Snapshot) -> [Snapshot.Indicator] {
        snapshot.indicators.map {
            Snapshot.Indicator(
                label: $0.label, counted: $0.counted, attempted: $0.attempted, carried: $0.carried,
                updatedAt: Timestamp(microseconds: 0), unit: $0.unit, message: $0.message)
        }
    }
}
