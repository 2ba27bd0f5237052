package import Ledger
import LedgerWire
import NIOHTTP1

/// The server's clock, read from its responses.
///
/// Ages are computed from it, never from the reader's own clock.
package struct ServerClock: Hashable, Sendable {
    private let moment: Timestamp
    private let readAt: ContinuousClock.Instant

    package init(moment: Timestamp, readAt: ContinuousClock.Instant = .now) {
        self.moment = moment
        self.readAt = readAt
    }

    /// Reads the clock from the field `now` of a body or of its first job.
    init?(_ body: JSONValue) {
        let text = body["now"]?.text ?? body["jobs"]?.elements?.first?["now"]?.text
        guard let moment = text.flatMap({ RFC3339.timestamp($0) }) else { return nil }
        self.init(moment: moment)
    }

    /// Reads the clock from the `Date` header, to the second.
    init?(_ headers: HTTPHeaders) {
        guard let moment = headers.first(name: "date").flatMap(Self.moment(httpDate:)) else { return nil }
        self.init(moment: moment)
    }

    /// Returns the current time of the server's clock.
    package func now(at instant: ContinuousClock.Instant = .now) -> Timestamp {
        let (seconds, attoseconds) = readAt.duration(to: instant).components
        return Timestamp(
            microseconds: moment.microseconds + seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
    }

    /// Parses RFC 9110's preferred date format: `Sun, 06 Nov 1994 08:49:37 GMT`.
    static func moment(httpDate text: String) -> Timestamp? {
        let parts = text.split(separator: " ")
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        guard parts.count == 6, parts[5] == "GMT", parts[1].utf8.count == 2,
            let month = months.firstIndex(of: String(parts[2]))
        else { return nil }
        return RFC3339.timestamp("\(parts[3])-\(month < 9 ? "0" : "")\(month + 1)-\(parts[1])T\(parts[4])Z")
    }
}
