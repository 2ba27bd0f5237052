public import Ledger
public import PQ

/// How an execution is read from its table.
public enum ExecutionRow {
    /// The columns, in the order that ``decode(_:from:)`` expects; `execution` is the table's name in the statement.
    public static let columns = columns(of: "execution")

    /// The same where the table has another name in the statement.
    public static func columns(of table: String) -> String {
        [
            "sequence", "task", "name", "attempt", "started_at", "outcome", "last_sequence", "last_at",
            "superseded_by", "state",
        ].map { "\(table).\($0)" }.joined(separator: ", ")
    }
    /// How many columns there are.
    public static let columnCount = 10

    /// Reads the execution whose columns begin at this one.
    ///
    /// - Throws: ``PQError/Code/decoding`` where the row is not what the projection writes.
    public static func decode(_ row: Row, from column: Int = 0) throws(PQError) -> Execution {
        var outcome: ExecutionOutcome?
        if let text = try row.decodeIfPresent(column + 5, as: String.self) {
            guard let known = ExecutionOutcome(rawValue: text) else {
                throw PQError(.decoding, "an execution has an unknown outcome")
            }
            outcome = known
        }
        var execution = Execution(
            sequence: try row.decode(column), task: try row.decode(column + 1), name: try row.nameIfPresent(column + 2),
            attempt: try row.decode(column + 3), startedAt: try row.timestamp(column + 4), outcome: outcome,
            lastSequence: try row.decode(column + 6), lastAt: try row.timestamp(column + 7),
            supersededBy: try row.decodeIfPresent(column + 8))
        let state = try row.decode(column + 9, as: [UInt8].self)
        do throws(FoldStateError) {
            (execution.contributions, execution.reports) = try Execution.decodeState(state)
        } catch {
            throw PQError(.decoding, "the state of an execution cannot be read (\(error)): replay the projection")
        }
        return execution
    }
}
