import Ledger
import LedgerWire

/// The texts of `watch`.
enum WatchMessages {
    static func label(_ label: Name?) -> String {
        label.map { VisibleText.escape($0.text) } ?? SnapshotText.unlabeled
    }

    /// The label as the terminal can show it.
    static func label(_ label: Name?, _ style: TerminalStyle) -> String {
        style.hasUnicode ? Self.label(label) : TerminalText.ascii(Self.label(label))
    }

    /// A number with its digits in groups of three.
    static func number(_ value: Int128) -> String {
        let digits = Array(String(value.magnitude))
        var text = value < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index).isMultiple(of: 3) { text += " " }
            text.append(digit)
        }
        return text
    }

    /// A duration in its two largest units, rounded down.
    static func duration(_ duration: Duration) -> String {
        let seconds = max(0, duration.components.seconds)
        if seconds < 60 { return "\(seconds)s" }
        if seconds < 3_600 { return "\(seconds / 60)m \(seconds % 60)s" }
        if seconds < 86_400 { return "\(seconds / 3_600)h \(seconds / 60 % 60)m" }
        return "\(seconds / 86_400)d \(seconds / 3_600 % 24)h"
    }

    /// Units per second, or the time per unit if the rate is below one.
    static func rate(_ perSecond: Double?, of unit: Name? = nil) -> String {
        guard let perSecond, perSecond > 0 else { return "" }
        if UnitText.isScaled(unit), perSecond >= 1, let whole = Int128(exactly: perSecond.rounded(.down)) {
            return "\(UnitText.bytes(whole))/s"
        }
        if perSecond >= 10 { return "\(number(Int128(perSecond)))/s" }
        if perSecond >= 1 { return "\(Int(perSecond)).\(Int(perSecond * 10) % 10)/s" }
        return "\(duration(.seconds(1 / perSecond))) each"
    }

    static func decrease(_ decrease: WatchHistory.Decrease) -> String {
        var parts: [String] = []
        if decrease.after.done < decrease.before.done {
            parts.append("-\(number(decrease.before.done - decrease.after.done))")
        }
        if decrease.after.total < decrease.before.total {
            parts.append("total -\(number(decrease.before.total - decrease.after.total))")
        }
        return parts.joined(separator: ", ")
    }

    /// The cause of a decrease.
    static func cause(_ superseded: SnapshotDiff.Superseded, _ lost: Units) -> String {
        let units = lost.done > 0 ? "-\(number(lost.done))" : "total -\(number(lost.total))"
        let by = superseded.by
        let name = by.execution.map { ", \(VisibleText.escape($0.text))" } ?? ""
        return "\(units): \(VisibleText.escape(superseded.task.text)) restarted, attempt \(by.attempt)\(name)"
    }

    /// The numbers of an indicator.
    static func count(_ indicator: Snapshot.Indicator) -> String {
        let (units, unit) = (indicator.counted, indicator.unit)
        let text =
            units.total == 0
            ? UnitText.amount(units.done, of: unit, number: number) + UnitText.suffix(unit)
            : UnitText.progress(units, of: unit, number: number)
        return VisibleText.escape(text)
    }

    /// A note on an indicator that the numbers alone do not show.
    static func note(
        _ indicator: Snapshot.Indicator, _ status: Snapshot.Indicator.Status, stalledSince: Timestamp?,
        at now: Timestamp
    ) -> String {
        switch status {
        case .empty: return "no units declared"
        case .unknown: return "total unknown"
        case .over:
            let more = indicator.counted.done - indicator.counted.total
            return "\(UnitText.amount(more, of: indicator.unit, number: number)) more than declared"
        case .stalled:
            return stalledSince.map {
                "stalled for \(duration(.microseconds(now.microseconds - $0.microseconds)))"
            } ?? ""
        case .waiting, .moving, .complete: return ""
        }
    }
}
