import Ledger
import LedgerWire

/// Decides what is printed if nobody looks at a terminal, and when: a line every ten seconds at most, with what has
/// changed, and every minute. A change of the job's state and the end are told at once.
struct WatchLines {
    static let intervalMin = Duration.seconds(10)
    private static let interval = Duration.seconds(60)
    /// The cells of a line if no terminal limits them.
    static let widthUsual = 200

    private let width: Int

    private var told: (state: JobState, indicators: [Name?: Units])?
    private var toldAt: ContinuousClock.Instant?
    /// What was noted since the last line, such as why a number fell.
    private var remarks: [String] = []

    init(width: Int = widthUsual) {
        self.width = width
    }

    /// Notes what is to be told with the next line.
    mutating func note(_ remark: String) { remarks.append(remark) }

    /// The line that is due now; nil if none is.
    ///
    /// - Parameters:
    ///   - silent: The executions that have not reported for long.
    ///   - isLast: Whether nothing comes after it.
    mutating func line(
        _ job: JobAnswer, silent: [String] = [], now: ContinuousClock.Instant, isLast: Bool = false
    ) -> String? {
        let snapshot = job.snapshot
        let changed = snapshot.indicators.filter { told?.indicators[$0.label] != $0.counted }
        let isNews = told == nil || isLast && !(changed.isEmpty && remarks.isEmpty)
        let rest = toldAt.map { $0.duration(to: now) } ?? Self.interval
        let isDue = rest >= Self.interval || rest >= Self.intervalMin && !(changed.isEmpty && remarks.isEmpty)
        guard isNews || isDue || told?.state != snapshot.state else { return nil }
        let showsAll = isLast || snapshot.state != .running
        let line = text(snapshot, showsAll ? snapshot.indicators : changed, silent)
        told = (snapshot.state, Dictionary(uniqueKeysWithValues: snapshot.indicators.map { ($0.label, $0.counted) }))
        toldAt = now
        remarks = []
        return line
    }

    private func text(_ snapshot: Snapshot, _ indicators: [Snapshot.Indicator], _ silent: [String]) -> String {
        let figure = snapshot.percent.map { " \($0)%" } ?? ""
        let moment = snapshot.updatedAt.map(RFC3339.text) ?? ""
        let head = "\(moment)  \(snapshot.state.rawValue)\(figure)"
        let notes = (remarks + silent).map { "  (\($0))" }
        let width = max(0, width - TerminalText.cells(head) - 2)
        // Why a number fell counts more than the last of many numbers.
        let reserved = min(width / 2, notes.reduce(0) { $0 + TerminalText.cells($1) })
        let summary = SnapshotText.summary(indicators, width: width - reserved)
        let line = ([head] + (summary.isEmpty ? [] : [summary])).joined(separator: "  ") + notes.joined()
        return TerminalText.cut(line, to: self.width, TerminalStyle())
    }
}
