import LedgerTestSupport
import PQ

/// A statement that waits for a lock.
enum BlockedStatement {
    /// Waits until a statement with this text waits for a lock in a database.
    ///
    /// - Parameter isOver: Another condition that ends the wait.
    static func wait(
        for text: String, in target: ConnectionTarget, orUntil isOver: () async throws -> Bool = { false }
    ) async throws {
        // Only a superuser sees the statements of other logins.
        let pool = Pool(target: target, logger: TestCluster.logger)
        let result: Result<Void, any Error>
        do {
            try await eventually {
                let rows = try await pool.query(
                    Query(
                        """
                        select from pg_stat_activity
                        where datname = current_database() and wait_event_type = 'Lock' and strpos(query, $1) > 0
                        """, [.text(text)]))
                if !rows.isEmpty { return true }
                return try await isOver()
            }
            result = .success(())
        } catch { result = .failure(error) }
        await pool.close()
        try result.get()
    }
}
