internal import Ledger
internal import LedgerWire

/// The ticks of a chart's axes, at round values.
enum ChartAxis {
    /// The maximum number of steps between the ticks of an axis.
    static let stepsMax: Int64 = 5

    /// The round values from 0 to the top.
    ///
    /// They are multiples of 1, 2 or 5 times a power of ten; those of bytes are multiples of a power of two.
    static func values(to top: Int128, unit: Name?) -> [Int128] {
        guard top > 0 else { return [0] }
        let isBinary = UnitText.isScaled(unit)
        var step: Int128 = 1
        var factor = 0
        while step * Int128(stepsMax) < top {
            // 1, 2, 5, 10, 20, 50 …
            step = isBinary || factor != 1 ? step * 2 : step / 2 * 5
            factor = (factor + 1) % 3
        }
        return (0...top / step).map { $0 * step }
    }

    /// A round value, with a prefix of the powers of 1,000 from ten thousand on.
    static func text(_ value: Int128, unit: Name?) -> String {
        guard value >= 10_000, !UnitText.isScaled(unit) else { return PageText.amount(value, unit) }
        var scale: Int128 = 1_000
        var prefixes = ["k", "M", "G", "T", "P", "E", "Z", "Y"][...]
        while prefixes.count > 1, value / scale >= 1_000 {
            scale *= 1_000
            prefixes.removeFirst()
        }
        let tenths = value * 10 / scale
        let rest = tenths % 10 == 0 ? "" : ".\(tenths % 10)"
        return "\(PageText.number(tenths / 10))\(rest)\u{202F}\(prefixes.first ?? "")"
    }

    /// The seconds between the ticks of a time axis.
    private static let timeSteps: [Int64] =
        [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200]
        + [1, 2, 7, 14, 28, 91, 182, 364].map { $0 * 86_400 }

    /// The attributes of an element with a time axis.
    ///
    /// `Files/axes.js` draws the axis again in the viewer's time zone, in which other times are round.
    static func span(from start: Timestamp, to end: Timestamp) -> HTML {
        " data-from=\"\(RFC3339.text(start))\" data-to=\"\(RFC3339.text(end))\""
    }

    /// The round times between two times, both included, with their texts.
    static func times(from start: Timestamp, to end: Timestamp) -> [(at: Timestamp, text: String)] {
        let second: Int64 = 1_000_000
        let span = max(0, end.microseconds - start.microseconds)
        let longest = span / (86_400 * second) / stepsMax + 1
        let seconds = timeSteps.first { $0 * second * stepsMax >= span } ?? longest * 86_400
        let step = seconds * second
        let first = (start.microseconds + step - 1) / step * step
        return stride(from: first, through: end.microseconds, by: Int(step)).map { moment in
            let at = Timestamp(microseconds: moment)
            return (at, text(at, step: seconds))
        }
    }

    private static func text(_ moment: Timestamp, step seconds: Int64) -> String {
        let isMidnight = moment.microseconds.isMultiple(of: 86_400_000_000)
        if seconds >= 86_400 || isMidnight { return PageTime.dayAndMonth(moment) }
        return String(PageText.clock(moment).prefix(seconds < 60 ? 8 : 5))
    }
}
