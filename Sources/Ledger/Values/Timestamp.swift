/// A moment, in microseconds since 1970-01-01T00:00:00Z, as in PostgreSQL.
///
/// Leap seconds are not counted.
public struct Timestamp: Hashable, Comparable, Sendable {
    /// Microseconds since 1970-01-01T00:00:00Z; negative before.
    public let microseconds: Int64

    /// Creates a moment from its microseconds since 1970-01-01T00:00:00Z.
    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.microseconds < right.microseconds
    }

    /// 0001-01-01T00:00:00Z: the earliest valid time of an event.
    public static let earliest = Timestamp(microseconds: -62_135_596_800_000_000)
    /// 9999-12-31T23:59:59.999999Z: the latest valid time of an event.
    ///
    /// It is the last moment that RFC 3339 can represent.
    public static let latest = Timestamp(microseconds: 253_402_300_799_999_999)
}
