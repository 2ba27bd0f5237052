internal import Ledger
internal import PQ

/// The prepared transactions of the ledger in one database.
///
/// They belong to appends to several shards, or to moves of jobs.
struct PreparedTransactions: Sendable {
    /// Sessions with the role that has prepared them.
    let pool: Pool

    /// Reads the prepared transactions that are older than this, with their ages.
    func list(olderThan age: Duration) async throws(PQError) -> [(name: String, age: Duration)] {
        var parts: [(name: String, age: Duration)] = []
        for row in try await pool.query(PreparedAppendStatements.prepared(olderThan: age)) {
            parts.append((name: try row.decode(0), age: .seconds(try row.decode(1, as: Double.self))))
        }
        return parts
    }

    /// Decides not to commit, unless the append is decided.
    ///
    /// For the shard that decides.
    ///
    /// - Returns: Whether the append is committed. The decision is durable.
    func refuseUnlessDecided(_ append: PreparedAppend) async throws(PQError) -> Bool {
        let results = try await pool.commit([
            PreparedAppendStatements.refuse(append), PreparedAppendStatements.decision(append),
        ])
        guard let row = results[1].first else { throw PQError(.decoding, "the decision about an append is missing") }
        return try row.decode(0)
    }

    /// Ends a prepared transaction; nothing happens if it has ended.
    func end(_ name: String, commits: Bool) async throws(PQError) {
        do throws(PQError) {
            _ = try await pool.query(PreparedAppendStatements.end(name, commits: commits), isDurableWrite: true)
        } catch {
            // Another session has ended it, or is ending it by the same decision.
            guard error.sqlState == .undefinedObject || error.sqlState == .objectNotInPrerequisiteState else {
                throw error
            }
        }
    }
}
