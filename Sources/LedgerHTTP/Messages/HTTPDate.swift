internal import FoundationEssentials
internal import Ledger
internal import LedgerWire
internal import Synchronization

/// The time in the format of HTTP (RFC 9110, section 5.6.7), updated once a second.
final class HTTPDate: Sendable {
    private static let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    private let current = Mutex<(second: Int64, text: String)>((-1, ""))

    /// The present time.
    var text: String {
        let second = Int64(Date().timeIntervalSince1970)
        return current.withLock { current in
            if current.second != second { current = (second, Self.text(secondsSince1970: second)) }
            return current.text
        }
    }

    /// A time from 1970 to 9999, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    static func text(secondsSince1970 seconds: Int64) -> String {
        // YYYY-MM-DDTHH:MM:SS.UUUUUUZ, and 1970-01-01 was a Thursday.
        let moment = Array(RFC3339.text(Timestamp(microseconds: seconds * 1_000_000)))
        let month = Int(String(moment[5..<7])).map { months[$0 - 1] } ?? ""
        let weekday = weekdays[Int(seconds / 86_400 % 7)]
        return "\(weekday), \(String(moment[8..<10])) \(month) \(String(moment[..<4])) \(String(moment[11..<19])) GMT"
    }
}
