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
        // Moved and not copied: two who hold the cache would each have to write to a copy of their own.
        var row = unsafe BinaryRow(buffer, TextCache())
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

    private mutating func skipHeader(_ row: inout BinaryRow) throws(PQError) {
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
