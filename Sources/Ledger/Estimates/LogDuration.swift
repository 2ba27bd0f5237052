/// The logarithm of a duration, in two bytes.
///
/// The logarithm of the seconds in steps of 1/1,024, which is a tenth of a percent. Durations range from a millisecond,
/// to which shorter ones are raised, to e³¹ seconds.
public struct LogDuration: Hashable, Comparable, Sendable {
    /// The stored value.
    let steps: Int16

    private static let stepsPerUnit = 1_024.0
    /// The range of the stored values: e⁻⁷ to e³¹ seconds.
    private static let stepsRange = -7_168.0...31_744.0
    /// The shortest duration, in seconds.
    static let secondsMin = 1e-3
    /// The least variance of the logarithms of durations: a deviation of 0.05.
    static let varianceMin = 0.0025

    init(steps: Int16) {
        self.steps = steps
    }

    /// Creates the nearest value of a logarithm of seconds.
    init(logarithm: Double) {
        steps = Int16((logarithm * Self.stepsPerUnit).rounded().clamped(to: Self.stepsRange))
    }

    /// Creates the nearest value of a number of seconds.
    init(seconds: Double) {
        self.init(logarithm: max(seconds, Self.secondsMin).naturalLogarithm)
    }

    /// The natural logarithm of the seconds.
    var logarithm: Double { Double(steps) / Self.stepsPerUnit }

    public static func < (left: LogDuration, right: LogDuration) -> Bool { left.steps < right.steps }
}

extension Double {
    static let microsecondsPerSecond = 1e6

    /// The seconds of a number of microseconds.
    init(secondsOf microseconds: Int64) {
        self = Double(microseconds) / Self.microsecondsPerSecond
    }
}

extension Timestamp {
    /// The seconds since an earlier moment; 0 if it is later.
    func seconds(since earlier: Timestamp) -> Double {
        Double(secondsOf: max(0, microseconds - earlier.microseconds))
    }
}
