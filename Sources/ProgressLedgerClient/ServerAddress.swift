/// The address of a ledger's server, parsed from `https://HOST:PORT/PREFIX`.
public struct ServerAddress: Hashable, Sendable {
    /// Whether connections use TLS: the scheme is `https`.
    public let isSecure: Bool
    /// The name or address of the host; an IPv6 address without its brackets.
    public let host: String
    /// The port, 1 to 65535.
    public let port: Int
    /// The percent-encoded prefix of every route.
    ///
    /// It is empty, or begins with a slash and does not end with one.
    public let pathPrefix: String

    /// Parses a URL.
    ///
    /// - Throws: ``LedgerClientError/Code/invalidAddress``, with the fault and the expected form.
    public init(_ url: String) throws(LedgerClientError) {
        let scanned = try Self.split(url)
        isSecure = scanned.isSecure
        let (host, port) = try Self.hostAndPort(scanned.authority, of: url, defaultPort: Self.defaultPort(isSecure))
        self.host = host
        self.port = port
        var prefix = scanned.path
        while prefix.hasSuffix("/") { prefix.removeLast() }
        self.pathPrefix = prefix
    }

    /// The value of the `Host` header.
    var hostHeader: String {
        let bracketed = host.contains(":") ? "[\(host)]" : host
        return port == Self.defaultPort(isSecure) ? bracketed : "\(bracketed):\(port)"
    }

    private static func defaultPort(_ isSecure: Bool) -> Int { isSecure ? 443 : 80 }

    private static func split(
        _ url: String
    ) throws(LedgerClientError) -> (isSecure: Bool, authority: String, path: String) {
        guard let separator = url.firstRange(of: "://") else {
            throw .invalidAddress(url, "it has no scheme; write http://HOST:PORT")
        }
        let scheme = url[..<separator.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else {
            throw .invalidAddress(url, "the scheme \(scheme) is not supported; write http://HOST:PORT or https://HOST")
        }
        let rest = url[separator.upperBound...]
        guard rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw .invalidAddress(url, "it contains spaces or characters that a URL must percent-encode")
        }
        guard !rest.contains(where: { $0 == "?" || $0 == "#" }) else {
            throw .invalidAddress(url, "it has a query or a fragment; give only scheme, host, port and path")
        }
        let authority = rest.prefix { $0 != "/" }
        return (scheme == "https", String(authority), String(rest[authority.endIndex...]))
    }

    private static func hostAndPort(
        _ authority: String, of url: String, defaultPort: Int
    ) throws(LedgerClientError) -> (host: String, port: Int) {
        guard !authority.contains("@") else {
            // The error does not contain the URL, because the part before the @ may be a password.
            throw .invalidAddress(nil, "it contains a user or a password; remove the part before the @")
        }
        let host: Substring
        var rest: Substring
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else {
                throw .invalidAddress(url, "the bracket of the IPv6 address is not closed")
            }
            host = authority[authority.index(after: authority.startIndex)..<end]
            rest = authority[authority.index(after: end)...]
            guard host.contains(":"), host.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }) else {
                throw .invalidAddress(url, "[\(host)] is not an IPv6 address")
            }
        } else {
            host = authority.prefix { $0 != ":" }
            rest = authority[host.endIndex...]
            guard !rest.dropFirst().contains(":") else {
                throw .invalidAddress(url, "an IPv6 address needs brackets: http://[::1]:8080")
            }
        }
        guard !host.isEmpty else { throw .invalidAddress(url, "it has no host") }
        guard !rest.isEmpty else { return (String(host), defaultPort) }
        guard rest.removeFirst() == ":", let port = UInt16(rest), port > 0, rest.allSatisfy(\.isNumber) else {
            throw .invalidAddress(url, "the port must be a number from 1 to 65535")
        }
        return (String(host), Int(port))
    }
}

extension ServerAddress: CustomStringConvertible {
    public var description: String {
        "\(isSecure ? "https" : "http")://\(host.contains(":") ? "[\(host)]" : host):\(port)\(pathPrefix)"
    }
}
