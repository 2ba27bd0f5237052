import Ledger
import LedgerWire
import Testing

@testable import LedgerCommands

@Suite("What is taken in while a job is watched")
struct WatchSessionTests {
    private static func job(_ sequence: Int64, done: Int128) -> JobAnswer {
        let created = Timestamp(microseconds: 1_000_000_000)
        let units = Units(total: 10, done: done)
        return JobAnswer(
            id: JobID(createdAt: created, randomHigh: 0, randomLow: 0), description: JobDescription(name: "n"),
            createdAt: created, ledgerSequence: sequence,
            snapshot: Snapshot(
                sequence: sequence, state: .running, createdAt: created, startedAt: nil, updatedAt: created,
                finishedAt: nil, tasks: TaskCounts(),
                indicators: [
                    Snapshot.Indicator(label: "a", counted: units, attempted: units, updatedAt: created)
                ]))
    }

    @Test("a snapshot from before the last one is no fall, and one from after it that shows less is")
    func stepBack() async throws {
        let session = WatchSession(end: WatchEnd(goals: [], stalledTimeout: nil), isJSON: true)
        #expect(await session.take(Self.job(5, done: 5), json: "5").falls.isEmpty)
        let back = await session.take(Self.job(3, done: 3), json: "3")
        #expect(back.falls.isEmpty)
        #expect(back.prints.isEmpty)
        let fall = try #require(await session.take(Self.job(6, done: 4), json: "6").falls.first)
        #expect(fall.before.done == 5)
        #expect(fall.after.done == 4)
        #expect(fall.sequences == 5...6)
    }
}
