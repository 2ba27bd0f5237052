internal import HTTPTypes
internal import NIOHTTP1

/// The policy for the hosts and origins of requests.
///
/// A browser on this machine reaches the server even if other machines do not, and runs pages of any site. Such a page
/// could read the ledger under its own name if that resolves to this address (DNS rebinding), and could write to it
/// across origins. Therefore the `Host` must be one of the server's names, and pages of a foreign origin must not
/// change anything. Programs other than browsers send no `Origin`.
struct OriginPolicy: Sendable {
    /// The paths that respond to any `Host`.
    ///
    /// Probes use an address or a name that is not configured here.
    private static let openPaths: Set<String> = ["/healthz", "/readyz"]

    /// The names of the server, in lower case.
    private let hosts: Set<String>
    /// The configured names. Pages of these hosts may send any request.
    private let originHosts: Set<String>
    /// Other sites. Their pages may read responses and send any request.
    private let corsOrigins: Set<Origin>

    /// - Parameters:
    ///   - host: The address that the server listens on.
    ///   - allowedHosts: Further names of the server, without ports.
    ///   - corsOrigins: The origins of other sites whose pages may use the server.
    init(host: String, allowedHosts: [String], corsOrigins: [String] = []) {
        self.corsOrigins = Set(corsOrigins.compactMap(Origin.init))
        originHosts = Set(allowedHosts.map(Self.normalized))
        hosts = originHosts.union([Self.normalized(host), "localhost"])
    }

    /// Returns the refusal of a request; nil if it is allowed.
    ///
    /// The target must be in origin form.
    ///
    /// - Parameter isAuthenticated: Whether requests need a token. Then another host is refused only if the server's
    ///   names were configured: a foreign page has no token, and no cookie of this host.
    func problem(_ head: HTTPRequestHead, isAuthenticated: Bool = false) -> HTTPProblem? {
        let authority = head.headers.first(name: "host")
        if let authority, !serves(authority), !isAuthenticated || !originHosts.isEmpty,
            !Self.openPaths.contains(String(head.uri.prefix { $0 != "?" }))
        {
            let name = Self.name(of: authority) ?? authority
            return HTTPProblem(
                .misdirectedRequest, "Unknown host",
                "This server does not serve the host '\(name)'. If it is a name of this server, start it with "
                    + "--allowed-host \(name)."
            ).refusing(.host)
        }
        switch head.method {
        case .GET, .HEAD, .OPTIONS: return nil
        default: break
        }
        guard head.headers.contains(name: "origin") else { return nil }
        let foreign = head.headers["origin"].first { !isOwn(origin: $0, authority) }
        return foreign.map { origin in
            HTTPProblem(
                .forbidden, "Foreign origin",
                "A page of \(origin) may not change this ledger. If it is a page of yours, start the server with "
                    + "--allowed-host and its host, if that is a name of this server, or else with --cors-origin and "
                    + "the origin."
            ).refusing(.origin)
        }
    }

    /// Returns the headers of the response for pages of other sites.
    ///
    /// Nil if no site is configured.
    func crossOriginAccess(_ head: HTTPRequestHead) -> CrossOriginAccess? {
        corsOrigins.isEmpty ? nil : CrossOriginAccess(head, origins: corsOrigins)
    }

    /// Whether an authority is a name of this server, with any port.
    func serves(_ authority: String) -> Bool {
        guard let name = Self.name(of: authority) else { return false }
        return hosts.contains(name) || Self.isLoopback(name)
    }

    /// Whether an origin is the server itself, an allowed host or a configured origin.
    private func isOwn(origin: String, _ authority: String?) -> Bool {
        guard let origin = Origin(origin), let name = Self.name(of: origin.authority) else { return false }
        return corsOrigins.contains(origin) || originHosts.contains(name) || authority.map(origin.hasAuthority) == true
    }

    /// The name in an authority, in lower case and without its port.
    ///
    /// It is nil if the authority is not a name with an optional port.
    static func name(of authority: String) -> String? {
        var name = authority.prefix { $0 != ":" }
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            name = authority[...end]
        }
        let port = authority[name.endIndex...]
        guard port.isEmpty || port.first == ":" && port.dropFirst().utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else {
            return nil
        }
        return normalized(String(name))
    }

    /// A name in lower case, without brackets and without a final dot.
    private static func normalized(_ name: String) -> String {
        let name = name.lowercased()
        if name.hasPrefix("["), name.hasSuffix("]") { return String(name.dropFirst().dropLast()) }
        return name.hasSuffix(".") ? String(name.dropLast()) : name
    }

    /// Whether the name is a loopback address.
    private static func isLoopback(_ name: String) -> Bool {
        if name == "::1" { return true }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127"
            && parts.allSatisfy { part in
                part.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } && UInt8(part) != nil
            }
    }
}
