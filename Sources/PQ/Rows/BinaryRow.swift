/// A row in binary format; its columns are read in order, each exactly once.
///
/// It is a row of COPY or a value of type `record`. It exists only inside the closure of ``CopyRowReader`` or
/// ``RecordReader``. It cannot be copied, so it cannot be kept, and the bytes that it points to outlive it. That is why
/// reading through its pointer is safe.
@safe public struct BinaryRow: ~Copyable {
    private let buffer: UnsafeRawBufferPointer
    private let end: Int
    private var offset = 0
    var textCache: TextCache
    /// Number of columns that were not read yet.
    private(set) var columnsLeft = 0
    /// Whether each column contains its type, as in records but not in COPY.
    private var hasTypes = false

    init(_ buffer: UnsafeRawBufferPointer, _ textCache: TextCache) {
        unsafe self.buffer = buffer
        end = buffer.count
        self.textCache = textCache
    }

    private static let endsEarly = PQError(.decoding, "a row ends too early")

    var isAtEnd: Bool { offset == end }

    /// Begins to read a value of type `record`.
    ///
    /// It contains the number of columns, and for each column the type, the length, and that many bytes (`record_send`
    /// in PostgreSQL's `rowtypes.c`).
    mutating func beginRecord() throws(PQError) {
        let columns = try readInt32()
        guard columns >= 0 else { throw PQError(.decoding, "a record has an invalid number of columns: \(columns)") }
        columnsLeft = Int(columns)
        hasTypes = true
    }

    /// Begins to read a row of COPY.
    ///
    /// - Returns: The number of columns; -1 marks the end of all rows.
    mutating func beginRow() throws(PQError) -> Int {
        let columns = try readInt16()
        guard columns >= -1 else { throw PQError(.decoding, "a row has an invalid number of columns: \(columns)") }
        columnsLeft = max(0, Int(columns))
        return Int(columns)
    }

    // One function for each size, because a generic one would look up its type at each call from another module.

    mutating func readInt16() throws(PQError) -> Int16 {
        guard end - offset >= 2 else { throw Self.endsEarly }
        defer { offset += 2 }
        return unsafe Int16(bigEndian: buffer.loadUnaligned(fromByteOffset: offset, as: Int16.self))
    }

    mutating func readInt32() throws(PQError) -> Int32 {
        guard end - offset >= 4 else { throw Self.endsEarly }
        defer { offset += 4 }
        return unsafe Int32(bigEndian: buffer.loadUnaligned(fromByteOffset: offset, as: Int32.self))
    }

    mutating func readInt64() throws(PQError) -> Int64 {
        guard end - offset >= 8 else { throw Self.endsEarly }
        defer { offset += 8 }
        return unsafe Int64(bigEndian: buffer.loadUnaligned(fromByteOffset: offset, as: Int64.self))
    }

    mutating func take<R>(
        _ count: Int, _ body: (UnsafeRawBufferPointer) -> R
    ) throws(PQError) -> R {
        guard end - offset >= count else { throw Self.endsEarly }
        defer { offset += count }
        return unsafe body(UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + count)]))
    }

    /// Returns the length of the next column in bytes; nil if it is NULL.
    private mutating func beginColumn(_ type: TypeID?) throws(PQError) -> Int? {
        guard columnsLeft > 0 else { throw PQError(.decoding, "the row has fewer columns than are read") }
        columnsLeft -= 1
        if hasTypes {
            let oid = UInt32(bitPattern: try readInt32())
            guard type == nil || type?.rawValue == oid else {
                throw PQError(.decoding, "a column has type \(oid); expected type \(type?.rawValue ?? 0)")
            }
        }
        let length = try readInt32()
        guard length >= -1 else { throw PQError(.decoding, "a column has an invalid length: \(length) bytes") }
        return length == -1 ? nil : Int(length)
    }

    /// Returns whether the next column has a value, which must have this size.
    private mutating func beginColumn(_ type: TypeID, of size: Int) throws(PQError) -> Bool {
        guard let length = try beginColumn(type) else { return false }
        guard length == size else {
            throw PQError(.decoding, "a column has \(length) bytes; expected \(size)")
        }
        return true
    }

    /// Reads the next column, of type `smallint`; nil if it is NULL.
    ///
    /// - Throws: ``PQError/Code/decoding`` if it has another type or size.
    public mutating func int2() throws(PQError) -> Int16? { try beginColumn(.int2, of: 2) ? try readInt16() : nil }

    /// Reads the next column, of type `integer`; nil if it is NULL.
    public mutating func int4() throws(PQError) -> Int32? { try beginColumn(.int4, of: 4) ? try readInt32() : nil }

    /// Reads the next column, of type `bigint`; nil if it is NULL.
    public mutating func int8() throws(PQError) -> Int64? { try beginColumn(.int8, of: 8) ? try readInt64() : nil }

    /// Reads the next column, of type `uuid`; nil if it is NULL.
    public mutating func uuid() throws(PQError) -> UUIDBytes? {
        guard try beginColumn(.uuid, of: 16) else { return nil }
        let (high, low) = (try readInt64(), try readInt64())
        return UUIDBytes(high: UInt64(bitPattern: high), low: UInt64(bitPattern: low))
    }

    /// Reads the next column, of type `timestamptz`; nil if it is NULL.
    public mutating func timestamp() throws(PQError) -> TimestampMicroseconds? {
        guard let length = try beginColumn(.timestamptz) else { return nil }
        let value = unsafe try take(length) { unsafe TimestampMicroseconds.decode($0, of: .timestamptz) }
        guard let value else { throw PQError(.decoding, "a column does not hold a time") }
        return value
    }

    /// Reads the next column, of type `numeric`; nil if it is NULL.
    ///
    /// - Throws: ``PQError/Code/decoding`` if it has a fraction, is not a number, or does not fit.
    public mutating func numeric() throws(PQError) -> Int128? {
        guard let length = try beginColumn(.numeric) else { return nil }
        let value = unsafe try take(length) { unsafe NumericCoding.decode($0) }
        guard let value else { throw PQError(.decoding, "a column does not hold a whole number of 128 bits") }
        return value
    }

    /// Reads the next column, of type `text`; nil if it is NULL.
    public mutating func text() throws(PQError) -> String? {
        guard let length = try beginColumn(.text) else { return nil }
        guard end - offset >= length else { throw Self.endsEarly }
        defer { offset += length }
        return unsafe textCache.text(UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + length)]))
    }

    /// Calls the closure with the record in the next column, unless it is NULL.
    ///
    /// The closure must read all of its columns.
    public mutating func record(_ body: (inout BinaryRow) throws(PQError) -> Void) throws(PQError) {
        guard let length = try beginColumn(.record) else { return }
        guard end - offset >= length else { throw Self.endsEarly }
        defer { offset += length }
        var record = unsafe BinaryRow(UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + length)]), TextCache())
        swap(&textCache, &record.textCache)
        defer { swap(&textCache, &record.textCache) }
        try record.beginRecord()
        try body(&record)
        guard record.columnsLeft == 0, record.isAtEnd else {
            throw PQError(.decoding, "a record was not read to its end")
        }
    }

    /// Reads the next column's bytes, of any type; nil if it is NULL.
    public mutating func bytes() throws(PQError) -> [UInt8]? {
        guard let length = try beginColumn(nil) else { return nil }
        return unsafe try take(length) { unsafe Array($0) }
    }
}
