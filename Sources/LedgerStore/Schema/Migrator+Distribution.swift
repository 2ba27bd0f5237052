internal import PQ

extension Migrator {
    /// Whether Citus distributes the events over several servers.
    ///
    /// Needs no schema, and uses one connection.
    public func isDistributed() async throws -> Bool {
        try await withLease { lease in
            let table = "pg_catalog.pg_dist_partition"
            let found = try await lease.query(Query("select to_regclass($1) is not null", [.text(table)]))
            // Only Citus has this table.
            guard try found[0].decode(0, as: Bool.self) else { return false }
            return try await lease.query(
                Query("select exists (select from \(table) where logicalrelid = to_regclass('ledger.event'))")
            )[0].decode(0)
        }
    }
}
