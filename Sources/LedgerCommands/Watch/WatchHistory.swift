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
        /// The unit, such as `bytes`; nil without one.
        let unit: Name?
        let before: Units
        let after: Units
        /// The sequences of the snapshots before and after the decrease.
        let sequences: ClosedRange<EventSequence>
    }

    private struct Sample {
        let at: ContinuousClock.Instant
        /// The units done without carried ones, which took no time.
        let own: Int128
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
        let before = Dictionary(uniqueKeysWithValues: (job?.snapshot.indicators ?? []).map { ($0.label, $0) })
        let previousSequence = job?.snapshot.sequence
        job = next
        var decreases: [Decrease] = []
        for indicator in next.snapshot.indicators {
            let (label, units, unit) = (indicator.label, indicator.counted, indicator.unit)
            let previous = before[label]?.counted
            if let previous, let previousSequence, units.done < previous.done || units.total < previous.total {
                samples[label] = []
                let decrease = Decrease(
                    label: label, unit: unit, before: previous, after: units,
                    sequences: previousSequence...max(previousSequence, next.snapshot.sequence))
                remark(label, WatchMessages.decrease(decrease), isDecrease: true, now)
                decreases.append(decrease)
            } else if let previous, previous.total > 0, units.total > previous.total {
                let more = WatchMessages.amount(units.total - previous.total, of: unit)
                remark(label, "total +\(more)", isDecrease: false, now)
            }
            if previousSequence != nil, units.done > previous?.done ?? 0 { advancedAt = now }
            addSample(indicator, after: before[label], now)
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
                let unit = job?.snapshot.indicators.first { $0.label == lost.label }?.unit
                let text = WatchMessages.cause(superseded, lost.units, of: unit)
                remark(lost.label, text, isDecrease: true, now)
                lines.append("\(WatchMessages.label(lost.label)) \(text)")
            }
        }
        return lines
    }

    /// Units per second, without carried ones.
    ///
    /// Nil if nothing advanced within the window.
    func rate(_ label: Name?, now: ContinuousClock.Instant) -> Double? {
        let recent = (samples[label] ?? []).drop { $0.at < now - Self.rateWindow }
        guard let first = recent.first, let last = recent.last, last.own > first.own else { return nil }
        // The time until now counts, so that the rate falls while nothing arrives.
        return Double(last.own - first.own) / max(0.5, first.at.duration(to: now) / .seconds(1))
    }

    func remark(_ label: Name?, now: ContinuousClock.Instant) -> Remark? {
        remarks[label].flatMap { $0.until > now ? $0 : nil }
    }

    private mutating func remark(_ label: Name?, _ text: String, isDecrease: Bool, _ now: ContinuousClock.Instant) {
        remarks[label] = Remark(text: text, isDecrease: isDecrease, until: now + Self.remarkTime)
    }

    /// Adds a sample if the units that took time have changed.
    ///
    /// They fall if an execution is superseded, which may leave `done` unchanged: the newer one may have carried on as
    /// many units as were lost. No rate spans a fall.
    private mutating func addSample(
        _ indicator: Snapshot.Indicator, after previous: Snapshot.Indicator?, _ now: ContinuousClock.Instant
    ) {
        func units(_ indicator: Snapshot.Indicator) -> Int128 { indicator.counted.done - indicator.carried }
        let own = (now: units(indicator), before: previous.map(units))
        guard own.now != own.before else { return }
        var recent = (samples[indicator.label] ?? []).filter { $0.at >= now - Self.rateWindow }
            .suffix(Self.samplesMax - 1)
        if let before = own.before, own.now < before { recent = [] }
        recent.append(Sample(at: now, own: own.now))
        samples[indicator.label] = Array(recent)
    }
}
