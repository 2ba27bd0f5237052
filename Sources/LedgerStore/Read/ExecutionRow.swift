public import Ledger
public import PQ

/// The decoding of an execution from its table.
public enum ExecutionRow {
    /// The columns that ``decode(_:from:)`` expects, in order.
    ///
    /// The statement must call the table `execution`.
    public static let columns = columns(of: "execution")

    /// The same columns for another table name in the statement.
    public static func columns(of table: String) -> String {
        [
            "sequence", "task", "name", "attempt", "started_at", "outcome", "last_sequence", "last_at",
            "superseded_by", "state",
        ].map { "\(table).\($0)" }.joined(separator: ", ")
    }
    /// The number of columns.
    public static let columnCount = 10

    /// Decodes the execution in the columns from this one on.
    ///
    /// - Throws: ``PQError/Code/decoding`` if the row is not one that the projection writes.
    public static func decode(_ row: Row, from column: Int = 0) throws(PQError) -> Execution {
        var outcome: ExecutionOutcome?
        if let text = try row.decodeIfPresent(column + 5, as: String.self) {
            guard let decoded = ExecutionOutcome(rawValue: text) else {
                throw PQError(.decoding, "an execution has an unknown outcome")
            }
            outcome = decoded
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
            throw PQError(.decoding, "cannot read the state of an execution (\(error)): replay the projection")
        }
        return execution
    }
}
