/// Decodes the output of ``StateWriter``.
struct StateReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { position == bytes.count }

    mutating func readByte() throws(FoldStateError) -> UInt8 {
        guard position < bytes.count else { throw FoldStateError("ends within a number") }
        position += 1
        return bytes[position - 1]
    }

    mutating func readInt128() throws(FoldStateError) -> Int128 {
        var value: UInt128 = 0
        var shift: UInt128 = 0
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            guard shift < 126 else { throw FoldStateError("a number has more than 126 bits") }
            value |= UInt128(byte & 0x7F) << shift
            if byte < 0x80 { return Int128(value) }
            shift += 7
        }
        throw FoldStateError("ends within a number")
    }

    mutating func readInt64() throws(FoldStateError) -> Int64 {
        // Most numbers are below 128.
        if position < bytes.count, bytes[position] < 0x80 {
            position += 1
            return Int64(bytes[position - 1])
        }
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            guard shift < 63 else { throw FoldStateError("a number has more than 63 bits") }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return Int64(value) }
            shift += 7
        }
        throw FoldStateError("ends within a number")
    }

    /// Reads the output of ``StateWriter/write(signed:)``.
    mutating func readSigned() throws(FoldStateError) -> Int64 {
        let value = UInt64(truncatingIfNeeded: try readInt128())
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    mutating func readSequence() throws(FoldStateError) -> EventSequence { EventSequence(try readInt64()) }

    /// Reads the number of the entries that follow; throws if it is above `max`.
    mutating func readCount(max: Int) throws(FoldStateError) -> Int {
        let count = try readInt64()
        guard count <= Int64(max) else { throw FoldStateError("has \(count) entries; the maximum is \(max)") }
        return Int(count)
    }

    mutating func readEntry(after previous: Int64) throws(FoldStateError) -> ReportNumbers.Entry {
        let (report, overflow) = previous.addingReportingOverflow(try readInt64())
        guard !overflow else { throw FoldStateError("a report number has more than 63 bits") }
        return ReportNumbers.Entry(
            report: report, sequence: try readSequence(), indicator: IndicatorID(try readSequence()),
            total: try readInt64(),
            done: try readInt64())
    }
}
