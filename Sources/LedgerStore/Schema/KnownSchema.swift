internal import Ledger
internal import LedgerSchema
internal import PQ

/// The schema that this build knows.
///
/// A newer one may contain events whose meaning this build does not know. Services check it when they start, and again
/// whenever they fold events or recompute hashes: an administrator may migrate while they run.
package enum KnownSchema {
    /// The SQL condition that the database has a newer schema.
    package static let isNewer = "exists (select from ledger.schema_migration where version > \(Migration.all.count))"
}

extension PostgresLedger {
    /// Throws ``StoreError/Code/schema`` if the database has a newer schema.
    func refuseNewerSchema() async throws(StoreError) {
        let isNewer = try await attempting("checking the schema") { () throws(PQError) in
            try await pool.query(Query("select \(KnownSchema.isNewer)"))[0].decode(0, as: Bool.self)
        }
        guard !isNewer else {
            throw StoreError(.schema, "the database has a newer schema than this build knows: run a newer build")
        }
    }
}
