/// A cursor over the columns of a row, which are read in order.
///
/// A wide row is read without column numbers, which would all change with a new column. The list of columns of the
/// statement and the order of reading must agree; a wrong type or a NULL throws, but two exchanged columns of the same
/// type do not.
public struct RowColumns: Sendable {
    @usableFromInline let row: Row
    @usableFromInline var index = 0

    init(_ row: Row) {
        self.row = row
    }

    /// Decodes the next column.
    ///
    /// - Throws: ``PQError/Code/decoding`` if it is NULL, of another type, or out of the type's range.
    @inlinable
    public mutating func next<Value: PostgresDecodable>(_ type: Value.Type = Value.self) throws(PQError) -> Value {
        index += 1
        return try row.decode(index - 1, as: type)
    }

    /// Decodes the next column; nil if it is NULL.
    ///
    /// - Throws: ``PQError/Code/decoding`` if it is of another type or out of the type's range.
    @inlinable
    public mutating func nextIfPresent<Value: PostgresDecodable>(
        _ type: Value.Type = Value.self
    ) throws(PQError) -> Value? {
        index += 1
        return try row.decodeIfPresent(index - 1, as: type)
    }

    /// Skips columns.
    public mutating func skip(_ count: Int) {
        index += count
    }
}

extension Row {
    /// The columns, to be read in order.
    public var columns: RowColumns { RowColumns(self) }
}
