/// Reads the rows of `COPY … TO STDOUT (FORMAT binary)`, as ``Transaction/copyOut(_:_:)`` hands them over.
///
/// The format is that of the manual, page COPY, "Binary Format". It is the cheapest way to read very many rows: a row
/// costs neither a result of libpq nor a look at its columns' types, so whoever reads must know them.
public struct CopyRowReader: Sendable {
    /// `PGCOPY\n\377\r\n\0`
    private static let signature: [UInt8] = [0x50, 0x47, 0x43, 0x4F, 0x50, 0x59, 0x0A, 0xFF, 0x0D, 0x0A, 0x00]
    private static let formatError = PQError(.decoding, "this is not what COPY in binary format sends")

    private var isHeaderRead = false
    private var isAtEnd = false
    private var texts = TextCache()

    public init() {}

    /// Hands each row of these bytes to the closure. The server begins and ends rows with messages, and messages come
    /// whole, so no row is in two pieces.
    ///
    /// - Throws: ``PQError/Code/decoding`` where the bytes are not of the format; what the closure throws.
    public mutating func read(
        _ bytes: [UInt8], _ body: (inout CopiedRow) throws(PQError) -> Void
    ) throws(PQError) {
        // Typed throws do not pass through withUnsafeBytes.
        let result: Result<Void, PQError> = unsafe bytes.withUnsafeBytes { buffer in
            Result { () throws(PQError) in unsafe try read(buffer, body) }
        }
        try result.get()
    }

    private mutating func read(
        _ buffer: UnsafeRawBufferPointer, _ body: (inout CopiedRow) throws(PQError) -> Void
    ) throws(PQError) {
        // Moved and not copied: two who hold the cache would each have to write to a copy of their own.
        var row = unsafe CopiedRow(buffer, TextCache())
        swap(&texts, &row.texts)
        defer { swap(&texts, &row.texts) }
        if !isHeaderRead { try skipHeader(&row) }
        while !row.isAtEnd {
            guard !isAtEnd else { throw Self.formatError }
            let columns = try row.beginRow()
            if columns == -1 {
                isAtEnd = true
                continue
            }
            try body(&row)
            guard row.columnsLeft == 0 else {
                throw PQError(.decoding, "a row of \(columns) columns was not read to its end")
            }
        }
    }

    private mutating func skipHeader(_ row: inout CopiedRow) throws(PQError) {
        guard unsafe try row.take(Self.signature.count, { unsafe $0.elementsEqual(Self.signature) }) else {
            throw Self.formatError
        }
        // Flags, of which none is known that we could heed, and the length of an extension, which is skipped.
        let flags = try row.fixed4()
        let extra = try row.fixed4()
        guard flags == 0, extra >= 0 else { throw Self.formatError }
        _ = unsafe try row.take(Int(extra)) { _ in true }
        isHeaderRead = true
    }
}

/// A row that COPY has sent: its columns are taken in their order, every one once.
///
/// It exists only while ``CopyRowReader`` hands it over: it cannot be copied, so it cannot be kept, and the bytes that it
/// points to outlive it. That is why reading through its pointer is safe.
@safe public struct CopiedRow: ~Copyable {
    private let buffer: UnsafeRawBufferPointer
    private let end: Int
    private var offset = 0
    fileprivate var texts: TextCache
    /// Columns not taken yet.
    fileprivate private(set) var columnsLeft = 0

    fileprivate init(_ buffer: UnsafeRawBufferPointer, _ texts: TextCache) {
        unsafe self.buffer = buffer
        end = buffer.count
        self.texts = texts
    }

    private static let endsEarly = PQError(.decoding, "a row of COPY ends too early")

    fileprivate var isAtEnd: Bool { offset == end }

    fileprivate mutating func beginRow() throws(PQError) -> Int {
        let columns = try fixed2()
        guard columns >= -1 else { throw PQError(.decoding, "a row says that it has \(columns) columns") }
        columnsLeft = max(0, Int(columns))
        return Int(columns)
    }

    // One function for each size, since a generic one would look its type up at each call from another module.

    fileprivate mutating func fixed2() throws(PQError) -> Int16 {
        guard end - offset >= 2 else { throw Self.endsEarly }
        defer { offset += 2 }
        return unsafe Int16(bigEndian: buffer.loadUnaligned(fromByteOffset: offset, as: Int16.self))
    }

    fileprivate mutating func fixed4() throws(PQError) -> Int32 {
        guard end - offset >= 4 else { throw Self.endsEarly }
        defer { offset += 4 }
        return unsafe Int32(bigEndian: buffer.loadUnaligned(fromByteOffset: offset, as: Int32.self))
    }

    fileprivate mutating func fixed8() throws(PQError) -> Int64 {
        guard end - offset >= 8 else { throw Self.endsEarly }
        defer { offset += 8 }
        return unsafe Int64(bigEndian: buffer.loadUnaligned(fromByteOffset: offset, as: Int64.self))
    }

    fileprivate mutating func take<R>(
        _ count: Int, _ body: (UnsafeRawBufferPointer) -> R
    ) throws(PQError) -> R {
        guard end - offset >= count else { throw Self.endsEarly }
        defer { offset += count }
        return unsafe body(UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + count)]))
    }

    /// How many bytes the next column has; nil where it is NULL.
    private mutating func beginColumn() throws(PQError) -> Int? {
        guard columnsLeft > 0 else { throw PQError(.decoding, "the row has fewer columns than are read") }
        columnsLeft -= 1
        let length = try fixed4()
        guard length >= -1 else { throw PQError(.decoding, "a column says that it has \(length) bytes") }
        return length == -1 ? nil : Int(length)
    }

    /// Whether the next column has a value, which then must have this many bytes.
    private mutating func beginColumn(of size: Int) throws(PQError) -> Bool {
        guard let length = try beginColumn() else { return false }
        guard length == size else {
            throw PQError(.decoding, "a column has \(length) bytes and is read as one of \(size)")
        }
        return true
    }

    /// The next column, of type `smallint`; nil where it is NULL.
    ///
    /// - Throws: ``PQError/Code/decoding`` where it has another size.
    public mutating func int2() throws(PQError) -> Int16? { try beginColumn(of: 2) ? try fixed2() : nil }

    /// The next column, of type `integer`; nil where it is NULL.
    public mutating func int4() throws(PQError) -> Int32? { try beginColumn(of: 4) ? try fixed4() : nil }

    /// The next column, of type `bigint`; nil where it is NULL.
    public mutating func int8() throws(PQError) -> Int64? { try beginColumn(of: 8) ? try fixed8() : nil }

    /// The next column, of type `timestamptz`; nil where it is NULL.
    public mutating func timestamp() throws(PQError) -> TimestampMicroseconds? {
        guard let length = try beginColumn() else { return nil }
        let value = unsafe try take(length) { unsafe TimestampMicroseconds.decode($0, of: .timestamptz) }
        guard let value else { throw PQError(.decoding, "a column does not hold a time") }
        return value
    }

    /// The next column, of type `numeric`; nil where it is NULL.
    ///
    /// - Throws: ``PQError/Code/decoding`` where it is no whole number, or does not fit.
    public mutating func numeric() throws(PQError) -> Int128? {
        guard let length = try beginColumn() else { return nil }
        let value = unsafe try take(length) { unsafe NumericCoding.decode($0) }
        guard let value else { throw PQError(.decoding, "a column does not hold a whole number of 128 bits") }
        return value
    }

    /// The next column, of type `text`; nil where it is NULL.
    public mutating func text() throws(PQError) -> String? {
        guard let length = try beginColumn() else { return nil }
        guard end - offset >= length else { throw Self.endsEarly }
        defer { offset += length }
        return unsafe texts.text(UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + length)]))
    }

    /// The next column's bytes, of any type; nil where it is NULL.
    public mutating func bytes() throws(PQError) -> [UInt8]? {
        guard let length = try beginColumn() else { return nil }
        return unsafe try take(length) { unsafe Array($0) }
    }
}

/// Texts that were read a moment ago: in a table of events the same few come again and again, and a string that is there
/// already costs no memory and no time to make.
private struct TextCache: Sendable {
    private static let slotCount = 1_024
    /// What fits into Swift's string itself is made faster than found.
    private static let inlineMax = 15

    private var slots: [String] = []

    func slot(of bytes: UnsafeRawBufferPointer) -> Int {
        // FNV-1a, eight bytes at a time: which slot a text takes need only be spread well.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        var offset = 0
        while offset + 8 <= bytes.count {
            hash = unsafe (hash ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0x0000_0100_0000_01B3
            offset += 8
        }
        while offset < bytes.count {
            hash = unsafe (hash ^ UInt64(bytes[offset])) &* 0x0000_0100_0000_01B3
            offset += 1
        }
        return Int(truncatingIfNeeded: (hash ^ (hash >> 32)) & UInt64(Self.slotCount - 1))
    }

    /// Whether texts of more than eight bytes are the same, eight bytes at a time; the last eight may overlap.
    private static func areEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        guard left.count == right.count, left.count >= 8 else { return false }
        var offset = 0
        while offset < left.count {
            let start = min(offset, left.count - 8)
            let word = unsafe left.loadUnaligned(fromByteOffset: start, as: UInt64.self)
            guard unsafe word == right.loadUnaligned(fromByteOffset: start, as: UInt64.self) else { return false }
            offset += 8
        }
        return true
    }

    mutating func text(_ bytes: UnsafeRawBufferPointer) -> String {
        guard bytes.count > Self.inlineMax else { return unsafe String(decoding: bytes, as: UTF8.self) }
        if slots.isEmpty { slots = Array(repeating: "", count: Self.slotCount) }
        let slot = unsafe slot(of: bytes)
        let isThere: Bool? = unsafe slots[slot].utf8.withContiguousStorageIfAvailable { known in
            unsafe Self.areEqual(UnsafeRawBufferPointer(known), bytes)
        }
        if isThere == true { return slots[slot] }
        let text = unsafe String(decoding: bytes, as: UTF8.self)
        slots[slot] = text
        return text
    }
}
