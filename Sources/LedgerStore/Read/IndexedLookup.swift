public import PQ

/// How lookups by key are kept to the index that is meant.
///
/// While PostgreSQL has no statistics of a table it takes every index that begins with the job for as good as any other, and
/// prefers the smallest: that may be one through which it reads all of the job. A plan that was made then stays. So each
/// such lookup asks for the order of its index, and sorting, which another index would need, is made to look dear.
///
/// For a whole session this would be wrong: a few rows that are sorted for their locks would be found by a walk through
/// all of an index instead.
public enum IndexedLookup {
    /// Goes before the lookups, in their transaction; takes no round trip of its own.
    public static let planning = Query("set local enable_sort = off", prepare: false)
}

extension Pool {
    /// Runs lookups by key in one round trip, in a transaction that changes nothing.
    func lookUp(_ queries: [Query]) async throws(PQError) -> [Rows] {
        do {
            return try await withTransaction(readOnly: true) { transaction in
                Array(try await transaction.commit(after: [IndexedLookup.planning] + queries).dropFirst())
            }
        } catch let error as PQError {
            throw error
        } catch {
            throw PQError(.misuse, "\(error)")
        }
    }
}
