internal import Ledger

/// The identity of an append to several shards.
///
/// It names the prepared transactions.
struct PreparedAppend: Hashable, Sendable {
    /// A UUIDv7 by the clock of the server that appends.
    let id: JobID
    /// The shard with the deciding transaction: the lowest one.
    let decider: Int

    init(id: JobID, decider: Int) {
        self.id = id
        self.decider = decider
    }

    /// Parses the name of a prepared transaction; nil for one of another program.
    init?(name: String) {
        let parts = name.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "ledger", let id = JobID(String(parts[1])), let decider = Int(parts[2]),
            let shard = Int(parts[3])
        else { return nil }
        self.init(id: id, decider: decider)
        guard name == self.name(in: shard) else { return nil }
    }

    /// The name of its prepared transaction in a shard.
    ///
    /// It contains the shard, because the databases of one cluster share these names.
    func name(in shard: Int) -> String { "ledger \(id) \(decider) \(shard)" }
}
