import Ledger
import LedgerTestSupport
import LedgerWire
import ProgressLedgerClient
import Testing

@testable import LedgerCommands

@Suite("State of a watched job")
struct WatchSessionTests {
    private static func job(
        _ sequence: EventSequence, done: Int128, state: JobState = .running, running: Int64 = 0,
        stalls: JobStalls = .none
    ) -> JobView {
        let created = Timestamp(microseconds: 1_000_000_000)
        let units = Units(total: 10, done: done)
        var tasks = TaskCounts()
        tasks.running = running
        return JobView(
            id: JobID(createdAt: created, randomHigh: 0, randomLow: 0), description: JobDescription(name: "n"),
            createdAt: created, ledgerSequence: sequence,
            snapshot: Snapshot(
                sequence: sequence, state: state, createdAt: created, startedAt: nil, updatedAt: created,
                finishedAt: nil, tasks: tasks,
                indicators: [
                    Snapshot.Indicator(label: "a", counted: units, attempted: units, updatedAt: created)
                ]), stalls: stalls)
    }

    @Test("a decrease is reported for a newer snapshot, but not for an older one")
    func olderSnapshots() async throws {
        let session = WatchSession(end: WatchEnd(goals: [], stalledTimeout: nil), isJSON: true)
        #expect(await session.receive(Self.job(5, done: 5), json: "5").decreases.isEmpty)
        let back = await session.receive(Self.job(3, done: 3), json: "3")
        #expect(back.decreases.isEmpty)
        #expect(back.prints.isEmpty)
        let decrease = try #require(await session.receive(Self.job(6, done: 4), json: "6").decreases.first)
        #expect(decrease.before.done == 5)
        #expect(decrease.after.done == 4)
        #expect(decrease.sequences == 5...6)
    }

    private static func session(_ goals: [WatchGoal] = []) -> WatchSession {
        WatchSession(end: WatchEnd(goals: goals, stalledTimeout: nil), isJSON: false)
    }

    @Test("a job is stalled once it has not advanced for the timeout")
    func stalledTimeout() async {
        let clock = StoppedClock()
        let session = WatchSession(
            end: WatchEnd(goals: [], stalledTimeout: .seconds(30)), isJSON: false, now: { clock.now })
        _ = await session.receive(Self.job(5, done: 5), json: "")
        clock.move(by: .seconds(20))
        _ = await session.receive(Self.job(6, done: 6), json: "")
        clock.move(by: .seconds(20))
        _ = await session.receive(Self.job(7, done: 6), json: "")
        clock.move(by: .seconds(9))
        #expect(await !session.isStalled())
        clock.move(by: .seconds(1))
        #expect(await session.isStalled())
        _ = await session.receive(Self.job(8, done: 7), json: "")
        #expect(await !session.isStalled())
    }

    @Test("ages use the server's clock, not the viewer's")
    func agesUseServerClock() async throws {
        let session = Self.session()
        let moment = Timestamp(microseconds: 1_000_000_000 + 200_000_000)
        let since = Timestamp(microseconds: 1_000_000_000)
        let stalled = Self.job(5, done: 5, stalls: JobStalls(since: since, indicators: ["a": since]))
        _ = await session.receive(stalled, json: "", clock: ServerClock(moment: moment))
        let lines = try #require(await session.frame(TerminalStyle(width: 120))).lines
        #expect(lines.joined().contains("stalled for 3m 20s"), "\(lines)")
        #expect(lines.last?.contains("stalled: no unit was done for 3m 20s") == true, "\(lines)")
        let unknown = Self.session()
        _ = await unknown.receive(Self.job(5, done: 5), json: "")
        #expect(try #require(await unknown.frame(TerminalStyle())).lines.joined().contains("changed 0s ago"))
    }

    @Test("a goal for an unknown indicator gives a remark in each frame")
    func unknownGoals() async throws {
        let session = Self.session([try #require(WatchGoal(argument: "tlies>=50"))])
        _ = await session.receive(Self.job(5, done: 5), json: "")
        let lines = try #require(await session.frame(TerminalStyle())).lines
        #expect(lines.last?.contains("no indicator tlies yet") == true, "\(lines)")
    }

    @Test("silent executions are shown only while tasks run")
    func silenceIsShown() async throws {
        let session = Self.session()
        let since = Timestamp(microseconds: 0)
        let silent = SilentExecution(task: "tile-17", since: since, now: Timestamp(microseconds: 432_000_000))
        _ = await session.receive(Self.job(5, done: 5, running: 1, stalls: JobStalls(silentCount: 1)), json: "")
        await session.receive(silent: [silent])
        let lines = try #require(await session.frame(TerminalStyle())).lines
        #expect(lines.last == "\u{1B}[33m  tile-17: no report for 7m 12s\u{1B}[0m", "\(lines)")
        _ = await session.receive(Self.job(6, done: 6, state: .completed, running: 1), json: "")
        #expect(try #require(await session.frame(TerminalStyle())).lines.allSatisfy { !$0.contains("no report") })
    }
}
