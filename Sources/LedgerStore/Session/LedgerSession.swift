internal import PQ

/// What every session of the ledger guarantees, whatever the role, the database or the server have set.
///
/// Whoever administers a database may set defaults for a role or a database: a time limit, an isolation level,
/// `synchronous_commit = off`. None of them may change what the ledger promises, so all that matters is set here.
enum LedgerSession {
    /// How long a statement of an append waits for a lock. Heads are locked for a round trip or two; a longer wait means
    /// that another process stands still, or that somebody looks at the table by hand.
    static let appendLockTimeout = "3s"

    /// - Parameters:
    ///   - role: The role to take; nil keeps the one that logs in.
    ///   - statementTimeout: When the server ends a statement by itself, for a client that is no longer there.
    ///   - idleTimeout: When the server ends a transaction in which nothing happens.
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
            // Every statement finds its rows by keys, whatever their values: planning it anew for each value would
            // cost more than running it. And a plan that was made while a table was small must still be right when it
            // has grown, which a scan of all of it would not be.
            ("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"), ("enable_indexscan", "on"), ("enable_nestloop", "on"),
            // Where there is no index, a scan that is off all the same makes a plan look so dear that PostgreSQL would
            // compile it each time, which takes longer than anything that we ask for.
            ("jit", "off"),
            // What has been looked up is not asked for again by the same statement, so nothing is kept for that.
            ("enable_memoize", "off"),
        ]
        session.newerSettings = [(170_000, "transaction_timeout", "0")]
        return session
    }
}
