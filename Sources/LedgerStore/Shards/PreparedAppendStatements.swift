internal import Ledger
internal import PQ

/// The statements of appends to several shards.
///
/// The shards other than the decider prepare their transactions. The decider's transaction contains its own events and
/// the decision, so its commit decides. Then the others commit theirs. A transaction that stays prepared is ended by
/// ``ShardedLedger/settlePreparedAppends(forgets:)``, which asks the decider.
enum PreparedAppendStatements {
    /// The time after which a decision to commit is refused.
    ///
    /// A decision not to commit is kept for much longer, so that a server that was suspended cannot overlook it.
    static let decisionMax: Duration = .seconds(600)
    /// The time for which a decision not to commit is kept.
    static let refusalKept: Duration = .seconds(86_400)

    /// Records the decision to commit, in the transaction of the decider.
    ///
    /// It fails if it was decided otherwise, or if the append is too old.
    static func commit(_ append: PreparedAppend) -> Query {
        let createdAt = Timestamp(microseconds: Int64(append.id.high >> 16) * 1_000)
        return Query(
            """
            insert into ledger.shard_commit (id, is_committed)
            select $1, case
                when abs(extract(epoch from statement_timestamp() - $2::timestamptz)) < $3 then true
                else ledger.fail_stale() = 0
            end
            """, [.uuid(append.id.uuid), .timestamp(createdAt), .float8(decisionMax / .seconds(1))])
    }

    /// Decides not to commit, unless it was decided already.
    ///
    /// Waits for a decision in progress.
    static func refuse(_ append: PreparedAppend) -> Query {
        Query(
            """
            insert into ledger.shard_commit (id, is_committed) values ($1, false)
            on conflict (id) do nothing
            """, [.uuid(append.id.uuid)])
    }

    /// Reads the decision.
    ///
    /// The lock is a later record of the log than the decision. If the transaction commits, the decision is durable.
    static func decision(_ append: PreparedAppend) -> Query {
        Query("select is_committed from ledger.shard_commit where id = $1 for update", [.uuid(append.id.uuid)])
    }

    /// Deletes old decisions, of which no prepared transaction may be left.
    static let forget = Query(
        """
        delete from ledger.shard_commit
        where decided_at < now() - make_interval(secs => case when is_committed then $1 else $2 end)
        """, [.float8(decisionMax / .seconds(1)), .float8(refusalKept / .seconds(1))])

    /// Reads the prepared transactions of this database that are older than this.
    static func prepared(olderThan age: Duration) -> Query {
        Query(
            """
            select gid, extract(epoch from clock_timestamp() - prepared)::float8
            from pg_prepared_xacts
            where database = current_database() and gid like 'ledger %'
                and prepared <= clock_timestamp() - make_interval(secs => $1)
            order by prepared
            limit 1000
            """, [.float8(age / .seconds(1))])
    }

    /// Ends a prepared transaction. It cannot run in a transaction.
    static func end(_ name: String, commits: Bool) -> Query {
        // The name was parsed or made here, and contains no quote.
        Query("\(commits ? "commit" : "rollback") prepared '\(name)'", prepare: false)
    }
}
