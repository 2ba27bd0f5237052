/// The statements that a connection has prepared, by their text; the one used longest ago gives way.
struct StatementCache {
    /// How many statements a connection keeps prepared. Each costs memory in its server process; the ledger has some
    /// forty.
    static let countMax = 256

    private var names: [String: String] = [:]
    private var order: [String] = []

    /// The name under which a statement is prepared, if it is. Costs a hash of its text.
    func name(of sql: String) -> String? { names[sql] }

    /// The name of a statement: a digest of its text and its parameters' types (FNV-1a, 128 bits).
    ///
    /// Sessions that get mixed up, as behind a pooler that changes them between transactions, then never run another
    /// statement under the same name.
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

    /// Notes that the server has prepared it.
    ///
    /// - Returns: The name of a statement that gave way and is to be deallocated.
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
