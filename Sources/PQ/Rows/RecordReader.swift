/// Reads columns of type `record`, such as `row(a, b)` in a select list.
///
/// Each value of a result has a fixed cost in libpq and in ``Row``. For rows of many columns this is more than
/// PostgreSQL needs to find them. A record is one value that contains many columns in the server's format, which are
/// read like rows of COPY. A record contains the types of its columns, and they are compared with the expected ones.
public struct RecordReader: Sendable {
    private var textCache = TextCache()

    /// Creates a reader.
    public init() {}

    /// Calls the closure with the record in this column, unless it is NULL.
    ///
    /// The closure must read all of its columns.
    ///
    /// - Throws: ``PQError/Code/decoding`` if the column is not a record or is not read to its end; the closure's
    ///   error.
    public mutating func read(
        _ row: Row, _ column: Int, _ body: (inout BinaryRow) throws(PQError) -> Void
    ) throws(PQError) {
        guard row.storage.type(column) == .record else {
            throw PQError(.decoding, "column \(row.storage.columnName(column)) is not a record")
        }
        guard let bytes = unsafe row.storage.bytes(row.index, column) else { return }
        defer { withExtendedLifetime(row.storage) {} }
        unsafe try read(bytes, body)
    }

    private mutating func read(
        _ bytes: UnsafeRawBufferPointer, _ body: (inout BinaryRow) throws(PQError) -> Void
    ) throws(PQError) {
        // The cache is moved and not copied, as in ``CopyRowReader``.
        var row = unsafe BinaryRow(bytes, TextCache())
        swap(&textCache, &row.textCache)
        defer { swap(&textCache, &row.textCache) }
        try row.beginRecord()
        try body(&row)
        guard row.columnsLeft == 0, row.isAtEnd else {
            throw PQError(.decoding, "a record was not read to its end")
        }
    }
}
