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
        guard let name = OriginPolicy.name(of: authority), Self.isHost(name), Self.hasValidPort(authority) else {
            return nil
        }
        self.scheme = scheme
        self.authority = Self.withoutPort(defaultPort, authority)
    }

    private static let defaultPorts = ["http": ":80", "https": ":443"]

    /// Whether a browser sends this host.
    ///
    /// It has letters of ASCII, digits and `-._`, or is an IPv6 address. Other letters are sent as Punycode.
    private static func isHost(_ name: String) -> Bool {
        !name.isEmpty
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
                default: "-._:".utf8.contains(byte)
                }
            }
    }

    /// Whether an authority has no port, or one as a browser sends it.
    private static func hasValidPort(_ authority: String) -> Bool {
        guard let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]") else { return true }
        let port = authority[authority.index(after: colon)...]
        return port.first != "0" && UInt16(port) != nil
    }

    /// Whether this is the origin of pages of this authority.
    func hasAuthority(_ authority: String) -> Bool {
        Self.withoutPort(Self.defaultPorts[scheme] ?? "", authority.lowercased()) == self.authority
    }

    // A browser omits the default port of its scheme; a client need not.
    private static func withoutPort(_ port: String, _ authority: String) -> String {
        authority.hasSuffix(port) ? String(authority.dropLast(port.count)) : authority
    }
}
