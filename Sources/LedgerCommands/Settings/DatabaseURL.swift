/// Detects a database URL with a password that is not percent-encoded.
///
/// libpq ends the password at the first `@`, and the user and password at the first `/`, `?` or `#`. It would take the
/// rest for a host, a port or a parameter, and print it in its error.
enum DatabaseURL {
    /// Checks a connection string; a string that is not a URL passes.
    ///
    /// - Throws: ``CommandFailure``, without any part of the string.
    static func check(_ connectionString: String) throws(CommandFailure) {
        guard let scheme = ["postgresql://", "postgres://"].first(where: connectionString.hasPrefix) else { return }
        let rest = connectionString.dropFirst(scheme.count)
        let authority = rest.prefix { !"/?#".contains($0) }
        let path = rest.dropFirst(authority.count).prefix { $0 != "?" }
        let marks = authority.count { $0 == "@" }
        let mayBeCutPassword = marks == 0 && rest.contains("@") && hasOddPort(authority)
        guard marks > 1 || path.contains("@") || mayBeCutPassword else { return }
        throw CommandFailure(
            .usage,
            """
            Cannot parse the database URL: its user or password contains a character that must be percent-encoded. \
            Write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25.
            """)
    }

    /// Whether a host has an invalid port, such as `user:pass` before a `/`.
    private static func hasOddPort(_ authority: Substring) -> Bool {
        authority.split(separator: ",").contains { host in
            let name = host.hasPrefix("[") ? host.drop { $0 != "]" } : host
            guard let colon = name.firstIndex(of: ":") else { return false }
            return !name[name.index(after: colon)...].allSatisfy { $0.isASCII && $0.isNumber }
        }
    }
}
