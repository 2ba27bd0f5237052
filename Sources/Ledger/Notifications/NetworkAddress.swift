/// An IPv4 or IPv6 address.
public struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
    /// The 4 or 16 bytes, in network order.
    public let bytes: [UInt8]

    public var isIPv6: Bool { bytes.count == 16 }

    /// Creates an address; nil unless there are 4 or 16 bytes.
    public init?(bytes: [UInt8]) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.bytes = bytes
    }

    /// Parses the usual text of an address; nil if it is none.
    ///
    /// Other forms of IPv4, such as `127.1` and `0x7f000001`, are not accepted.
    public init?(_ text: String) {
        guard let bytes = text.contains(":") ? Self.v6(text) : Self.v4(Substring(text)) else { return nil }
        self.bytes = bytes
    }

    private static func v4(_ text: Substring) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            guard let byte = UInt8(part), part == "\(byte)" else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    /// Parses the text of RFC 4291, section 2.2.
    private static func v6(_ text: String) -> [UInt8]? {
        let halves = text.split(separator: "::", maxSplits: 2, omittingEmptySubsequences: false)
        guard halves.count <= 2, let left = groups(halves[0], isLast: halves.count == 1) else { return nil }
        guard halves.count == 2 else { return left.count == 16 ? left : nil }
        guard let right = groups(halves[1], isLast: true), left.count + right.count <= 14 else { return nil }
        return left + [UInt8](repeating: 0, count: 16 - left.count - right.count) + right
    }

    /// Parses groups of hexadecimal digits; the last one may be an IPv4 address.
    private static func groups(_ text: Substring, isLast: Bool) -> [UInt8]? {
        guard !text.isEmpty else { return [] }
        var bytes: [UInt8] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if isLast, index == parts.count - 1, part.contains(".") {
                guard let embedded = v4(part) else { return nil }
                bytes += embedded
            } else {
                guard part.utf8.count <= 4, part.first != "+", part.first != "-", let group = UInt16(part, radix: 16)
                else { return nil }
                bytes += [UInt8(group >> 8), UInt8(truncatingIfNeeded: group)]
            }
        }
        return bytes
    }

    /// The usual text; IPv6 without abbreviation.
    public var description: String {
        guard isIPv6 else { return bytes.map(String.init).joined(separator: ".") }
        return stride(from: 0, to: 16, by: 2).map { index in
            String(UInt16(bytes[index]) << 8 | UInt16(bytes[index + 1]), radix: 16)
        }.joined(separator: ":")
    }

    /// The IPv4 address that this IPv6 address stands for.
    ///
    /// It is mapped (`::ffff:0:0/96`), or translated by NAT64 (`64:ff9b::/96`, RFC 6052). Nil for others.
    var embedded: NetworkAddress? {
        let prefixes: [[UInt8]] = [
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], [0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
        guard isIPv6, prefixes.contains(where: { bytes.starts(with: $0) }) else { return nil }
        return NetworkAddress(bytes: Array(bytes.suffix(4)))
    }

    /// Whether it is an address of the public internet.
    ///
    /// It is not if it is reserved for another purpose (IANA's registries of special-purpose addresses). An IPv6
    /// address that stands for an IPv4 address is public if that one is.
    public var isPublic: Bool {
        if let embedded { return embedded.isPublic }
        return isIPv6
            ? Self.global.contains(self) && !Self.special6.contains { $0.contains(self) }
            : !Self.special4.contains { $0.contains(self) }
    }

    private static func networks(_ texts: [String]) -> [Network] {
        texts.map { text in
            guard let network = Network(text) else { preconditionFailure("\(text) is not a network") }
            return network
        }
    }

    private static let global = networks(["2000::/3"])[0]
    private static let special4 = networks([
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    ])
    // Teredo and 6to4 contain IPv4 addresses of their own.
    private static let special6 = networks([
        "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    ])

    /// The addresses that begin with the same bits.
    public struct Network: Hashable, Sendable {
        private let bytes: [UInt8]
        private let bits: Int

        /// Parses an address, or a network such as `10.0.0.0/8`; nil for other texts.
        public init?(_ text: String) {
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard let address = NetworkAddress(String(parts[0])) else { return nil }
            bytes = address.bytes
            guard parts.count == 2 else {
                bits = bytes.count * 8
                return
            }
            guard let given = UInt8(parts[1]), Int(given) <= bytes.count * 8, parts[1] == "\(given)" else {
                return nil
            }
            bits = Int(given)
        }

        public func contains(_ address: NetworkAddress) -> Bool {
            guard address.bytes.count == bytes.count else { return false }
            return (0..<bits).allSatisfy { bit in
                (bytes[bit / 8] ^ address.bytes[bit / 8]) & (0x80 >> (bit % 8)) == 0
            }
        }
    }
}
