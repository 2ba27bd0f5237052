import Ledger
import Testing

@Suite("Timelines of executions")
struct ExecutionTimelineTests {
    private static let counted = ExecutionTimeline.Kind(isCounted: true, outcome: .succeeded)
    private static let running = ExecutionTimeline.Kind(isCounted: true, outcome: nil)

    private func at(_ second: Int64) -> Timestamp { Timestamp(microseconds: second * 1_000_000) }

    private func execution(
        _ id: EventSequence, from start: Int64, to end: Int64, _ outcome: ExecutionOutcome? = .succeeded,
        by other: EventSequence? = nil
    ) -> Execution {
        Execution(
            id: ExecutionID(id), task: TaskID(id), name: nil, attempt: 1, startedAt: at(start), outcome: outcome,
            lastSequence: id, lastAt: at(end), supersededBy: other.map { ExecutionID($0) })
    }

    @Test("an execution counts in each interval for the part of it in which it was at work")
    func shares() {
        var timeline = ExecutionTimeline(from: at(0), to: at(40), intervals: 4)
        timeline.add(execution(1, from: 5, to: 32), isRunning: false)
        #expect(timeline.working == [Self.counted: [0.5, 1, 1, 0.2]])
        #expect(timeline.ended == [Self.counted: [0, 0, 0, 1]])
        timeline.add(execution(2, from: 10, to: 14), isRunning: false)
        #expect(timeline.working == [Self.counted: [0.5, 1.4, 1, 0.2]])
        #expect(timeline.ended == [Self.counted: [0, 1, 0, 1]])
    }

    @Test("a running execution lasts until the end, and has not ended")
    func running() {
        var timeline = ExecutionTimeline(from: at(0), to: at(40), intervals: 4)
        timeline.add(execution(1, from: 30, to: 31, nil), isRunning: true)
        #expect(timeline.working == [Self.running: [0, 0, 0, 1]] && timeline.ended.isEmpty)
    }

    @Test("kinds are kept apart: what counts, and how it ended")
    func kinds() {
        var timeline = ExecutionTimeline(from: at(0), to: at(10), intervals: 1)
        timeline.add(execution(1, from: 0, to: 10, .failed), isRunning: false)
        timeline.add(execution(2, from: 0, to: 10, .failed, by: 3), isRunning: false)
        timeline.add(execution(3, from: 0, to: 5, .failed), isRunning: false)
        #expect(
            timeline.working == [
                ExecutionTimeline.Kind(isCounted: true, outcome: .failed): [1.5],
                ExecutionTimeline.Kind(isCounted: false, outcome: .failed): [1],
            ])
    }

    @Test("times outside are moved to the ends, and a timeline of a moment has intervals")
    func ends() {
        var timeline = ExecutionTimeline(from: at(100), to: at(140), intervals: 4)
        timeline.add(execution(1, from: 0, to: 200), isRunning: false)
        #expect(timeline.working == [Self.counted: [1, 1, 1, 1]])
        var moment = ExecutionTimeline(from: at(100), to: at(100), intervals: 4)
        moment.add(execution(1, from: 100, to: 100), isRunning: false)
        #expect(moment.end > moment.bounds[3] && moment.ended == [Self.counted: [1, 0, 0, 0]])
    }

    @Test(
        "the sum over all intervals is the time at work, whatever the number of intervals", arguments: [1, 3, 7, 120])
    func sums(count: Int) {
        var timeline = ExecutionTimeline(from: at(0), to: at(1_000), intervals: count)
        for id in 1...200 as ClosedRange<Int64> {
            timeline.add(execution(EventSequence(id), from: id, to: id + id * id % 701), isRunning: false)
        }
        let expected = (1...200 as ClosedRange<Int64>).reduce(0) { $0 + Double($1 * $1 % 701) }
        let sum = timeline.working.values.joined().reduce(0, +) * 1_000 / Double(count)
        #expect(abs(sum - expected) < 0.01, "\(sum) instead of \(expected)")
        #expect(timeline.ended.values.joined().reduce(0, +) == 200)
    }
}
