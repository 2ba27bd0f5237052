/// An array of one dimension that is made value by value: a column of many rows on its way to the server.
///
/// Each value is encoded as it is added, into one buffer, so that a thousand rows cost no more memory operations than a few
/// (src/backend/utils/adt/arrayfuncs.c, `array_recv`).
public struct ParameterColumn: Sendable {
    /// What a column holds.
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
    /// The values, each after its length, and before them room for the head; then room for more.
    private var bytes = [UInt8](repeating: 0, count: 256)
    /// How many of the bytes are in use.
    private var used = Self.headLength
    private var holdsNull = false
    /// How many values there are.
    public private(set) var count = 0

    /// Dimensions, whether there are nulls, the type of the values, how many there are, the index of the first.
    private static let headLength = 20

    /// A column without values.
    public init(_ kind: Kind) {
        self.kind = kind
    }

    public mutating func append(int2 value: Int16?) { append(value, as: .int2) }
    public mutating func append(int4 value: Int32?) { append(value, as: .int4) }
    public mutating func append(int8 value: Int64?) { append(value, as: .int8) }

    /// At or after 4713 BC and before AD 294277, which is what PostgreSQL holds.
    public mutating func append(microsecondsSince1970 value: Int64?) {
        append(value.map { $0 - TimestampMicroseconds.epochDistance }, as: .timestamptz)
    }

    public mutating func append(uuid value: UUIDBytes?) {
        guard let value else { return appendNull(.uuid) }
        begin(.uuid, length: 16)
        put(value.high)
        put(value.low)
    }

    /// A text without U+0000, which PostgreSQL cannot store.
    public mutating func append(text value: String?) {
        guard var value else { return appendNull(.text) }
        value.withUTF8 { unsafe append(UnsafeRawBufferPointer($0), as: .text) }
    }

    public mutating func append(bytea value: [UInt8]?) {
        guard let value else { return appendNull(.bytea) }
        unsafe value.withUnsafeBytes { unsafe append($0, as: .bytea) }
    }

    private mutating func append(_ value: (some FixedWidthInteger)?, as kind: Kind) {
        guard let value else { return appendNull(kind) }
        begin(kind, length: MemoryLayout.size(ofValue: value))
        put(value)
    }

    private mutating func append(_ content: UnsafeRawBufferPointer, as kind: Kind) {
        begin(kind, length: content.count)
        unsafe bytes.withUnsafeMutableBytes { bytes in
            unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[used...]).copyMemory(from: content)
        }
        used += content.count
    }

    private mutating func appendNull(_ kind: Kind) {
        holdsNull = true
        begin(kind, length: -1)
    }

    /// Writes the length of a value, and makes room for the value; -1 is null.
    private mutating func begin(_ kind: Kind, length: Int) {
        precondition(kind == self.kind, "a column has values of one type")
        count += 1
        let needed = used + 4 + max(0, length)
        if needed > bytes.count { bytes += repeatElement(0, count: max(needed - bytes.count, bytes.count)) }
        put(Int32(length))
    }

    /// Writes where ``begin(_:length:)`` has made room.
    private mutating func put(_ value: some FixedWidthInteger) {
        let place = used
        unsafe bytes.withUnsafeMutableBytes {
            unsafe $0.storeBytes(of: value.bigEndian, toByteOffset: place, as: type(of: value))
        }
        used += MemoryLayout.size(ofValue: value)
    }

    /// The value of a column that has only one, as it is.
    public var single: Parameter {
        precondition(count == 1, "a column of \(count) values is not a single one")
        return Parameter(kind.type, holdsNull ? nil : Array(bytes[(Self.headLength + 4)..<used]))
    }

    /// The array.
    public var parameter: Parameter {
        var head: [UInt8] = []
        head.appendBigEndian(Int32(count == 0 ? 0 : 1))
        head.appendBigEndian(Int32(holdsNull ? 1 : 0))
        head.appendBigEndian(kind.type.rawValue)
        guard count > 0 else { return Parameter(kind.type.array, head) }
        head.appendBigEndian(Int32(count))
        head.appendBigEndian(Int32(1))
        return Parameter(kind.type.array, head + bytes[Self.headLength..<used])
    }
}
