internal import CLibPQ

/// The address of a database and the login, as libpq settings.
///
/// The manual describes them in section 34.1.
public struct ConnectionTarget: Sendable {
    /// libpq's keywords with their values.
    ///
    /// Absent ones come from libpq's `PG…` environment variables and defaults.
    private(set) var settings: [String: String]

    /// Parses a libpq connection string, `postgresql://…` or `host=… dbname=…`.
    ///
    /// Several hosts, Unix sockets and `target_session_attrs` work as in libpq. An empty string leaves everything to
    /// the environment.
    ///
    /// - Throws: ``PQError/Code/invalidConnectionString``, without the string, which may contain a password.
    public init(_ connectionString: String) throws(PQError) {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = unsafe PQconninfoParse(connectionString, &message) else {
            defer { unsafe PQfreemem(message) }
            let reason = unsafe message.map { unsafe String(cString: $0) } ?? "out of memory"
            throw PQError(
                .invalidConnectionString,
                """
                cannot read the connection string: \(Self.withoutQuotes(reason)). Expected a string such as \
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

    /// Removes the quoted part of libpq's message, which may be a part of a password.
    ///
    /// That part may contain quotes itself, so everything from the first quote on is removed.
    private static func withoutQuotes(_ reason: String) -> String {
        if reason.hasPrefix("missing \"=\"") { return "a word in it has no \"=\" after it" }
        let words = reason.prefix { $0 != "\"" && $0 != "\n" }
        return words.last == " " ? "\(words)…" : String(words)
    }

    /// The value of one of libpq's keywords; nil if it was not given.
    public subscript(keyword: String) -> String? { settings[keyword] }

    /// Returns the target with another value for one of libpq's keywords.
    public func setting(_ keyword: String, _ value: String) -> ConnectionTarget {
        var copy = self
        copy.settings[keyword] = value
        return copy
    }

    /// Returns the target with other values for some of libpq's keywords.
    func settings(_ values: [String: String]) -> ConnectionTarget {
        var copy = self
        copy.settings.merge(values) { $1 }
        return copy
    }
}

extension ConnectionTarget: CustomStringConvertible {
    /// The target without its secrets.
    public var description: String {
        let shown = ["host", "hostaddr", "port", "dbname", "user", "service", "target_session_attrs"]
        let parts = shown.compactMap { keyword in settings[keyword].map { "\(keyword)=\($0)" } }
        return parts.isEmpty ? "libpq's defaults" : parts.joined(separator: " ")
    }
}
