/// Reads the rows of `COPY … TO STDOUT (FORMAT binary)`.
///
/// Its input are the chunks of ``Transaction/copyOut(_:_:)``. The format is that of the manual, page COPY, "Binary
/// Format". It is the cheapest way to read very many rows: a row needs neither a libpq result nor a check of its
/// columns' types, so the caller must provide them.
public struct CopyRowReader: Sendable {
    /// The signature `PGCOPY\n\377\r\n\0`.
    private static let signature: [UInt8] = [0x50, 0x47, 0x43, 0x4F, 0x50, 0x59, 0x0A, 0xFF, 0x0D, 0x0A, 0x00]
    private static let formatError = PQError(.decoding, "the bytes are not in the binary format of COPY")

    private var isHeaderRead = false
    private var isAtEnd = false
    private var textCache = TextCache()

    /// Creates a reader for one COPY.
    public init() {}

    /// Calls the closure with each row in these bytes.
    ///
    /// The server begins and ends rows with messages, and messages arrive whole, so no row is split over two chunks.
    ///
    /// - Throws: ``PQError/Code/decoding`` if the bytes are not in the format; the closure's error.
    public mutating func read(
        _ bytes: [UInt8], _ body: (inout BinaryRow) throws(PQError) -> Void
    ) throws(PQError) {
        // Typed throws do not pass through withUnsafeBytes.
        let result: Result<Void, PQError> = unsafe bytes.withUnsafeBytes { buffer in
            Result { () throws(PQError) in unsafe try read(buffer, body) }
        }
        try result.get()
    }

    private mutating func read(
        _ buffer: UnsafeRawBufferPointer, _ body: (inout BinaryRow) throws(PQError) -> Void
    ) throws(PQError) {
        // The cache is moved and not copied: with two owners, each write would copy it.
        var row = unsafe BinaryRow(buffer, TextCache())
        swap(&textCache, &row.textCache)
        defer { swap(&textCache, &row.textCache) }
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

    private mutating func skipHeader(_ row: inout BinaryRow) throws(PQError) {
        guard unsafe try row.take(Self.signature.count, { unsafe $0.elementsEqual(Self.signature) }) else {
            throw Self.formatError
        }
        // Flags, none of which is supported, and the length of an extension, which is skipped.
        let flags = try row.readInt32()
        let extra = try row.readInt32()
        guard flags == 0, extra >= 0 else { throw Self.formatError }
        _ = unsafe try row.take(Int(extra)) { _ in true }
        isHeaderRead = true
    }
}
