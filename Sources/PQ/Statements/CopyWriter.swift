/// The writer of the rows of a binary COPY.
///
/// It exists only inside the closure of ``Transaction/copyIn(_:_:)``.
public struct CopyWriter: ~Copyable {
    /// Bytes collected before they are sent; memory use stays close to this.
    private static let chunkSize = 65_536
    private let connection: Connection
    private let deadline: Duration
    private var buffer: [UInt8]

    init(connection: Connection, deadline: Duration) {
        self.connection = connection
        self.deadline = deadline
        // The header of the format (manual, COPY, "Binary Format"): signature, flags, length of the extension.
        buffer = Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0x00] + [UInt8](repeating: 0, count: 8)
    }

    /// Adds one row: a value for each column, of exactly the column's type.
    public mutating func row(_ values: [Parameter]) async throws(PQError) {
        Self.append(values, to: &buffer)
        if buffer.count >= Self.chunkSize { try await send() }
    }

    /// Adds rows encoded earlier by ``encoded(row:)``.
    public mutating func rows(encoded rows: [UInt8]) async throws(PQError) {
        buffer += rows
        if buffer.count >= Self.chunkSize { try await send() }
    }

    /// Encodes one row for ``rows(encoded:)``.
    public static func encoded(row values: [Parameter]) -> [UInt8] {
        var bytes: [UInt8] = []
        append(values, to: &bytes)
        return bytes
    }

    private static func append(_ values: [Parameter], to bytes: inout [UInt8]) {
        bytes.appendBigEndian(Int16(values.count))
        for value in values {
            guard let content = value.bytes else {
                bytes.appendBigEndian(Int32(-1))
                continue
            }
            bytes.appendBigEndian(Int32(content.count))
            bytes += content
        }
    }

    mutating func finish() async throws(PQError) {
        buffer.appendBigEndian(Int16(-1))
        try await send()
    }

    private mutating func send() async throws(PQError) {
        try await connection.putCopy(buffer, by: .now + deadline)
        buffer.removeAll(keepingCapacity: true)
    }
}
