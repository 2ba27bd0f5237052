package import PQ

extension Pool {
    /// Runs statements between `begin` and `commit` in one round trip, all or nothing.
    ///
    /// A pipeline without `begin` is one transaction on PostgreSQL, but not on a database that distributes it.
    ///
    /// - Returns: The results of the statements.
    package func commit(_ statements: [Query], deadline: Duration? = nil) async throws(PQError) -> [Rows] {
        return try await withTransaction(deadline: deadline) { transaction throws(PQError) in
            try await transaction.commit(after: statements)
        }
    }
}
