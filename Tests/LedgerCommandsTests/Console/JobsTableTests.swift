import Ledger
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerCommands

@Suite("The list of jobs as a table")
struct JobsTableTests {
    private static let moment = Timestamp(microseconds: 1_796_000_000_000_000)
    private static let now = Timestamp(microseconds: moment.microseconds + 75_000_000)

    private static func job(
        _ name: Name = "mosaic", number: UInt64 = 0, state: JobState = .running, labels: Int = 1, failed: Int64 = 0,
        deadline: Timestamp? = nil
    ) -> JobView {
        let units = Units(total: 10, done: 1)
        var tasks = TaskCounts()
        tasks.failed = failed
        tasks.running = 37
        let tags = deadline.map { [JobDescription.deadlineTag: Name(RFC3339.text($0))] } ?? [:]
        return JobView(
            id: JobID(createdAt: moment, randomHigh: number, randomLow: 0),
            description: JobDescription(name: name, tags: tags), createdAt: moment, ledgerSequence: 1,
            snapshot: Snapshot(
                sequence: 1, state: state, createdAt: moment, startedAt: moment, updatedAt: moment,
                finishedAt: state == .running ? nil : moment, tasks: tasks,
                indicators: (0..<labels).map {
                    Snapshot.Indicator(
                        label: Name("label \($0)"), counted: units, attempted: units, updatedAt: moment)
                }))
    }

    /// A job that will end in 12 minutes and waits for its second indicator.
    private static func estimated(_ job: JobView) -> JobView {
        var job = job
        let waiting = Estimate.WaitingFor(label: "label 1", executions: [])
        job.estimate = JobEstimate(
            Estimate(
                remaining: Estimate.Remaining(p10: 540, p50: 720, p90: 1_200), basis: .job, waitingFor: waiting,
                reason: nil), at: now,
            paces: [
                "label 0": IndicatorPace(rate: 7, remainingSeconds: 5),
                "label 1": IndicatorPace(rate: 24, remainingSeconds: 9),
            ])
        return job
    }

    private static func lines(_ jobs: [JobView], _ width: Int?, unicode: Bool = true) -> [String] {
        let style = width.map { TerminalStyle(width: $0, hasColor: false, hasUnicode: unicode) }
        return JobsTable.layout(jobs, style, now: now).lines
    }

    @Test("a wide terminal shows all columns, with short ids and ages")
    func wide() {
        let jobs = [
            Self.estimated(Self.job(number: 0x100, labels: 2, failed: 2)),
            Self.job("other", number: 0x200, state: .completed),
        ]
        #expect(
            Self.lines(jobs, 110) == [
                "JOB               STATE      DONE  FAILED          RATE  FINISH           AGE     NAME",
                "\(jobs[0].id.description.prefix(16))  running     10%    2/39  24/s label 1  ≈ 12 min (9–20)  1m 15s  mosaic",
                "\(jobs[1].id.description.prefix(16))  completed   10%    0/37                1m 15s ago       1m 15s  other",
            ])
        let wider = Self.lines(jobs, 160)
        #expect(
            wider[0].contains("  PROGRESS  ") && wider[1].contains("  label 0: 1/10  label 1: 1/10  mosaic"), "\(wider)"
        )
        let ascii = Self.lines(jobs, 110, unicode: false)
        #expect(ascii[1].contains("  ~ 12 min (9-20)  ") && ascii.joined().unicodeScalars.allSatisfy(\.isASCII))
    }

    @Test("a narrow terminal shows the most important columns", arguments: [40, 60, 80, 110, 140])
    func narrow(width: Int) {
        let name = Name(String(repeating: "long ", count: 40))
        let jobs = [
            Self.estimated(Self.job(name, number: 1, labels: 1_000, failed: 1_234)), Self.job(number: 0x800, labels: 0),
        ]
        let layout = JobsTable.layout(jobs, TerminalStyle(width: width, hasColor: false), now: Self.now)
        for line in layout.lines { #expect(TerminalText.cells(line) <= width, "\(line)") }
        guard width >= 60 else { return }
        #expect(layout.lines[0].hasSuffix("  NAME") && layout.lines[0].contains("  FAILED  "), "\(layout)")
        #expect(layout.lines[1].contains("1234/1271"), "\(layout)")
        #expect(layout.lines[1].contains("  ≈ 12 min") == (width > 60), "\(layout)")
        #expect(layout.lines[1].hasSuffix("…") && layout.lines[1].contains("  long long"), "\(layout)")
        #expect(layout.hidden == (width == 60 ? ["RATE", "AGE", "FINISH"] : width == 80 ? ["RATE"] : []), "\(layout)")
    }

    @Test("elsewhere ids and times are whole, and the indicators have a column")
    func piped() {
        let jobs = [Self.estimated(Self.job(labels: 1_000)), Self.job(state: .failed)]
        let lines = Self.lines(jobs, nil)
        #expect(lines.allSatisfy { $0.utf8.count < 360 })
        #expect(lines[1].hasPrefix("\(jobs[0].id)  running  "), "\(lines)")
        #expect(lines[1].contains("label 0: 1/10  label 1: 1/10  ") && lines[1].hasSuffix(" more  mosaic"), "\(lines)")
        let time = RFC3339.text(Self.moment)
        #expect(lines[2].contains("  \(time)  \(time)  "), "\(lines)")
    }

    @Test("a stalled, an idle and a late job are marked")
    func marks() {
        var stalled = Self.job("a", number: 1)
        stalled.stalls = JobStalls(since: Self.moment, indicators: [:])
        var idle = Self.job("b", number: 2)
        idle.snapshot.tasks.running = 0
        idle.snapshot.tasks.succeeded = 1
        let lines = Self.lines([stalled, idle], 100)
        #expect(lines[1].contains("  stalled 1m 15s  "), "\(lines)")
        #expect(lines[2].contains(idle.snapshot.idleSince == nil ? "  running  " : "  idle 1m 15s  "), "\(lines)")
        var retired = Self.job("c", number: 3, state: .failed)
        retired.isRetired = true
        #expect([100, nil].allSatisfy { Self.lines([retired], $0)[1].contains("  retired  ") })
        // The median is 12 minutes.
        for (minutes, isLate) in [(11, true), (13, false)] as [(Int64, Bool)] {
            let deadline = Timestamp(microseconds: Self.now.microseconds + minutes * 60_000_000)
            let lines = Self.lines([Self.estimated(Self.job(labels: 2, deadline: deadline))], 120)
            #expect(lines[1].contains("(9–20), late  ") == isLate, "\(lines)")
        }
        #expect(
            JobsTable.layout([stalled], TerminalStyle(width: 100), now: Self.now).lines[1].contains("\u{1B}[33mstalled")
        )
    }
}
