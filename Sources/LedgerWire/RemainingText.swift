public import Ledger

/// The remaining time of an estimate in words: `≈ 12 min (9–20)`.
public enum RemainingText {
    private struct Unit {
        let name: String
        let seconds: Double
    }

    /// The units, each used from one and a half of it on.
    private static let units = [
        Unit(name: "d", seconds: 86_400), Unit(name: "h", seconds: 3_600), Unit(name: "min", seconds: 60),
    ]

    /// Returns the words for an estimate at this time.
    ///
    /// Nil without a prediction.
    public static func text(_ estimate: JobEstimate?, now: Timestamp, isPlain: Bool = false) -> String? {
        guard let estimate, let remaining = estimate.estimate.remaining else { return nil }
        let passed = Double(max(0, now.microseconds - estimate.at.microseconds)) / 1e6
        func left(_ seconds: Double) -> Double { max(0, seconds - passed) }
        let middle = left(remaining.p50)
        let unit = units.first { middle >= 1.5 * $0.seconds } ?? Unit(name: "s", seconds: 1)
        func number(_ seconds: Double) -> String {
            let value = seconds / unit.seconds
            guard value < 1e6 else { return "…" }
            // Hours and days have one digit after the point while they are few.
            guard unit.seconds >= 3_600, value < 10 else { return "\(Int(value.rounded()))" }
            let tenths = Int((value * 10).rounded())
            return tenths.isMultiple(of: 10) ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
        }
        let (about, dash) = isPlain ? ("~", "-") : ("≈", "–")
        return
            "\(about) \(number(middle)) \(unit.name) (\(number(left(remaining.p10)))\(dash)\(number(left(remaining.p90))))"
    }
}
