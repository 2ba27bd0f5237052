internal import Glibc
internal import HTTPTypes
internal import NIOCore
internal import NIOHTTP1

/// The reverse proxies with trusted `X-Forwarded-` headers.
///
/// Without this list, any client could choose the base path of links and cookies.
public struct TrustedProxies: Hashable, Sendable {
    /// A network: the addresses that begin with the same bits.
    private struct Network: Hashable {
        let bytes: [UInt8]
        let bits: Int

        /// Parses an address, or a network such as `10.0.0.0/8`.
        init?(_ text: String) {
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard let bytes = TrustedProxies.bytes(ofAddress: String(parts[0])) else { return nil }
            var bits = bytes.count * 8
            if parts.count == 2 {
                guard let given = UInt8(parts[1]), Int(given) <= bits, parts[1].allSatisfy(\.isNumber) else {
                    return nil
                }
                bits = Int(given)
            }
            self.bytes = bytes
            self.bits = bits
        }

        func contains(_ other: [UInt8]) -> Bool {
            guard other.count == bytes.count else { return false }
            return (0..<bits).allSatisfy { bit in
                (bytes[bit / 8] ^ other[bit / 8]) & (0x80 >> (bit % 8)) == 0
            }
        }
    }

    private let networks: [Network]

    /// Creates an empty list: no proxy is trusted.
    public init() {
        networks = []
    }

    /// Parses addresses and networks; nil if one of them is neither.
    public init?(_ texts: [String]) {
        var networks: [Network] = []
        for text in texts {
            guard let network = Network(text) else { return nil }
            networks.append(network)
        }
        self.networks = networks
    }

    /// Whether a connection comes from a trusted proxy.
    func contains(_ address: SocketAddress?) -> Bool {
        guard !networks.isEmpty, let text = address?.ipAddress, let bytes = Self.bytes(ofAddress: text) else {
            return false
        }
        return networks.contains { $0.contains(bytes) }
    }

    /// The bytes of an address; those of the IPv4 address if it is one in IPv6's form.
    private static func bytes(ofAddress text: String) -> [UInt8]? {
        var (v4, v6) = ([UInt8](repeating: 0, count: 4), [UInt8](repeating: 0, count: 16))
        if inet_pton(AF_INET, text, &v4) == 1 { return v4 }
        guard inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
        let isMapped = v6.prefix(12).elementsEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF])
        return isMapped ? Array(v6.suffix(4)) : v6
    }
}

/// The statements of a trusted proxy about the request that it forwards.
struct ForwardedRequest {
    /// The path below which the proxy serves the ledger: `X-Forwarded-Prefix`.
    ///
    /// Nil if it states none.
    let basePath: String?
    /// Whether the client's request used TLS: `X-Forwarded-Proto` is `https`.
    let isSecure: Bool

    /// Reads the headers of a request.
    ///
    /// - Throws: A problem if the prefix is not a valid base path.
    init(_ head: HTTPRequestHead) throws(HTTPProblem) {
        isSecure = head.headers.first(name: "x-forwarded-proto")?.lowercased() == "https"
        guard let prefix = head.headers.first(name: "x-forwarded-prefix") else {
            basePath = nil
            return
        }
        guard let path = ServerSettings.basePath(prefix) else {
            throw HTTPProblem(
                .badRequest, "Invalid X-Forwarded-Prefix",
                "The proxy's X-Forwarded-Prefix is not a path of at most eight plain segments, such as /ledger.")
        }
        basePath = path
    }
}
