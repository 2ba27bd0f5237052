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

    /// - Parameters:
    ///   - host: The address that the server listens on.
    ///   - allowedHosts: Further names of the server, without ports.
    init(host: String, allowedHosts: [String]) {
        originHosts = Set(allowedHosts.map(Self.normalized))
        hosts = originHosts.union([Self.normalized(host), "localhost"])
    }

    /// Returns the refusal of a request; nil if it is allowed.
    func problem(_ head: HTTPRequestHead) -> HTTPProblem? {
        let authority = Self.authority(of: head)
        if let authority, !isAllowed(authority), !Self.openPaths.contains(String(head.uri.prefix { $0 != "?" })) {
            return HTTPProblem(
                .misdirectedRequest, "Unknown host",
                "This server does not serve the host '\(Self.name(of: authority))'. If it is a name of this server, start it "
                    + "with --allowed-host \(Self.name(of: authority)).")
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
                    + "--allowed-host and its host.")
        }
    }

    private func isAllowed(_ authority: String) -> Bool {
        let name = Self.name(of: authority)
        return hosts.contains(name) || Self.isLoopback(name)
    }

    /// Whether an origin is the server itself or an allowed host.
    private func isOwn(origin: String, _ authority: String?) -> Bool {
        guard let scheme = ["http", "https"].first(where: { origin.lowercased().hasPrefix("\($0)://") }) else {
            return false
        }
        let origin = origin.dropFirst(scheme.count + 3).lowercased()
        if originHosts.contains(Self.name(of: origin)) { return true }
        guard let authority else { return false }
        return Self.withoutDefaultPort(origin) == Self.withoutDefaultPort(authority.lowercased())
    }

    /// The authority of the target if it has one, otherwise the `Host`.
    ///
    /// This is the rule of RFC 9112, section 3.2.2.
    private static func authority(of head: HTTPRequestHead) -> String? {
        if head.uri.utf8.first != UInt8(ascii: "/"), let scheme = head.uri.firstRange(of: "://") {
            return String(head.uri[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" })
        }
        return head.headers.first(name: "host")
    }

    /// The name in an authority, without its port, in lower case.
    private static func name(of authority: String) -> String {
        if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
            return normalized(String(authority[authority.index(after: authority.startIndex)..<end]))
        }
        return normalized(String(authority.prefix { $0 != ":" }))
    }

    private static func normalized(_ name: String) -> String {
        let name = name.lowercased()
        return name.hasSuffix(".") ? String(name.dropLast()) : name
    }

    private static func withoutDefaultPort(_ authority: String) -> String {
        for port in [":80", ":443"] where authority.hasSuffix(port) { return String(authority.dropLast(port.count)) }
        return authority
    }

    /// Whether the name is a loopback address.
    private static func isLoopback(_ name: String) -> Bool {
        if name == "::1" { return true }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}
