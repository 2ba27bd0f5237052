import Ledger
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerCommands

@Suite("Frames of a watched job")
struct WatchRendererTests {
    private static let start = ContinuousClock.now
    private static let noon = Timestamp(microseconds: 1_000_000_000)

    private static func indicator(
        _ label: Name?, _ done: Int128, _ total: Int128, age seconds: Int64 = 1
    ) -> Snapshot.Indicator {
        let units = Units(total: total, done: done)
        return Snapshot.Indicator(
            label: label, counted: units, attempted: units,
            updatedAt: Timestamp(microseconds: noon.microseconds - seconds * 1_000_000))
    }

    private static func job(
        _ indicators: [Snapshot.Indicator], state: JobState = .running, sequence: EventSequence = 2,
        name: Name = "tiles"
    ) -> JobView {
        let created = Timestamp(microseconds: noon.microseconds - 84_000_000)
        return JobView(
            id: JobID(createdAt: created, randomHigh: 0, randomLow: 0), description: JobDescription(name: name),
            createdAt: created, ledgerSequence: sequence,
            snapshot: Snapshot(
                sequence: sequence, state: state, createdAt: created, startedAt: nil, updatedAt: noon, finishedAt: nil,
                tasks: TaskCounts(), indicators: indicators))
    }

    private static func lines(
        _ job: JobView, width: Int = 80, height: Int = 24, unicode: Bool = true, color: Bool = false,
        history: WatchHistory = WatchHistory(now: start), connection: WatchRenderer.Connection = .live,
        notes: [String] = []
    ) -> [String] {
        let style = TerminalStyle(width: width, height: height, hasColor: color, hasUnicode: unicode)
        return WatchRenderer(style: style).lines(
            WatchRenderer.Scene(
                job: job, history: history, connection: connection, now: noon, instant: start + .seconds(1),
                notes: notes))
    }

    @Test("each status looks different without colour, in Unicode and in ASCII", arguments: [true, false])
    func statusesDiffer(unicode: Bool) {
        let statuses = [
            Self.indicator("a", 0, 0), Self.indicator("a", 5, 0), Self.indicator("a", 0, 8), Self.indicator("a", 4, 8),
            Self.indicator("a", 4, 8, age: 100), Self.indicator("a", 8, 8), Self.indicator("a", 9, 8),
        ]
        let looks = statuses.enumerated().map { number, indicator in
            var job = Self.job([indicator])
            let since = Timestamp(microseconds: Self.noon.microseconds - 100_000_000)
            if number == 4 { job.stalls = JobStalls(indicators: ["a": since]) }
            return Self.lines(job, unicode: unicode)[2...].joined(separator: "\n")
        }
        #expect(Set(looks).count == statuses.count)
        if !unicode { for look in looks { #expect(look.unicodeScalars.allSatisfy { $0.isASCII }, "\(look)") } }
        #expect(looks[4].contains("stalled for 1m 40s"))
        #expect(looks[6].contains("1 more than declared"))
    }

    @Test("the title shows the remaining time if the terminal is wide enough")
    func remainingTime() {
        var job = Self.job([Self.indicator("a", 4, 8)])
        job.estimate = JobEstimate(
            Estimate(
                remaining: Estimate.Remaining(p10: 540, p50: 720, p90: 1_200), basis: .job, waitingFor: nil, reason: nil
            ),
            at: Self.noon)
        #expect(Self.lines(job)[0] == "tiles  running  50%  1m 24s  ≈ 12 min (9–20)")
        #expect(Self.lines(job, unicode: false)[0] == "tiles  running  50%  1m 24s  ~ 12 min (9-20)")
        #expect(!Self.lines(job, width: 40)[0].contains("min"))
    }

    @Test("no line is wider than the terminal", arguments: [20, 30, 40, 53, 80, 200])
    func linesFit(width: Int) {
        let job = Self.job(
            [
                Self.indicator("a label that is much longer than any bar", 123_456_789, 1_000_000_000),
                Self.indicator("\u{5730}\u{56F3}\u{30BF}\u{30A4}\u{30EB}", 9, 8), Self.indicator("\u{1F680}", 5, 0),
                Self.indicator(nil, 1, 2, age: 200),
            ], name: Name(String(repeating: "x", count: 200)))
        for line in Self.lines(job, width: width, connection: .lost(since: Self.start, retryIn: .seconds(3))) {
            #expect(TerminalText.cells(line) <= width, "\(line)")
        }
    }

    @Test("names cannot control the terminal, and ASCII terminals get only ASCII")
    func namesAreHarmless() {
        let hostile = Name("\u{1B}]0;owned\u{7}\n\u{202E}é")
        let lines = Self.lines(Self.job([Self.indicator(hostile, 1, 2)], name: hostile), width: 120)
        for line in lines {
            #expect(!line.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x202E }, "\(line)")
        }
        let ascii = Self.lines(Self.job([Self.indicator(hostile, 1, 2)], name: hostile), width: 120, unicode: false)
        for line in ascii { #expect(line.unicodeScalars.allSatisfy { $0.isASCII }, "\(line)") }
    }

    @Test("a decrease is shown at once, and its cause as soon as it is known")
    func decreasesAreShown() {
        var history = WatchHistory(now: Self.start)
        _ = history.add(Self.job([Self.indicator("tiles", 60, 100)]), now: Self.start)
        let fallen = Self.job([Self.indicator("tiles", 20, 100)], sequence: 9)
        let decreases = history.add(fallen, now: Self.start)
        #expect(decreases.map(\.sequences) == [2...9])
        #expect(Self.lines(fallen, history: history)[2].hasSuffix("-40"))
        var difference = SnapshotDiff(
            from: fallen.snapshot, to: fallen.snapshot, events: [:], started: SnapshotDiff.Changes(),
            finished: SnapshotDiff.Changes(), superseded: SnapshotDiff.Changes())
        difference.superseded.count = 1
        difference.superseded.first = [
            SnapshotDiff.Superseded(
                task: "tile-17", execution: ExecutionIdentity(execution: nil, attempt: 1, id: 3),
                by: ExecutionIdentity(execution: nil, attempt: 2, id: 9), at: Self.noon,
                lost: [ExecutionSummary.CountedUnits(label: "tiles", units: Units(total: 0, done: 40))])
        ]
        #expect(history.explain(difference, now: Self.start) == ["tiles -40: tile-17 restarted, attempt 2"])
        #expect(Self.lines(fallen, width: 120, history: history)[2].hasSuffix("-40: tile-17 restarted, attempt 2"))
        let later = Self.start + WatchHistory.remarkTime
        #expect(history.remark("tiles", now: later) == nil)
    }

    @Test("if indicators exceed the lines, complete ones are summarised, and the order stays")
    func manyAreSummarised() {
        let indicators = (0..<40).map { Self.indicator(Name("i\($0)"), $0.isMultiple(of: 4) ? 1 : 2, 2) }
        let lines = Self.lines(Self.job(indicators), height: 12)
        #expect(lines.count == 11)
        #expect(lines[2].hasPrefix("  i0 ") && lines[3].hasPrefix("  i4 "))
        #expect(lines[10] == "  + 2 more, 30 complete", "\(lines)")
        let complete = (0..<40).map { Self.indicator(Name("i\($0)"), 2, 2) }
        let end = Self.lines(Self.job(complete, state: .completed), height: 12)
        #expect(end[2].hasPrefix("  i0 ") && end[9].hasPrefix("  i7 ") && end[10] == "  + 32 complete", "\(end)")
        let open = (0..<40).map { Self.indicator(Name("i\($0)"), 1, 2) }
        #expect(Self.lines(Self.job(open), height: 12).last == "  + 32 more")
    }

    @Test("a frame has one line fewer than the terminal, whatever its content", arguments: 1...14)
    func framesFit(height: Int) {
        for count in [0, 1, 2, 5, 40] {
            for age in [1, 200] as [Int64] {
                for done in [1, 2, 3] as [Int128] {
                    // The note of a stalled indicator does not fit beside it.
                    let indicators = (0..<count).map { Self.indicator(Name("i\($0)"), done, 2, age: age) }
                    let notes = ["tile-17: no report for 7m 12s", "tile-18: no report for 6m 1s"]
                    var job = Self.job(indicators)
                    if age > 100 {
                        job.stalls = JobStalls(
                            indicators: Dictionary(uniqueKeysWithValues: indicators.map { ($0.label, $0.updatedAt) }))
                    }
                    let lines = Self.lines(
                        job, width: 40, height: height,
                        connection: .lost(since: Self.start, retryIn: .seconds(3)), notes: notes)
                    #expect(lines.count <= max(1, height - 1), "\(lines)")
                    #expect(lines[0].hasPrefix("tiles  running"))
                    #expect(height < 3 || lines.contains { $0.hasPrefix("! connection lost") })
                    #expect(height < 4 || count == 0 || lines.contains { $0.contains("i0") || $0.contains("+ ") })
                    #expect(lines.count { $0.hasPrefix("  + ") } <= 1)
                }
            }
        }
    }

    @Test("notes on the job are shown below its indicators")
    func notesAreShown() {
        let lines = Self.lines(Self.job([Self.indicator("a", 1, 2)]), notes: ["tile-17: no report for 7m 12s"])
        #expect(lines.last == "  tile-17: no report for 7m 12s")
    }

    @Test("on ASCII terminals, columns have the width of the escaped text")
    func asciiWidths() {
        let indicators = [Self.indicator("\u{E9}t\u{E9}", 1, 2), Self.indicator("winter", 1, 2)]
        let lines = Self.lines(Self.job(indicators), unicode: false)[2...]
        #expect(Set(lines.map { $0.firstIndex(of: "#")!.utf16Offset(in: $0) }).count == 1, "\(lines)")
        #expect(lines.first?.hasPrefix("  \\u{E9}t\\u{E9} ") == true, "\(lines)")
    }

    @Test(
        "characters take as many cells as on terminals",
        arguments: [
            ("a", 1), ("\u{2705}", 2), ("\u{274C}", 2), ("\u{23F3}", 2), ("\u{26A1}", 2), ("\u{1F680}", 2),
            ("\u{1FAE0}", 2), ("\u{26A0}", 1), ("\u{26A0}\u{FE0F}", 2), ("\u{1F469}\u{200D}\u{1F467}", 2),
            ("\u{1F1E9}\u{1F1EA}", 2), ("\u{1F44D}\u{1F3FD}", 2), ("e\u{301}", 1), ("\u{AC00}", 2),
            ("\u{1112}\u{1161}\u{11AB}", 2), ("\u{5730}", 2), ("\u{FF21}", 2), ("\u{FF71}", 1),
            ("\u{1F004}", 2), ("\u{25FD}", 2), ("\u{2588}", 1), ("\u{200B}", 0), ("\u{1B170}", 2),
        ] as [(String, Int)])
    func widths(text: String, cells: Int) {
        #expect(TerminalText.cells(text) == cells, "\(text.unicodeScalars.map(\.value))")
    }

    @Test("a running job never shows 100 %, and old numbers are marked after a lost connection")
    func figures() {
        #expect(Self.lines(Self.job([Self.indicator("a", 8, 8)]))[0] == "tiles  running  99%  1m 24s")
        let ended = Self.job([Self.indicator("a", 8, 8)], state: .completed)
        #expect(Self.lines(ended)[0].contains("completed  100%"))
        let lost = Self.lines(
            Self.job([]), connection: .lost(since: Self.start - .seconds(11), retryIn: .milliseconds(2_300)))
        #expect(lost.last?.hasPrefix("! connection lost 12s ago: the numbers are from then") == true)
    }

    @Test("colours are used only if enabled")
    func colours() {
        let job = Self.job([Self.indicator("a", 1, 2)])
        #expect(Self.lines(job, color: true).contains { $0.contains("\u{1B}[34m") })
        #expect(!Self.lines(job).joined().contains("\u{1B}"))
    }

    @Test("rates cover the recent window, and fall while nothing arrives")
    func rates() throws {
        var history = WatchHistory(now: Self.start)
        for second in 0...10 {
            let job = Self.job([Self.indicator("a", Int128(second * 4), 100)], sequence: EventSequence(second + 1))
            _ = history.add(job, now: Self.start + .seconds(second))
        }
        #expect(history.rate("a", now: Self.start + .seconds(10)) == 4)
        #expect(try #require(history.rate("a", now: Self.start + .seconds(20))) == 2)
        #expect(history.rate("a", now: Self.start + .seconds(90)) == nil)
        #expect(history.advancedAt == Self.start + .seconds(10))
        #expect(
            WatchMessages.rate(0.05) == "20s each" && WatchMessages.rate(1_234.5) == "1 234/s"
                && WatchMessages.rate(3.96) == "3.9/s")
    }
}
