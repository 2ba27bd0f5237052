public import PQ

/// The planner setting that keeps lookups by key on the intended index.
///
/// As long as PostgreSQL has no statistics of a table, it considers every index that begins with the job equally good,
/// and prefers the smallest. That may be one through which it reads all of the job, and the plan stays once it is made.
/// Therefore each lookup requests the order of its index, and this setting makes the sort that another index would need
/// look expensive.
/// The setting would be wrong for a whole session: a few rows that are sorted for their locks would then be found by a
/// walk through a whole index.
public enum IndexedLookup {
    /// The statement that precedes the lookups in their transaction.
    ///
    /// It needs no separate round trip.
    public static let planning = Query("set local enable_sort = off", prepare: false)
}

extension Pool {
    /// Runs lookups by key in one round trip, in a read-only transaction.
    func lookUp(_ queries: [Query]) async throws(PQError) -> [Rows] {
        return try await withTransaction(readOnly: true) { transaction throws(PQError) in
            Array(try await transaction.commit(after: [IndexedLookup.planning] + queries).dropFirst())
        }
    }
}
