import Ledger
import Testing

@testable import LedgerCommands

@Suite("End of watching")
struct WatchEndTests {
    private static func snapshot(_ state: JobState, _ done: Int128) -> Snapshot {
        let units = Units(total: 10, done: done)
        return Snapshot(
            sequence: 1, state: state, createdAt: nil, startedAt: nil, updatedAt: nil, finishedAt: nil,
            tasks: TaskCounts(),
            indicators: [
                Snapshot.Indicator(
                    label: "a>=b", counted: units, attempted: units, updatedAt: Timestamp(microseconds: 0))
            ])
    }

    @Test("a goal is a label and a percentage, and the label may itself contain >=")
    func goalsAreRead() throws {
        let goal = try #require(WatchGoal(argument: "a>=b>=50%"))
        #expect(goal.label == "a>=b" && goal.percent == 50)
        #expect(goal.isReached(in: Self.snapshot(.running, 5)) && !goal.isReached(in: Self.snapshot(.running, 4)))
        #expect(try #require(WatchGoal(argument: ">=99")).isReached(in: Self.snapshot(.running, 10)))
        for text in ["a", "a>=", "a>=x", "a>=-1", "a>50"] { #expect(WatchGoal(argument: text) == nil, "\(text)") }
    }

    @Test("a goal for an unknown indicator gives a remark with the job's indicators")
    func remarks() {
        let goals = ["a>=b>=50", "tlies>=50", ">=50"].compactMap { WatchGoal(argument: $0) }
        #expect(
            WatchEnd(goals: goals, stalledTimeout: nil).remarks(on: Self.snapshot(.running, 5)) == [
                "The job has no indicator tlies yet, which --until names. Its indicators: a>=b."
            ])
    }

    @Test("durations are read in seconds, minutes and hours")
    func timesAreRead() {
        #expect(DurationOption(argument: "300")?.duration == .seconds(300))
        #expect(DurationOption(argument: "5m")?.duration == .seconds(300))
        #expect(DurationOption(argument: "1h")?.duration == .seconds(3_600))
        for text in ["", "m", "0", "-1", "5 m", "1d"] { #expect(DurationOption(argument: text) == nil, "\(text)") }
    }

    @Test("the job's outcome decides the exit code unless there is a goal")
    func outcomesDecide() {
        let plain = WatchEnd(goals: [], stalledTimeout: nil)
        #expect(plain.status(after: Self.snapshot(.running, 10)) == nil)
        #expect(plain.status(atEndOf: Self.snapshot(.completed, 1)) == .done)
        #expect(plain.status(atEndOf: Self.snapshot(.failed, 10)) == .jobFailed)
        #expect(plain.status(atEndOf: Self.snapshot(.canceled, 10)) == .jobCanceled)
        let waiting = WatchEnd(goals: [WatchGoal(argument: "a>=b>=80")].compactMap { $0 }, stalledTimeout: nil)
        #expect(waiting.status(after: Self.snapshot(.running, 8)) == .done)
        #expect(waiting.status(after: Self.snapshot(.running, 7)) == nil)
        #expect(waiting.status(atEndOf: Self.snapshot(.completed, 7)) == .goalMissed)
        #expect(waiting.status(atEndOf: Self.snapshot(.failed, 7)) == .jobFailed)
    }

    @Test("a job is idle for the timeout if all tasks have ended and the last event is as old")
    func idleness() {
        let end = WatchEnd(goals: [], stalledTimeout: nil, idleTimeout: .seconds(60))
        var snapshot = Self.snapshot(.running, 10)
        snapshot.updatedAt = Timestamp(microseconds: 1_000_000)
        let now = Timestamp(microseconds: 61_000_000)
        #expect(!end.isIdle(snapshot, now: now), "there are no tasks yet")
        snapshot.tasks.succeeded = 1
        #expect(end.isIdle(snapshot, now: now))
        #expect(!end.isIdle(snapshot, now: Timestamp(microseconds: 60_999_999)))
        #expect(!WatchEnd(goals: [], stalledTimeout: nil).isIdle(snapshot, now: now))
        snapshot.tasks.running = 1
        #expect(!end.isIdle(snapshot, now: now))
        snapshot.tasks.running = 0
        snapshot.state = .completed
        #expect(!end.isIdle(snapshot, now: now))
    }

    @Test("a job is stalled if nothing has advanced for the timeout")
    func stalls() {
        let end = WatchEnd(goals: [], stalledTimeout: .seconds(60))
        let start = ContinuousClock.now
        #expect(!end.isStalled(since: start, now: start + .seconds(59)))
        #expect(end.isStalled(since: start, now: start + .seconds(60)))
        #expect(!WatchEnd(goals: [], stalledTimeout: nil).isStalled(since: start, now: start + .seconds(9_999)))
    }
}
