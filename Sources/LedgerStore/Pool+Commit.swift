package import PQ

extension Pool {
    /// Runs statements in one round trip, between `begin` and `commit`: all take effect, or none.
    ///
    /// A pipeline alone is one transaction on PostgreSQL, and is not on a database that distributes it.
    ///
    /// - Returns: The results of the statements.
    package func commit(_ statements: [Query], deadline: Duration? = nil) async throws(PQError) -> [Rows] {
        do {
            return try await withTransaction(deadline: deadline) { transaction in
                try await transaction.commit(after: statements)
            }
        } catch let error as PQError {
            throw error
        } catch {
            throw PQError(.misuse, "\(error)")
        }
    }
}
