/// A one-dimensional array parameter that is built value by value.
///
/// It carries one column of many rows to the server. Each value is encoded into one buffer as it is appended, so a
/// thousand rows cost no more allocations than a few (src/backend/utils/adt/arrayfuncs.c, `array_recv`).
public struct ParameterColumn: Sendable {
    /// The type of a column's values.
    public enum Kind: Sendable {
        case int2
        case int4
        case int8
        case timestamptz
        case uuid
        case text
        case bytea

        fileprivate var type: TypeID {
            switch self {
            case .int2: .int2
            case .int4: .int4
            case .int8: .int8
            case .timestamptz: .timestamptz
            case .uuid: .uuid
            case .text: .text
            case .bytea: .bytea
            }
        }
    }

    private let kind: Kind
    /// The encoded array: room for the header, the values with lengths, spare room.
    private var bytes = [UInt8](repeating: 0, count: 256)
    /// Number of bytes in use.
    private var usedCount = Self.headerLength
    private var holdsNull = false
    /// Number of values.
    public private(set) var count = 0
    /// Number of values up to the last one that is not null.
    ///
    /// The nulls after it are not encoded yet.
    private var encodedCount = 0

    /// The length of the header.
    ///
    /// It contains the number of dimensions, whether nulls exist, the type and the number of the values, and the index
    /// of the first.
    private static let headerLength = 20

    /// Creates an empty column.
    public init(_ kind: Kind) {
        self.kind = kind
    }

    public mutating func append(int2 value: Int16?) { append(value, as: .int2) }
    public mutating func append(int4 value: Int32?) { append(value, as: .int4) }
    public mutating func append(int8 value: Int64?) { append(value, as: .int8) }

    /// Appends a time from 4713 BC until before AD 294277, PostgreSQL's range.
    public mutating func append(microsecondsSince1970 value: Int64?) {
        append(value.map { $0 - TimestampMicroseconds.epochDistance }, as: .timestamptz)
    }

    public mutating func append(uuid value: UUIDBytes?) {
        guard let value else { return appendNull(.uuid) }
        begin(.uuid, length: 16)
        write(value.high)
        write(value.low)
    }

    /// Appends a text without U+0000, because PostgreSQL cannot store it.
    public mutating func append(text value: String?) {
        guard var value else { return appendNull(.text) }
        value.withUTF8 { unsafe append(UnsafeRawBufferPointer($0), as: .text) }
    }

    public mutating func append(bytea value: [UInt8]?) {
        guard let value else { return appendNull(.bytea) }
        unsafe value.withUnsafeBytes { unsafe append($0, as: .bytea) }
    }

    public mutating func append(bytea value: Bytes32) {
        begin(.bytea, length: 32)
        write(value.first)
        write(value.second)
        write(value.third)
        write(value.fourth)
    }

    private mutating func append(_ value: (some FixedWidthInteger)?, as kind: Kind) {
        guard let value else { return appendNull(kind) }
        begin(kind, length: MemoryLayout.size(ofValue: value))
        write(value)
    }

    private mutating func append(_ content: UnsafeRawBufferPointer, as kind: Kind) {
        begin(kind, length: content.count)
        unsafe bytes.withUnsafeMutableBytes { bytes in
            unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[usedCount...]).copyMemory(from: content)
        }
        usedCount += content.count
    }

    /// Appends a null, which is only counted: many columns have no other values.
    private mutating func appendNull(_ kind: Kind) {
        precondition(kind == self.kind, "a column has values of one type")
        count += 1
    }

    /// Writes the length of a value, and makes room for the value.
    ///
    /// The nulls before it are encoded first.
    private mutating func begin(_ kind: Kind, length: Int) {
        precondition(kind == self.kind, "a column has values of one type")
        encodeNulls(spare: 4 + length)
        count += 1
        encodedCount = count
        write(Int32(length))
    }

    /// Encodes the nulls after the last value.
    ///
    /// - Parameter spare: The number of further bytes to make room for.
    private mutating func encodeNulls(spare: Int) {
        let nulls = count - encodedCount
        let needed = usedCount + 4 * nulls + spare
        if needed > bytes.count { bytes += repeatElement(0, count: max(needed - bytes.count, bytes.count)) }
        guard nulls > 0 else { return }
        holdsNull = true
        for _ in 0..<nulls { write(Int32(-1)) }
        encodedCount = count
    }

    /// Writes an integer into the room that ``begin(_:length:)`` has made.
    private mutating func write(_ value: some FixedWidthInteger) {
        let offset = usedCount
        unsafe bytes.withUnsafeMutableBytes {
            unsafe $0.storeBytes(of: value.bigEndian, toByteOffset: offset, as: type(of: value))
        }
        usedCount += MemoryLayout.size(ofValue: value)
    }

    /// The only value of the column, as a parameter that is not an array.
    public var single: Parameter {
        precondition(count == 1, "a column of \(count) values is not a single one")
        return Parameter(kind.type, encodedCount == 0 ? nil : Array(bytes[(Self.headerLength + 4)..<usedCount]))
    }

    /// The column as an array parameter.
    public var parameter: Parameter {
        var whole = self
        whole.encodeNulls(spare: 0)
        return whole.parameterWithoutLastNulls
    }

    /// The column as an array parameter without the nulls after its last value.
    ///
    /// Beside a longer array in the same select list, `unnest` returns nulls in their place. So a column of nulls costs
    /// the server nothing.
    public var parameterWithoutLastNulls: Parameter {
        var header: [UInt8] = []
        header.appendBigEndian(Int32(encodedCount == 0 ? 0 : 1))
        header.appendBigEndian(Int32(holdsNull ? 1 : 0))
        header.appendBigEndian(kind.type.rawValue)
        guard encodedCount > 0 else { return Parameter(kind.type.array, header) }
        header.appendBigEndian(Int32(encodedCount))
        header.appendBigEndian(Int32(1))
        return Parameter(kind.type.array, header + bytes[Self.headerLength..<usedCount])
    }
}
