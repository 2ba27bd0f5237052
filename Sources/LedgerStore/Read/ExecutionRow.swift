public import Ledger
public import PQ

/// The decoding of an execution from its table.
public enum ExecutionRow {
    /// The columns that ``decode(_:)`` expects, in order.
    ///
    /// The statement must call the table `execution`.
    public static let columns = columns(of: "execution")

    /// The same columns for another table name in the statement.
    public static func columns(of table: String) -> String {
        [
            "sequence", "task", "name", "attempt", "started_at", "outcome", "last_sequence", "last_at",
            "superseded_by", "message_sequence", "link_sequence", "state",
        ].map { "\(table).\($0)" }.joined(separator: ", ")
    }
    /// The number of columns.
    public static let columnCount = 12

    /// Decodes the execution in the next columns.
    ///
    /// - Throws: ``PQError/Code/decoding`` if the row is not one that the projection writes.
    public static func decode(_ columns: inout RowColumns) throws(PQError) -> Execution {
        guard let execution = try decodeIfPresent(&columns) else {
            throw PQError(.decoding, "an execution has no sequence")
        }
        return execution
    }

    /// Decodes the execution in the next columns; nil if they are null.
    ///
    /// They are null if an outer join found none.
    public static func decodeIfPresent(_ columns: inout RowColumns) throws(PQError) -> Execution? {
        guard let id = try columns.nextIfPresent(ExecutionID.self) else {
            columns.skip(columnCount - 1)
            return nil
        }
        var execution = Execution(
            id: id, task: try columns.next(), name: try columns.nextIfPresent(),
            attempt: try columns.next(), startedAt: try columns.next(), outcome: try outcome(&columns),
            lastSequence: try columns.next(), lastAt: try columns.next(), supersededBy: try columns.nextIfPresent(),
            messageSequence: try columns.nextIfPresent(), linkSequence: try columns.nextIfPresent())
        let state = try columns.next([UInt8].self)
        do throws(FoldStateError) {
            (execution.contributions, execution.reports) = try Execution.decodeState(state)
        } catch {
            throw PQError(.decoding, "cannot read the state of an execution (\(error)): replay the projection")
        }
        return execution
    }

    private static func outcome(_ columns: inout RowColumns) throws(PQError) -> ExecutionOutcome? {
        guard let text = try columns.nextIfPresent(String.self) else { return nil }
        guard let outcome = ExecutionOutcome(rawValue: text) else {
            throw PQError(.decoding, "an execution has an unknown outcome")
        }
        return outcome
    }
}
