internal import PQ

/// The settings of every session of the ledger.
///
/// An administrator may set defaults for a role, a database or the server: a time limit, an isolation level,
/// `synchronous_commit = off`. None of them may change the ledger's guarantees, so every relevant setting is set here.
enum LedgerSession {
    /// The time that a statement of an append waits for a lock.
    ///
    /// Heads are locked for one or two round trips. A longer wait means that another process is suspended, or that a
    /// person has the table open in a transaction.
    static let appendLockTimeout = "3s"

    /// The settings for sessions of one kind.
    ///
    /// - Parameters:
    ///   - role: The role to take. `nil` keeps the login role.
    ///   - statementTimeout: The time after which the server ends a statement, for a client that has disappeared.
    ///   - idleTimeout: The time after which the server ends an idle transaction.
    ///   - lockTimeout: The time that a statement waits for a lock. "0" means without a limit.
    static func requirements(
        role: String?, statementTimeout: Duration, idleTimeout: Duration = .seconds(30), lockTimeout: String = "0"
    ) -> SessionRequirements {
        var session = SessionRequirements()
        session.role = role
        session.isDurable = true
        session.settings = [
            ("search_path", "pg_catalog"), ("timezone", "UTC"),
            ("default_transaction_isolation", "read committed"), ("default_transaction_deferrable", "off"),
            ("statement_timeout", "\(statementTimeout.components.seconds)s"), ("lock_timeout", lockTimeout),
            ("idle_in_transaction_session_timeout", "\(idleTimeout.components.seconds)s"),
            ("idle_session_timeout", "0"),
            // Every statement finds its rows by keys of any value: planning it again for each value would
            // cost more than running it. A plan that was made while a table was small must also be right after the
            // table has grown, and a sequential scan would not be.
            ("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"), ("enable_indexscan", "on"), ("enable_nestloop", "on"),
            // If a table has no suitable index, PostgreSQL uses a disabled scan anyway. Its estimated cost is then so
            // high that PostgreSQL would compile the plan each time, which takes longer than any query of the ledger.
            ("jit", "off"),
            // No statement looks up the same row twice, so a cache of lookups would only cost memory.
            ("enable_memoize", "off"),
        ]
        session.newerSettings = [(PostgresVersion.transactionTimeout, "transaction_timeout", "0")]
        return session
    }
}
