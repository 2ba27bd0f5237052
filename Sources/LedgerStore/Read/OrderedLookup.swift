internal import PQ

/// How lookups by key are kept to the index that is meant.
///
/// While PostgreSQL has no statistics of a table it takes every index that begins with the job for as good as any other, and
/// prefers the smallest: that may be one through which it reads all of the job. A plan that was made then stays. So each
/// such lookup asks for the order of its index, and sorting, which another index would need, is made to look dear.
///
/// For a whole session this would be wrong: a few rows that are sorted for their locks would be found by a walk through
/// all of an index instead.
enum OrderedLookup {
    /// Goes before the lookups, in their transaction; takes no round trip of its own.
    static let planning = Query("set local enable_sort = off", prepare: false)
}
