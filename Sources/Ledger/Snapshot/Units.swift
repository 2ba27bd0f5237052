/// Declared units and done units.
///
/// An increment is below 2^53 and a job has fewer than 2^63 events, so a sum stays below 2^116. A 128-bit integer
/// represents it exactly: sums never wrap or trap.
public struct Units: Hashable, Sendable {
    /// Units to do.
    public var total: Int128
    /// Units done.
    public var done: Int128

    public init(total: Int128 = 0, done: Int128 = 0) {
        self.total = total
        self.done = done
    }

    /// No units.
    public static let zero = Units()

    public static func + (left: Units, right: Units) -> Units {
        Units(total: left.total + right.total, done: left.done + right.done)
    }

    public static func - (left: Units, right: Units) -> Units {
        Units(total: left.total - right.total, done: left.done - right.done)
    }

    public static func += (left: inout Units, right: Units) {
        left = left + right
    }

    public static func -= (left: inout Units, right: Units) {
        left = left - right
    }
}
