import Ledger
import LedgerWire

/// The lines that are printed if the output is not a terminal.
///
/// A line with the changes is due at most every ten seconds, and at least every minute. A change of the job's state and
/// the end of the job are printed at once.
struct WatchLines {
    static let intervalMin = Duration.seconds(10)
    private static let interval = Duration.seconds(60)
    /// The width of a line, in cells, if no terminal limits it.
    static let defaultWidth = 200

    private let width: Int

    private var printed: (state: JobState, indicators: [Name?: Units])?
    private var printedAt: ContinuousClock.Instant?
    /// Remarks since the last line, such as the cause of a decrease.
    private var remarks: [String] = []

    init(width: Int = defaultWidth) {
        self.width = width
    }

    /// Adds a remark to the next line.
    mutating func addRemark(_ remark: String) { remarks.append(remark) }

    /// The line that is due now; nil if none is.
    ///
    /// - Parameters:
    ///   - silent: The silent executions.
    ///   - isLast: Whether this is the last line.
    mutating func line(
        _ job: JobView, silent: [String] = [], now: ContinuousClock.Instant, isLast: Bool = false
    ) -> String? {
        let snapshot = job.snapshot
        let changed = snapshot.indicators.filter { printed?.indicators[$0.label] != $0.counted }
        let isDueAtOnce = printed == nil || isLast && !(changed.isEmpty && remarks.isEmpty)
        let rest = printedAt.map { $0.duration(to: now) } ?? Self.interval
        let isDue = rest >= Self.interval || rest >= Self.intervalMin && !(changed.isEmpty && remarks.isEmpty)
        guard isDueAtOnce || isDue || printed?.state != snapshot.state else { return nil }
        let showsAll = isLast || snapshot.state != .running
        let line = text(job, showsAll ? snapshot.indicators : changed, silent)
        printed = (snapshot.state, Dictionary(uniqueKeysWithValues: snapshot.indicators.map { ($0.label, $0.counted) }))
        printedAt = now
        remarks = []
        return line
    }

    private func text(_ job: JobView, _ indicators: [Snapshot.Indicator], _ silent: [String]) -> String {
        let snapshot = job.snapshot
        let percent = snapshot.percent.map { " \($0)%" } ?? ""
        let moment = snapshot.updatedAt.map(RFC3339.text) ?? ""
        let left = RemainingText.text(job.estimate, now: job.estimate?.at ?? job.createdAt).map { "  \($0)" } ?? ""
        let prefix = "\(moment)  \(snapshot.state.rawValue)\(percent)\(left)"
        let stalled = job.stalls?.since.map { ["stalled since \(RFC3339.text($0))"] } ?? []
        let notes = (remarks + stalled + silent).map { "  (\($0))" }
        let width = max(0, width - TerminalText.cells(prefix) - 2)
        // The cause of a decrease is more important than the last of many numbers.
        let reserved = min(width / 2, notes.reduce(0) { $0 + TerminalText.cells($1) })
        let summary = SnapshotText.summary(indicators, width: width - reserved)
        let line = ([prefix] + (summary.isEmpty ? [] : [summary])).joined(separator: "  ") + notes.joined()
        return TerminalText.cut(line, to: self.width, TerminalStyle())
    }
}
