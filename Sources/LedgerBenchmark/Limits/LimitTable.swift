internal import PQ

/// The tables that the limits of appends insert into.
enum LimitTable: String {
    /// The ledger's own events: partitioned, with checks and triggers.
    case events = "ledger.event"
    /// The same columns and primary key, and nothing else.
    case lean = "ledger.lean_event"

    /// Creates the lean table.
    static func createLean(in database: Pool) async throws {
        _ = try await database.query(
            Query(
                "create table \(lean.rawValue) (like \(events.rawValue), primary key (job_id, sequence))",
                prepare: false))
    }
}
