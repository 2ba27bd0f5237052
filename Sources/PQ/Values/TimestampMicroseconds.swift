/// A `timestamptz`, in microseconds since 1970-01-01T00:00:00Z.
public struct TimestampMicroseconds: Hashable, Sendable {
    public let microsecondsSince1970: Int64

    public init(microsecondsSince1970: Int64) {
        self.microsecondsSince1970 = microsecondsSince1970
    }

    /// Microseconds from 1970 to 2000-01-01T00:00:00Z, PostgreSQL's epoch.
    static let epochDistance: Int64 = 946_684_800_000_000
}
