/// The rows returned by a statement.
///
/// Values stay in binary format until they are decoded.
public struct Rows: RandomAccessCollection, Sendable {
    let storage: ResultStorage

    public var startIndex: Int { 0 }
    public var endIndex: Int { storage.rowCount }
    public subscript(position: Int) -> Row {
        precondition(position >= 0 && position < endIndex, "row \(position) of \(endIndex)")
        return Row(storage: storage, index: position)
    }

    /// The server's command tag, such as `INSERT 0 3`.
    public var commandTag: String { storage.commandTag }
    /// The number of rows that the statement returned, inserted, updated or deleted.
    public var affectedRows: Int { storage.affectedRows }
    /// The names of the columns.
    public var columnNames: [String] { (0..<storage.columnCount).map(storage.columnName) }
}
