/// The address of a receiver: a URL with the scheme `https` or `http`.
///
/// It is parsed strictly and written again from its parts, so that no other parser can find another host in it.
public struct WebhookAddress: Hashable, Sendable {
    public let isSecure: Bool
    /// The host in lower case: a name, or an IP address without brackets.
    public let host: String
    public let port: UInt16
    /// The path with the query, beginning with `/`.
    public let path: String

    /// The error of an address, as a sentence without subject and full stop.
    public struct Invalid: Error, Hashable, Sendable {
        public let detail: String
    }

    private static let lengthMax = 2_000

    /// Parses an address.
    public init(_ text: String) throws(Invalid) {
        guard text.utf8.count <= Self.lengthMax else {
            throw Invalid(detail: "must have at most \(Self.lengthMax) bytes")
        }
        // Everything but visible ASCII characters must be escaped in a URL (RFC 3986). A backslash divides hosts from
        // paths for some parsers.
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !#"\"<>^`{|}"#.utf8.contains($0) }) else {
            throw Invalid(detail: "must be a URL, with other characters than those of RFC 3986 percent-encoded")
        }
        let rest: Substring
        if text.hasPrefix("https://") {
            (isSecure, rest) = (true, text.dropFirst("https://".count))
        } else if text.hasPrefix("http://") {
            (isSecure, rest) = (false, text.dropFirst("http://".count))
        } else {
            throw Invalid(detail: "must begin with https://")
        }
        guard !rest.contains("#") else { throw Invalid(detail: "must not have a fragment") }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard !authority.contains("@") else { throw Invalid(detail: "must not contain a user or a password") }
        let target = rest.dropFirst(authority.count)
        path = target.hasPrefix("/") ? String(target) : "/" + target
        let (host, port) = try Self.split(authority)
        self.host = host
        self.port = port ?? (isSecure ? 443 : 80)
    }

    private static func split(_ authority: Substring) throws(Invalid) -> (host: String, port: UInt16?) {
        var host = authority
        var portText: Substring?
        if authority.first == "[" {
            guard let end = authority.firstIndex(of: "]"),
                let address = NetworkAddress(String(authority[authority.index(after: authority.startIndex)..<end])),
                address.isIPv6
            else { throw Invalid(detail: "has an invalid IPv6 address") }
            let after = authority[authority.index(after: end)...]
            guard after.isEmpty || after.first == ":" else { throw Invalid(detail: "has an invalid port") }
            portText = after.isEmpty ? nil : after.dropFirst()
            return (address.description, try port(portText))
        }
        if let colon = authority.firstIndex(of: ":") {
            host = authority[..<colon]
            portText = authority[authority.index(after: colon)...]
        }
        let isName = host.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "-._".utf8.contains(byte)
        }
        guard isName, !host.isEmpty, host.utf8.count <= 253, host.first != "." else {
            throw Invalid(detail: "has an invalid host")
        }
        return (host.lowercased(), try port(portText))
    }

    private static func port(_ text: Substring?) throws(Invalid) -> UInt16? {
        guard let text else { return nil }
        guard let port = UInt16(text), port > 0, text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") }) else {
            throw Invalid(detail: "has an invalid port")
        }
        return port
    }

    private var hasUsualPort: Bool { port == (isSecure ? 443 : 80) }

    /// The scheme, the host and the port, as in `https://example.com`.
    public var origin: String {
        let shown = host.contains(":") ? "[\(host)]" : host
        return "\(isSecure ? "https" : "http")://\(shown)\(hasUsualPort ? "" : ":\(port)")"
    }

    /// The whole URL.
    public var text: String { origin + path }

    /// The URL for display, without the path, which is a secret of many receivers.
    public var masked: String { path == "/" ? text : origin + "/…" }
}
