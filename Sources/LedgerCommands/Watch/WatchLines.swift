import Ledger
import LedgerWire

/// What is worth a line where nobody looks at a terminal: a change of the state, one of five hundredths, and the passing of
/// a minute. Decides and prints nothing.
struct WatchLines {
    private static let step: Int128 = 5
    private static let interval = Duration.seconds(60)

    private var told: (state: JobState, percents: [Name?: Int128])?
    private var toldAt: ContinuousClock.Instant?

    /// The line for a snapshot; nil where it is worth none.
    mutating func line(_ job: JobAnswer, now: ContinuousClock.Instant, isLast: Bool = false) -> String? {
        let snapshot = job.snapshot
        let percents = Dictionary(
            uniqueKeysWithValues: snapshot.indicators.map { ($0.label, ($0.percent ?? 0) / Self.step) })
        let isNews = told.map { $0.state != snapshot.state || $0.percents != percents } ?? true
        let isDue = toldAt.map { $0.duration(to: now) >= Self.interval } ?? true
        guard isNews || isDue || isLast else { return nil }
        told = (snapshot.state, percents)
        toldAt = now
        let figure = snapshot.percent.map { " \($0)%" } ?? ""
        let moment = snapshot.updatedAt.map(RFC3339.text) ?? ""
        let indicators = snapshot.indicators.map { indicator in
            "\(WatchText.label(indicator.label)): \(indicator.counted.done)/\(indicator.counted.total)"
        }
        return (["\(moment)  \(snapshot.state.rawValue)\(figure)"] + indicators).joined(separator: "  ")
    }
}
