import LedgerTestSupport
import Testing

@testable import Ledger

@Suite("Checkpoints of folds")
struct FoldCheckpointTests {
    private struct State {
        var fold = Fold(tracksChanges: false)
        var estimate = EstimateState()

        mutating func apply(_ event: Event) throws -> Fold.Decision { try estimate.apply(event, to: &fold) }

        func checkpoint(after previous: FoldCheckpoint?, blockSize: Int) -> FoldCheckpoint {
            FoldCheckpoint(fold, estimate, after: previous, blockSize: blockSize)
        }
    }

    private func expectEqual(_ left: State, _ right: State, _ comment: Comment) {
        #expect(left.estimate == right.estimate, comment)
        #expect(left.fold.progress == right.fold.progress, comment)
        #expect(left.fold.tasks == right.fold.tasks, comment)
        #expect(left.fold.executions == right.fold.executions, comment)
        #expect(left.fold.recentExecutions == right.fold.recentExecutions, comment)
        #expect(left.fold.indicators == right.fold.indicators, comment)
        #expect(left.fold.pages == right.fold.pages, comment)
        #expect(left.fold.dirty.discards == right.fold.dirty.discards, comment)
        #expect(left.fold.memoryEstimateWithReports == right.fold.memoryEstimateWithReports, comment)
        #expect(left.fold.isComplete == right.fold.isComplete, comment)
    }

    @Test("a restored state is the one that was stored, and continues like it", arguments: UInt64(1)...12)
    func restores(seed: UInt64) throws {
        let events = RandomHistory.events(count: 250, seed: seed)
        var generator = SeededGenerator(seed: seed)
        var state = State()
        var states: [State] = []
        var checkpoints: [FoldCheckpoint] = []
        var previous: FoldCheckpoint?
        for event in events {
            _ = try state.apply(event)
            states.append(state)
            checkpoints.append(state.checkpoint(after: previous, blockSize: 3))
            if Int.random(in: 0..<9, using: &generator) == 0 { previous = checkpoints.last }
        }
        // The last state knows tasks and executions that an earlier one does not have yet.
        for (index, checkpoint) in checkpoints.enumerated() {
            for positions in [nil, state.fold.positions, states[min(index + 20, states.count - 1)].fold.positions] {
                let comment: Comment = "seed \(seed), event \(index + 1), shared positions: \(positions != nil)"
                let (fold, estimate) = try checkpoint.state(sharing: positions)
                var restored = State(fold: fold, estimate: estimate)
                expectEqual(restored, states[index], comment)
                var expected = states[index]
                for event in events[(index + 1)...].prefix(40) {
                    #expect(try restored.apply(event) == (try expected.apply(event)), comment)
                }
                expectEqual(restored, expected, comment)
                // A state that began with shared positions is stored and shared again.
                let again = restored.checkpoint(after: checkpoint, blockSize: 3)
                let (secondFold, secondEstimate) = try again.state(sharing: restored.fold.positions)
                expectEqual(State(fold: secondFold, estimate: secondEstimate), expected, comment)
            }
        }
    }

    @Test("executions without events since the checkpoint before are not stored again")
    func shares() throws {
        var state = State()
        func append(_ body: EventBody) throws {
            let sequence = state.fold.progress.sequence + 1
            let moment = Timestamp(microseconds: sequence.number)
            _ = try state.apply(Event(sequence: sequence, recordedAt: moment, body: body))
        }
        try append(.jobCreated(JobDescription(name: "j")))
        for number in 0..<1_000 {
            let task = ExecutionReference(
                task: Name("a task with the number \(number)"), execution: "an execution of it")
            try append(.executionStarted(task))
            try append(.progress(ProgressReport(reference: task, report: 1, total: 1, done: 1)))
        }
        let first = state.checkpoint(after: nil, blockSize: 10)
        let whole = first.bytes(after: nil)
        try append(.executionFinished(ExecutionReference(task: "a task with the number 500", attempt: 1), .failed))
        try append(.executionStarted(ExecutionReference(task: "a task with the number 7", attempt: 2)))
        let second = state.checkpoint(after: first, blockSize: 10)
        // Three blocks of a hundred have changed: of an end, of a superseded execution, and of its successor.
        #expect(second.bytes(after: first) < whole / 10)
        #expect(second.bytes(after: nil) > whole)
        let (fold, estimate) = try second.state(sharing: nil)
        expectEqual(State(fold: fold, estimate: estimate), state, "after an end and a retry")
    }
}
