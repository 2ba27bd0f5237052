internal import Ledger
internal import PQ

/// The decoding of a task from its table.
enum TaskRow {
    /// The columns that ``decode(_:)`` expects, in order.
    ///
    /// The statement must call the table `task`.
    static let columns = ["sequence", "name", "last", "state", "execution_count"].map { "task.\($0)" }
        .joined(separator: ", ")

    /// Decodes the task in the next columns.
    ///
    /// - Throws: ``PQError/Code/decoding`` if the row is not one that the projection writes.
    static func decode(_ columns: inout RowColumns) throws(PQError) -> JobTask {
        let id = try columns.next(TaskID.self)
        let name = try columns.next(Name.self)
        let last = try columns.next(ExecutionID.self)
        guard let state = TaskState(rawValue: try columns.next()) else {
            throw PQError(.decoding, "a task has an unknown state")
        }
        return JobTask(
            id: id, name: name, last: last, state: state, executionCount: try columns.next())
    }
}
