internal import DequeModule

/// The prepared statements of a connection, by text, with FIFO eviction.
struct StatementCache {
    /// Maximum number of prepared statements of a connection.
    ///
    /// Each uses memory of its server process. The ledger has about forty statements.
    static let countMax = 256

    private var names: [String: String] = [:]
    private var order: Deque<String> = []

    /// Returns the name of a prepared statement; nil if it is not prepared.
    ///
    /// Costs a hash of its text.
    func name(of sql: String) -> String? { names[sql] }

    /// Returns a statement's name: a hash of its text and parameter types.
    ///
    /// The hash is FNV-1a with 128 bits. If sessions get mixed up, for example behind a pooler that changes them
    /// between transactions, they then never run another statement under the same name.
    static func name(for query: Query) -> String {
        var hash: UInt128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d
        func mix(_ byte: UInt8) {
            hash = (hash ^ UInt128(byte)) &* 0x0000_0000_0100_0000_0000_0000_0000_013b
        }
        for byte in query.sql.utf8 { mix(byte) }
        for parameter in query.parameters {
            for shift in [0, 8, 16, 24] { mix(UInt8(truncatingIfNeeded: parameter.type.rawValue >> shift)) }
        }
        return "pl_" + String(hash, radix: 36)
    }

    /// Records that the server has prepared a statement.
    ///
    /// - Returns: The name of the evicted statement, which must be deallocated; nil if none was evicted.
    mutating func insert(_ sql: String, name: String) -> String? {
        names[sql] = name
        order.append(sql)
        guard order.count > Self.countMax else { return nil }
        return names.removeValue(forKey: order.removeFirst())
    }

    mutating func removeAll() {
        names = [:]
        order = []
    }
}
