import Ledger
import LedgerWire
import Testing

@testable import LedgerCommands

@Suite("Plain lines of watch")
struct WatchLinesTests {
    private static let start = ContinuousClock.now
    private static let noon = Timestamp(microseconds: 1_000_000_000)

    private static func job(_ done: [Int128], state: JobState = .running) -> JobView {
        JobView(
            id: JobID(createdAt: noon, randomHigh: 0, randomLow: 0), description: JobDescription(name: "n"),
            createdAt: noon, ledgerSequence: 1,
            snapshot: Snapshot(
                sequence: 1, state: state, createdAt: noon, startedAt: nil, updatedAt: noon, finishedAt: nil,
                tasks: TaskCounts(),
                indicators: done.enumerated().map { index, done in
                    let units = Units(total: 100, done: done)
                    return Snapshot.Indicator(
                        label: Name("i\(index)"), counted: units, attempted: units, updatedAt: noon)
                }))
    }

    private static let head = "1970-01-01T00:16:40.000000Z  running"

    @Test("a line is due at most every ten seconds, with the changes since the last line")
    func changesArePrinted() {
        var lines = WatchLines()
        #expect(lines.line(Self.job([1, 2]), now: Self.start) == "\(Self.head) 1%  i0: 1/100  i1: 2/100")
        #expect(lines.line(Self.job([1, 3]), now: Self.start + .milliseconds(9_999)) == nil)
        #expect(lines.line(Self.job([1, 4]), now: Self.start + .seconds(10)) == "\(Self.head) 2%  i1: 4/100")
        #expect(lines.line(Self.job([1, 4]), now: Self.start + .seconds(69)) == nil)
        #expect(lines.line(Self.job([1, 4]), now: Self.start + .seconds(70)) == "\(Self.head) 2%")
    }

    @Test("the end of a job is printed at once, with all indicators")
    func endsArePrinted() {
        var lines = WatchLines()
        _ = lines.line(Self.job([1, 2]), now: Self.start)
        let end = lines.line(Self.job([1, 100], state: .completed), now: Self.start + .seconds(1))
        #expect(end?.hasSuffix("completed 50%  i0: 1/100  i1: 100/100") == true, "\(end ?? "")")
        #expect(lines.line(Self.job([1, 100], state: .completed), now: Self.start + .seconds(1), isLast: true) == nil)
    }

    @Test("300 changing indicators give one line of 200 cells every ten seconds")
    func volumeIsBounded() {
        var lines = WatchLines()
        var printed: [String] = []
        for tick in 0..<300 {
            lines.addRemark("i\(tick) -1: tile-\(tick) restarted, attempt 2")
            let job = Self.job((0..<300).map { Int128(tick + $0) })
            if let line = lines.line(job, now: Self.start + .milliseconds(100 * tick)) { printed.append(line) }
        }
        #expect(printed.count == 3)
        for line in printed { #expect(TerminalText.cells(line) <= 200, "\(line)") }
        #expect(printed[1].contains("  + 29"), "\(printed[1])")
        #expect(printed[1].contains("(i1 -1: tile-1 restarted, attempt 2)"), "\(printed[1])")
    }

    @Test("the next line contains the cause of a decrease and the silent executions")
    func remarksArePrinted() {
        var lines = WatchLines()
        _ = lines.line(Self.job([9]), now: Self.start)
        lines.addRemark("i0 -4: t restarted, attempt 2")
        let line = lines.line(Self.job([5]), silent: ["u: no report for 5m 0s"], now: Self.start + .seconds(10))
        #expect(
            line == "\(Self.head) 5%  i0: 5/100  (i0 -4: t restarted, attempt 2)  (u: no report for 5m 0s)",
            "\(line ?? "")")
    }
}
