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

    /// An amount, scaled if it is bytes, without the name of its unit.
    static func amount(_ value: Int128, of unit: Name?) -> String { UnitText.amount(value, of: unit, number: number) }

    /// A duration in its two largest units, rounded down.
    static func duration(_ duration: Duration) -> String {
        let seconds = max(0, duration.components.seconds)
        if seconds < 60 { return "\(seconds)s" }
        if seconds < 3_600 { return "\(seconds / 60)m \(seconds % 60)s" }
        if seconds < 86_400 { return "\(seconds / 3_600)h \(seconds / 60 % 60)m" }
        return "\(seconds / 86_400)d \(seconds / 3_600 % 24)h"
    }

    /// The time since a moment, by the server's clock.
    static func age(of moment: Timestamp, at now: Timestamp) -> String {
        duration(.microseconds(now.microseconds - moment.microseconds))
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
            parts.append("-\(amount(decrease.before.done - decrease.after.done, of: decrease.unit))")
        }
        if decrease.after.total < decrease.before.total {
            parts.append("total -\(amount(decrease.before.total - decrease.after.total, of: decrease.unit))")
        }
        return parts.joined(separator: ", ")
    }

    /// The cause of a decrease.
    static func cause(_ superseded: SnapshotDiff.Superseded, _ lost: Units, of unit: Name?) -> String {
        let units = lost.done > 0 ? "-\(amount(lost.done, of: unit))" : "total -\(amount(lost.total, of: unit))"
        let by = superseded.by
        let name = by.execution.map { ", \(VisibleText.escape($0.text))" } ?? ""
        return "\(units): \(VisibleText.escape(superseded.task.text)) restarted, attempt \(by.attempt)\(name)"
    }

    /// The numbers of an indicator as the terminal can show them.
    static func count(_ indicator: Snapshot.Indicator, _ style: TerminalStyle) -> String {
        let (units, unit) = (indicator.counted, indicator.unit)
        let text =
            units.total == 0
            ? amount(units.done, of: unit) + UnitText.suffix(unit)
            : UnitText.progress(units, of: unit, number: number)
        let escaped = VisibleText.escape(text)
        return style.hasUnicode ? escaped : TerminalText.ascii(escaped)
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
            return "\(amount(more, of: indicator.unit)) more than declared"
        case .stalled:
            return stalledSince.map {
                "stalled for \(duration(.microseconds(now.microseconds - $0.microseconds)))"
            } ?? ""
        case .waiting, .moving, .complete: return ""
        }
    }
}
