import Ledger
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerCommands

@Suite("Rates and remarks of a watched job")
struct WatchHistoryTests {
    private static let start = ContinuousClock.now
    private static let noon = Timestamp(microseconds: 1_000_000_000)

    private static func job(
        _ sequence: EventSequence, done: Int128, of total: Int128 = 1_000_000, carried: Int128 = 0, unit: Name? = nil
    ) -> JobView {
        let units = Units(total: total, done: done)
        let indicator = Snapshot.Indicator(
            label: "rows", counted: units, attempted: units, carried: carried, updatedAt: noon, unit: unit)
        return JobView(
            id: JobID(createdAt: noon, randomHigh: 0, randomLow: 0), description: JobDescription(name: "j"),
            createdAt: noon, ledgerSequence: sequence,
            snapshot: Snapshot(
                sequence: sequence, state: .running, createdAt: noon, startedAt: nil, updatedAt: noon, finishedAt: nil,
                tasks: TaskCounts(), indicators: [indicator]))
    }

    @Test("carried units are not part of a rate")
    func carriedUnits() throws {
        var history = WatchHistory(now: Self.start)
        _ = history.add(Self.job(1, done: 0), now: Self.start)
        _ = history.add(Self.job(2, done: 500_000, carried: 500_000), now: Self.start + .seconds(1))
        #expect(history.rate("rows", now: Self.start + .seconds(1)) == nil)
        _ = history.add(Self.job(3, done: 500_010, carried: 500_000), now: Self.start + .seconds(2))
        #expect(history.rate("rows", now: Self.start + .seconds(10)) == 1)
    }

    @Test("no rate spans a supersession that carried units hide")
    func hiddenSupersession() {
        var history = WatchHistory(now: Self.start)
        _ = history.add(Self.job(1, done: 0), now: Self.start)
        _ = history.add(Self.job(2, done: 100), now: Self.start + .seconds(1))
        // A newer execution carries all of the units on, so that `done` stays.
        _ = history.add(Self.job(3, done: 100, carried: 100), now: Self.start + .seconds(2))
        #expect(history.rate("rows", now: Self.start + .seconds(2)) == nil)
        _ = history.add(Self.job(4, done: 120, carried: 100), now: Self.start + .seconds(4))
        #expect(history.rate("rows", now: Self.start + .seconds(4)) == 10)
    }

    @Test("remarks on bytes are scaled, like the numbers beside them")
    func scaledRemarks() {
        var history = WatchHistory(now: Self.start)
        _ = history.add(Self.job(1, done: 3 << 20, of: 4 << 20, unit: "bytes"), now: Self.start)
        _ = history.add(Self.job(2, done: 3 << 20, of: 5 << 20, unit: "bytes"), now: Self.start)
        #expect(history.remark("rows", now: Self.start)?.text == "total +1.0 MiB")
        let less = Self.job(3, done: 1 << 20, of: 5 << 20, unit: "bytes")
        _ = history.add(less, now: Self.start)
        #expect(history.remark("rows", now: Self.start)?.text == "-2.0 MiB")
        var difference = SnapshotDiff(
            from: less.snapshot, to: less.snapshot, events: [:], started: SnapshotDiff.Changes(),
            finished: SnapshotDiff.Changes(), superseded: SnapshotDiff.Changes())
        difference.superseded.first = [
            SnapshotDiff.Superseded(
                task: "t", execution: ExecutionIdentity(execution: nil, attempt: 1, id: 3),
                by: ExecutionIdentity(execution: nil, attempt: 2, id: 9), at: Self.noon,
                lost: [ExecutionSummary.CountedUnits(label: "rows", units: Units(total: 0, done: 2 << 20))])
        ]
        #expect(history.explain(difference, now: Self.start) == ["rows -2.0 MiB: t restarted, attempt 2"])
    }

    @Test("a unit is written as the terminal can show it, and the line fits", arguments: [40, 60, 80])
    func asciiUnits(width: Int) {
        let style = TerminalStyle(width: width, height: 24, hasColor: false, hasUnicode: false)
        let lines = WatchRenderer(style: style).lines(
            WatchRenderer.Scene(
                job: Self.job(1, done: 5, of: 10, unit: "m²"), history: WatchHistory(now: Self.start),
                connection: .live, now: Self.noon, instant: Self.start))
        for line in lines {
            #expect(line.unicodeScalars.allSatisfy { $0.isASCII } && TerminalText.cells(line) <= width, "\(line)")
        }
        if width == 80 { #expect(lines[2].contains("5/10 m\\u{B2}"), "\(lines)") }
    }
}
