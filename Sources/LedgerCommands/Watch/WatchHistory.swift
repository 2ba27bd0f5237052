import Ledger
import LedgerWire

/// The recent history of a watched job: rates, decreases and the last advance.
///
/// All decisions depend only on the arguments, including the time.
struct WatchHistory {
    /// The time over which a rate is computed.
    static let rateWindow = Duration.seconds(30)
    /// The time for which a remark is shown.
    static let remarkTime = Duration.seconds(20)
    /// The most samples of one indicator: ten a second for the window.
    private static let samplesMax = 300

    /// A remark about an indicator, for people.
    struct Remark: Hashable {
        let text: String
        let isDecrease: Bool
        fileprivate let until: ContinuousClock.Instant
    }

    /// A decrease of an indicator.
    struct Decrease: Hashable {
        let label: Name?
        let before: Units
        let after: Units
        /// The sequences of the snapshots before and after the decrease.
        let sequences: ClosedRange<Int64>
    }

    private struct Sample {
        let at: ContinuousClock.Instant
        let done: Int128
    }

    private var job: JobView?
    private var samples: [Name?: [Sample]] = [:]
    private var remarks: [Name?: Remark] = [:]
    /// The time when units were last done, or when watching began.
    private(set) var advancedAt: ContinuousClock.Instant

    init(now: ContinuousClock.Instant) {
        advancedAt = now
    }

    /// Adds the next snapshot and returns the decreases.
    mutating func add(_ next: JobView, now: ContinuousClock.Instant) -> [Decrease] {
        let before = Dictionary(uniqueKeysWithValues: (job?.snapshot.indicators ?? []).map { ($0.label, $0.counted) })
        let previousSequence = job?.snapshot.sequence
        job = next
        var decreases: [Decrease] = []
        for indicator in next.snapshot.indicators {
            let (label, units) = (indicator.label, indicator.counted)
            let previous = before[label]
            if let previous, let previousSequence, units.done < previous.done || units.total < previous.total {
                samples[label] = []
                let decrease = Decrease(
                    label: label, before: previous, after: units,
                    sequences: previousSequence...max(previousSequence, next.snapshot.sequence))
                remark(label, WatchMessages.decrease(decrease), isDecrease: true, now)
                decreases.append(decrease)
            } else if let previous, previous.total > 0, units.total > previous.total {
                remark(label, "total +\(WatchMessages.number(units.total - previous.total))", isDecrease: false, now)
            }
            if previousSequence != nil, units.done > previous?.done ?? 0 { advancedAt = now }
            if previous?.done != units.done { addSample(label, units.done, now) }
        }
        return decreases
    }

    /// Explains decreases by the superseded executions and their units.
    ///
    /// Returns one line for each indicator and superseded execution.
    mutating func explain(_ difference: SnapshotDiff, now: ContinuousClock.Instant) -> [String] {
        var lines: [String] = []
        for superseded in difference.superseded.first {
            for lost in superseded.lost where lost.units != .zero {
                let text = WatchMessages.cause(superseded, lost.units)
                remark(lost.label, text, isDecrease: true, now)
                lines.append("\(WatchMessages.label(lost.label)) \(text)")
            }
        }
        return lines
    }

    /// Units per second; nil if nothing advanced within the window.
    func rate(_ label: Name?, now: ContinuousClock.Instant) -> Double? {
        let recent = (samples[label] ?? []).drop { $0.at < now - Self.rateWindow }
        guard let first = recent.first, let last = recent.last, last.done > first.done else { return nil }
        // The time until now counts, so that the rate falls while nothing arrives.
        return Double(last.done - first.done) / max(0.5, first.at.duration(to: now) / .seconds(1))
    }

    func remark(_ label: Name?, now: ContinuousClock.Instant) -> Remark? {
        remarks[label].flatMap { $0.until > now ? $0 : nil }
    }

    private mutating func remark(_ label: Name?, _ text: String, isDecrease: Bool, _ now: ContinuousClock.Instant) {
        remarks[label] = Remark(text: text, isDecrease: isDecrease, until: now + Self.remarkTime)
    }

    private mutating func addSample(_ label: Name?, _ done: Int128, _ now: ContinuousClock.Instant) {
        var recent = (samples[label] ?? []).filter { $0.at >= now - Self.rateWindow }.suffix(Self.samplesMax - 1)
        recent.append(Sample(at: now, done: done))
        samples[label] = Array(recent)
    }
}
