/// A row whose columns are taken in their order, every one once: a row that COPY has sent, or a value of type `record`.
///
/// It exists only while ``CopyRowReader`` or ``RecordReader`` hands it over: it cannot be copied, so it cannot be kept, and
/// the bytes that it points to outlive it. That is why reading through its pointer is safe.
@safe public struct BinaryRow: ~Copyable {
    private let buffer: UnsafeRawBufferPointer
    private let end: Int
    private var offset = 0
    var texts: TextCache
    /// Columns not taken yet.
    private(set) var columnsLeft = 0
    /// Whether each column says what type it has, as those of records do and those of COPY do not.
    private var hasTypes = false

    init(_ buffer: UnsafeRawBufferPointer, _ texts: TextCache) {
        unsafe self.buffer = buffer
        end = buffer.count
        self.texts = texts
    }

    private static let endsEarly = PQError(.decoding, "a row ends too early")

    var isAtEnd: Bool { offset == end }

    /// Begins with a value of type `record`, which is how many columns there are, and of each the type, the length, and as
    /// many bytes (`record_send` in PostgreSQL's `rowtypes.c`).
    mutating func beginRecord() throws(PQError) {
        let columns = try fixed4()
        guard columns >= 0 else { throw PQError(.decoding, "a record says that it has \(columns) columns") }
        columnsLeft = Int(columns)
        hasTypes = true
    }

    /// Begins with a row of COPY.
    ///
    /// - Returns: How many columns it has; -1 is the end of all rows.
    mutating func beginRow() throws(PQError) -> Int {
        let columns = try fixed2()
        guard columns >= -1 else { throw PQError(.decoding, "a row says that it has \(columns) columns") }
        columnsLeft = max(0, Int(columns))
        return Int(columns)
    }

    // One function for each size, since a generic one would look its type up at each call from another module.

    mutating func fixed2() throws(PQError) -> Int16 {
        guard end - offset >= 2 else { throw Self.endsEarly }
        defer { offset += 2 }
        return unsafe Int16(bigEndian: buffer.loadUnaligned(fromByteOffset: offset, as: Int16.self))
    }

    mutating func fixed4() throws(PQError) -> Int32 {
        guard end - offset >= 4 else { throw Self.endsEarly }
        defer { offset += 4 }
        return unsafe Int32(bigEndian: buffer.loadUnaligned(fromByteOffset: offset, as: Int32.self))
    }

    mutating func fixed8() throws(PQError) -> Int64 {
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

    /// How many bytes the next column has; nil where it is NULL.
    private mutating func beginColumn(_ type: TypeID?) throws(PQError) -> Int? {
        guard columnsLeft > 0 else { throw PQError(.decoding, "the row has fewer columns than are read") }
        columnsLeft -= 1
        if hasTypes {
            let oid = UInt32(bitPattern: try fixed4())
            guard type == nil || type?.rawValue == oid else {
                throw PQError(.decoding, "a column of type \(oid) is read as one of \(type?.rawValue ?? 0)")
            }
        }
        let length = try fixed4()
        guard length >= -1 else { throw PQError(.decoding, "a column says that it has \(length) bytes") }
        return length == -1 ? nil : Int(length)
    }

    /// Whether the next column has a value, which then must have this many bytes.
    private mutating func beginColumn(_ type: TypeID, of size: Int) throws(PQError) -> Bool {
        guard let length = try beginColumn(type) else { return false }
        guard length == size else {
            throw PQError(.decoding, "a column has \(length) bytes and is read as one of \(size)")
        }
        return true
    }

    /// The next column, of type `smallint`; nil where it is NULL.
    ///
    /// - Throws: ``PQError/Code/decoding`` where it has another type or size.
    public mutating func int2() throws(PQError) -> Int16? { try beginColumn(.int2, of: 2) ? try fixed2() : nil }

    /// The next column, of type `integer`; nil where it is NULL.
    public mutating func int4() throws(PQError) -> Int32? { try beginColumn(.int4, of: 4) ? try fixed4() : nil }

    /// The next column, of type `bigint`; nil where it is NULL.
    public mutating func int8() throws(PQError) -> Int64? { try beginColumn(.int8, of: 8) ? try fixed8() : nil }

    /// The next column, of type `uuid`; nil where it is NULL.
    public mutating func uuid() throws(PQError) -> UUIDBytes? {
        guard try beginColumn(.uuid, of: 16) else { return nil }
        let (high, low) = (try fixed8(), try fixed8())
        return UUIDBytes(high: UInt64(bitPattern: high), low: UInt64(bitPattern: low))
    }

    /// The next column, of type `timestamptz`; nil where it is NULL.
    public mutating func timestamp() throws(PQError) -> TimestampMicroseconds? {
        guard let length = try beginColumn(.timestamptz) else { return nil }
        let value = unsafe try take(length) { unsafe TimestampMicroseconds.decode($0, of: .timestamptz) }
        guard let value else { throw PQError(.decoding, "a column does not hold a time") }
        return value
    }

    /// The next column, of type `numeric`; nil where it is NULL.
    ///
    /// - Throws: ``PQError/Code/decoding`` where it is no whole number, or does not fit.
    public mutating func numeric() throws(PQError) -> Int128? {
        guard let length = try beginColumn(.numeric) else { return nil }
        let value = unsafe try take(length) { unsafe NumericCoding.decode($0) }
        guard let value else { throw PQError(.decoding, "a column does not hold a whole number of 128 bits") }
        return value
    }

    /// The next column, of type `text`; nil where it is NULL.
    public mutating func text() throws(PQError) -> String? {
        guard let length = try beginColumn(.text) else { return nil }
        guard end - offset >= length else { throw Self.endsEarly }
        defer { offset += length }
        return unsafe texts.text(UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + length)]))
    }

    /// The next column's bytes, of any type; nil where it is NULL.
    public mutating func bytes() throws(PQError) -> [UInt8]? {
        guard let length = try beginColumn(nil) else { return nil }
        return unsafe try take(length) { unsafe Array($0) }
    }
}
