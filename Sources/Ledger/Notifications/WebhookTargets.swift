/// The receivers to which notifications may be sent.
///
/// Without rules these are https servers with public addresses. Otherwise every subscriber could make the server send
/// requests to services that only its own network reaches.
public struct WebhookTargets: Hashable, Sendable {
    /// A further permission.
    private enum Rule: Hashable {
        /// A host, at any address, on this port; nil for any.
        case host(String, port: UInt16?)
        /// Addresses, under any name and on any port.
        case network(NetworkAddress.Network)
    }

    private let rules: [Rule]

    /// Only https to public addresses.
    public static let usual = WebhookTargets()

    private init() {
        rules = []
    }

    /// An invalid rule.
    public struct InvalidRule: Error, Hashable, Sendable {
        public let rule: String
        /// A sentence without subject and full stop.
        public let reason: String
    }

    /// Parses rules.
    ///
    /// A rule is a host with or without a port, an address, or a network such as `10.0.0.0/8`.
    public init(_ texts: [String]) throws(InvalidRule) {
        var rules: [Rule] = []
        for text in texts { rules.append(try Self.rule(text)) }
        self.rules = rules
    }

    private static func rule(_ text: String) throws(InvalidRule) -> Rule {
        if let network = NetworkAddress.Network(text) { return .network(network) }
        guard !text.contains("/"), !text.contains("?") else {
            throw InvalidRule(rule: text, reason: "is neither a host nor a network")
        }
        do throws(WebhookAddress.Invalid) {
            let address = try WebhookAddress("http://\(text)")
            let hasPort = text.hasPrefix("[") ? text.contains("]:") : text.contains(":")
            return .host(address.host, port: hasPort ? address.port : nil)
        } catch {
            throw InvalidRule(rule: text, reason: error.detail)
        }
    }

    /// Why a receiver is refused before its host is resolved; nil if it is not.
    ///
    /// The reason is a sentence without subject and full stop.
    public func refusal(of receiver: WebhookAddress) -> String? {
        if let address = NetworkAddress(receiver.host) { return refusal(of: receiver, at: [address]) }
        if receiver.isSecure || permits(host: receiver) { return nil }
        let hasNetworks = rules.contains { if case .network = $0 { true } else { false } }
        return hasNetworks ? nil : "must begin with https://, unless the server's --notify-allow names the host"
    }

    /// Why a receiver with these addresses is refused; nil if it is not.
    ///
    /// All addresses must be permitted: a name with a public and a private address is a trap.
    public func refusal(of receiver: WebhookAddress, at addresses: [NetworkAddress]) -> String? {
        guard !permits(host: receiver) else { return nil }
        for address in addresses where !isNamed(address) {
            guard receiver.isSecure else {
                return "must begin with https://, unless the server's --notify-allow names the host"
            }
            guard address.isPublic else {
                return "is not at a public address; the server's --notify-allow can name its host or network"
            }
        }
        return nil
    }

    private func permits(host receiver: WebhookAddress) -> Bool {
        rules.contains { rule in
            guard case .host(let host, let port) = rule else { return false }
            return host == receiver.host && (port == nil || port == receiver.port)
        }
    }

    private func isNamed(_ address: NetworkAddress) -> Bool {
        rules.contains { rule in
            guard case .network(let network) = rule else { return false }
            return network.contains(address) || (address.embedded.map(network.contains) ?? false)
        }
    }
}
