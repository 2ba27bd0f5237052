/// Reads columns of type `record`, such as `row(a, b)` in a select list: many values for the price of one.
///
/// Each value of a result costs libpq and ``Row`` some time of its own, which for rows of many columns is more than
/// PostgreSQL takes to find them. In a record they come as they were sent, and are read as rows of COPY are; the record
/// says what types they have, which is compared with what they are read as.
public struct RecordReader: Sendable {
    private static let record = TypeID(rawValue: 2249)

    private var texts = TextCache()

    public init() {}

    /// Hands the record in this column to the closure, which takes all of it; where it is NULL, does nothing.
    ///
    /// - Throws: ``PQError/Code/decoding`` where the column is none, or is not read to its end; what the closure throws.
    public mutating func read(
        _ row: Row, _ column: Int, _ body: (inout BinaryRow) throws(PQError) -> Void
    ) throws(PQError) {
        guard row.storage.type(column) == Self.record else {
            throw PQError(.decoding, "column \(row.storage.columnName(column)) is not a record")
        }
        guard let bytes = unsafe row.storage.bytes(row.index, column) else { return }
        defer { withExtendedLifetime(row.storage) {} }
        unsafe try read(bytes, body)
    }

    private mutating func read(
        _ bytes: UnsafeRawBufferPointer, _ body: (inout BinaryRow) throws(PQError) -> Void
    ) throws(PQError) {
        // Moved and not copied, as in CopyRowReader.
        var row = unsafe BinaryRow(bytes, TextCache())
        swap(&texts, &row.texts)
        defer { swap(&texts, &row.texts) }
        try row.beginRecord()
        try body(&row)
        guard row.columnsLeft == 0, row.isAtEnd else {
            throw PQError(.decoding, "a record was not read to its end")
        }
    }
}
