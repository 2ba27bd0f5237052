/// The statements that a connection has prepared, by their text; the one used longest ago gives way.
struct StatementCache {
    /// How many statements a connection keeps prepared. Each costs memory in its server process; the ledger has some
    /// forty.
    static let countMax = 256

    private var names: [String: String] = [:]
    private var order: [String] = []
    private var nextNumber = 0

    /// The name under which a statement is prepared, if it is. Costs a hash of its text.
    func name(of sql: String) -> String? { names[sql] }

    /// A name for a statement that is about to be prepared.
    mutating func newName() -> String {
        nextNumber += 1
        return "s\(nextNumber)"
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
