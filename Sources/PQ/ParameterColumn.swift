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
    /// The values, each after its length; before them room for the head.
    private var bytes = [UInt8](repeating: 0, count: Self.headLength)
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
    public mutating func append(uuid value: UUIDBytes?) { append(value, as: .uuid) }

    /// At or after 4713 BC and before AD 294277, which is what PostgreSQL holds.
    public mutating func append(microsecondsSince1970 value: Int64?) {
        append(value.map { $0 - TimestampMicroseconds.epochDistance }, as: .timestamptz)
    }

    /// A text without U+0000, which PostgreSQL cannot store.
    public mutating func append(text value: String?) {
        guard let value else { return appendNull(.text) }
        begin(.text, length: value.utf8.count)
        bytes.append(contentsOf: value.utf8)
    }

    public mutating func append(bytea value: [UInt8]?) {
        guard let value else { return appendNull(.bytea) }
        begin(.bytea, length: value.count)
        bytes.append(contentsOf: value)
    }

    private mutating func append(_ value: (some BinaryEncodable)?, as kind: Kind) {
        guard let value else { return appendNull(kind) }
        let lengthAt = bytes.count
        begin(kind, length: MemoryLayout.size(ofValue: value))
        value.encode(into: &bytes)
        assert(bytes.count == lengthAt + 4 + MemoryLayout.size(ofValue: value), "these are as long as in memory")
    }

    private mutating func begin(_ kind: Kind, length: Int) {
        precondition(kind == self.kind, "a column has values of one type")
        count += 1
        bytes.appendBigEndian(Int32(length))
    }

    private mutating func appendNull(_ kind: Kind) {
        holdsNull = true
        begin(kind, length: -1)
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
        var bytes = bytes
        bytes.replaceSubrange(..<Self.headLength, with: head)
        return Parameter(kind.type.array, bytes)
    }
}
