internal import CLibPQ

/// Where a database is and how to log in there: libpq's settings (manual, section 34.1).
public struct ConnectionTarget: Sendable {
    /// libpq's keywords with their values; what is absent comes from libpq's `PG…` environment and defaults.
    private(set) var settings: [String: String]

    /// Reads a connection string of libpq, `postgresql://…` or `host=… dbname=…`; several hosts, Unix sockets and
    /// `target_session_attrs` as libpq has them. An empty one leaves everything to the environment.
    ///
    /// - Throws: ``PQError/Code/invalidConnectionString``, without the string, which may hold a password.
    public init(_ connectionString: String) throws(PQError) {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = unsafe PQconninfoParse(connectionString, &message) else {
            defer { unsafe PQfreemem(message) }
            let reason = unsafe message.map { unsafe String(cString: $0) } ?? "out of memory"
            throw PQError(
                .invalidConnectionString,
                """
                the connection string cannot be read: \(Self.withoutQuotes(reason)). It has to look like \
                postgresql://user@host/database or host=… dbname=…
                """)
        }
        defer { unsafe PQconninfoFree(options) }
        settings = [:]
        var option = unsafe options
        while let keyword = unsafe option.pointee.keyword {
            if let value = unsafe option.pointee.val {
                unsafe settings[String(cString: keyword)] = String(cString: value)
            }
            unsafe option += 1
        }
    }

    /// libpq quotes the part that it cannot read, which may be one of a password, with quotes of its own in it.
    private static func withoutQuotes(_ reason: String) -> String {
        if reason.hasPrefix("missing \"=\"") { return "a word in it has no \"=\" after it" }
        let words = reason.prefix { $0 != "\"" && $0 != "\n" }
        return words.last == " " ? "\(words)…" : String(words)
    }

    /// The value of one of libpq's keywords, where it was given.
    public subscript(keyword: String) -> String? { settings[keyword] }

    /// The same target with another value for one of libpq's keywords.
    public func setting(_ keyword: String, _ value: String) -> ConnectionTarget {
        var copy = self
        copy.settings[keyword] = value
        return copy
    }

    /// The same target with other values for some of libpq's keywords.
    func settings(_ values: [String: String]) -> ConnectionTarget {
        var copy = self
        copy.settings.merge(values) { $1 }
        return copy
    }
}

extension ConnectionTarget: CustomStringConvertible {
    /// The target without anything secret.
    public var description: String {
        let shown = ["host", "hostaddr", "port", "dbname", "user", "service", "target_session_attrs"]
        let parts = shown.compactMap { keyword in settings[keyword].map { "\(keyword)=\($0)" } }
        return parts.isEmpty ? "libpq's defaults" : parts.joined(separator: " ")
    }
}
