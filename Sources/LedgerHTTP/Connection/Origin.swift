/// The origin of a web page: scheme, host and port (RFC 6454).
struct Origin: Hashable, Sendable {
    /// `http` or `https`.
    let scheme: String
    /// The host and, unless it is the scheme's default, the port. In lower case.
    let authority: String

    /// Parses an origin as a browser sends it.
    ///
    /// Nil for `null`, for other schemes, and for anything after the authority.
    init?(_ text: String) {
        let text = text.lowercased()
        guard let end = text.firstRange(of: "://") else { return nil }
        let scheme = String(text[..<end.lowerBound])
        guard let defaultPort = Self.defaultPorts[scheme] else { return nil }
        let authority = String(text[end.upperBound...])
        guard let name = OriginPolicy.name(of: authority), !name.isEmpty,
            name.utf8.allSatisfy({ $0 > 0x20 && !Self.forbidden.contains($0) })
        else { return nil }
        self.scheme = scheme
        self.authority = Self.withoutPort(defaultPort, authority)
    }

    private static let defaultPorts = ["http": ":80", "https": ":443"]
    /// The bytes that a host does not contain.
    private static let forbidden = Set("/?#@,\\\"<>*".utf8)

    /// Whether a request for this authority came from the same host and port.
    func isSame(as authority: String) -> Bool {
        Self.withoutPort(Self.defaultPorts[scheme] ?? "", authority.lowercased()) == self.authority
    }

    // A browser omits the default port of its scheme; a client need not.
    private static func withoutPort(_ port: String, _ authority: String) -> String {
        authority.hasSuffix(port) ? String(authority.dropLast(port.count)) : authority
    }
}
