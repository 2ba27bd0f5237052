/// The value of one parameter in PostgreSQL's binary format, with its type.
public struct Parameter: Sendable {
    /// The type's object id.
    let type: TypeID
    /// The value; nil is NULL.
    let bytes: [UInt8]?

    init(_ type: TypeID, _ bytes: [UInt8]?) {
        self.type = type
        self.bytes = bytes
    }
}

/// Object ids of PostgreSQL's built-in types (src/include/catalog/pg_type.dat), which never change.
struct TypeID: RawRepresentable, Hashable, Sendable {
    let rawValue: UInt32

    static let bool = TypeID(rawValue: 16)
    static let bytea = TypeID(rawValue: 17)
    static let name = TypeID(rawValue: 19)
    static let int8 = TypeID(rawValue: 20)
    static let int2 = TypeID(rawValue: 21)
    static let int4 = TypeID(rawValue: 23)
    static let text = TypeID(rawValue: 25)
    static let oid = TypeID(rawValue: 26)
    static let xid = TypeID(rawValue: 28)
    static let json = TypeID(rawValue: 114)
    static let float8 = TypeID(rawValue: 701)
    static let unknown = TypeID(rawValue: 705)
    static let bpchar = TypeID(rawValue: 1042)
    static let varchar = TypeID(rawValue: 1043)
    static let timestamptz = TypeID(rawValue: 1184)
    static let numeric = TypeID(rawValue: 1700)
    static let uuid = TypeID(rawValue: 2950)
    static let jsonb = TypeID(rawValue: 3802)

    /// The type of an array of these; for the types that can be sent.
    var array: TypeID {
        switch self {
        case .bool: TypeID(rawValue: 1000)
        case .bytea: TypeID(rawValue: 1001)
        case .int2: TypeID(rawValue: 1005)
        case .int4: TypeID(rawValue: 1007)
        case .text: TypeID(rawValue: 1009)
        case .int8: TypeID(rawValue: 1016)
        case .float8: TypeID(rawValue: 1022)
        case .timestamptz: TypeID(rawValue: 1185)
        case .numeric: TypeID(rawValue: 1231)
        case .uuid: TypeID(rawValue: 2951)
        case .jsonb: TypeID(rawValue: 3807)
        default: preconditionFailure("arrays of type \(rawValue) are not sent")
        }
    }
}

/// The 128 bits of a UUID.
public struct UUIDBytes: Hashable, Comparable, Sendable {
    /// The first eight bytes, big-endian.
    public let high: UInt64
    /// The last eight bytes, big-endian.
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public static func < (left: UUIDBytes, right: UUIDBytes) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }
}

/// A `timestamptz`, in microseconds since 1970-01-01T00:00:00Z.
public struct TimestampMicroseconds: Hashable, Sendable {
    public let microsecondsSince1970: Int64

    public init(microsecondsSince1970: Int64) {
        self.microsecondsSince1970 = microsecondsSince1970
    }

    /// PostgreSQL counts from 2000-01-01T00:00:00Z.
    static let epochDistance: Int64 = 946_684_800_000_000
}

/// A value that can be sent as a parameter, alone or in an array.
protocol BinaryEncodable {
    static var typeID: TypeID { get }
    func encode(into bytes: inout [UInt8])
}

extension [UInt8] {
    mutating func appendBigEndian(_ value: some FixedWidthInteger) {
        unsafe Swift.withUnsafeBytes(of: value.bigEndian) { unsafe append(contentsOf: $0) }
    }
}

extension Bool: BinaryEncodable {
    static var typeID: TypeID { .bool }
    func encode(into bytes: inout [UInt8]) { bytes.append(self ? 1 : 0) }
}

extension Int16: BinaryEncodable {
    static var typeID: TypeID { .int2 }
    func encode(into bytes: inout [UInt8]) { bytes.appendBigEndian(self) }
}

extension Int32: BinaryEncodable {
    static var typeID: TypeID { .int4 }
    func encode(into bytes: inout [UInt8]) { bytes.appendBigEndian(self) }
}

extension Int64: BinaryEncodable {
    static var typeID: TypeID { .int8 }
    func encode(into bytes: inout [UInt8]) { bytes.appendBigEndian(self) }
}

extension Double: BinaryEncodable {
    static var typeID: TypeID { .float8 }
    func encode(into bytes: inout [UInt8]) { bytes.appendBigEndian(bitPattern) }
}

extension String: BinaryEncodable {
    static var typeID: TypeID { .text }
    func encode(into bytes: inout [UInt8]) { bytes.append(contentsOf: utf8) }
}

extension UUIDBytes: BinaryEncodable {
    static var typeID: TypeID { .uuid }
    func encode(into bytes: inout [UInt8]) {
        bytes.appendBigEndian(high)
        bytes.appendBigEndian(low)
    }
}

extension TimestampMicroseconds: BinaryEncodable {
    static var typeID: TypeID { .timestamptz }
    func encode(into bytes: inout [UInt8]) {
        bytes.appendBigEndian(microsecondsSince1970 - Self.epochDistance)
    }
}

extension Int128: BinaryEncodable {
    static var typeID: TypeID { .numeric }
    func encode(into bytes: inout [UInt8]) { NumericCoding.encode(self, into: &bytes) }
}

/// Bytes as `bytea`.
private struct ByteString: BinaryEncodable {
    static var typeID: TypeID { .bytea }
    let content: [UInt8]
    func encode(into bytes: inout [UInt8]) { bytes.append(contentsOf: content) }
}

/// A JSON text as `jsonb`, whose binary format is a version byte and the text.
private struct JSONText: BinaryEncodable {
    static var typeID: TypeID { .jsonb }
    let text: String
    func encode(into bytes: inout [UInt8]) {
        bytes.append(1)
        bytes.append(contentsOf: text.utf8)
    }
}

extension Parameter {
    private static func single<Value: BinaryEncodable>(_ value: Value?) -> Parameter {
        Parameter(
            Value.typeID,
            value.map { value in
                var bytes: [UInt8] = []
                value.encode(into: &bytes)
                return bytes
            })
    }

    public static func bool(_ value: Bool?) -> Parameter { single(value) }
    public static func int2(_ value: Int16?) -> Parameter { single(value) }
    public static func int4(_ value: Int32?) -> Parameter { single(value) }
    public static func int8(_ value: Int64?) -> Parameter { single(value) }
    public static func float8(_ value: Double?) -> Parameter { single(value) }
    /// A text without U+0000, which PostgreSQL cannot store.
    public static func text(_ value: String?) -> Parameter { single(value) }
    public static func uuid(_ value: UUIDBytes?) -> Parameter { single(value) }
    /// A whole number of any size that fits 128 bits, as `numeric`.
    public static func numeric(_ value: Int128?) -> Parameter { single(value) }
    public static func bytea(_ value: [UInt8]?) -> Parameter { single(value.map(ByteString.init)) }
    public static func jsonb(text: String?) -> Parameter { single(text.map(JSONText.init)) }
    /// At or after 4713 BC and before AD 294277, which is what PostgreSQL holds.
    public static func timestamptz(microsecondsSince1970 value: Int64?) -> Parameter {
        single(value.map(TimestampMicroseconds.init))
    }

    /// A one-dimensional array (src/backend/utils/adt/arrayfuncs.c, `array_recv`).
    private static func array<Value: BinaryEncodable>(of values: [Value?]) -> Parameter {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(20 + values.count * 16)
        let isEmpty = values.isEmpty
        bytes.appendBigEndian(Int32(isEmpty ? 0 : 1))
        bytes.appendBigEndian(Int32(values.contains { $0 == nil } ? 1 : 0))
        bytes.appendBigEndian(Value.typeID.rawValue)
        if !isEmpty {
            bytes.appendBigEndian(Int32(values.count))
            bytes.appendBigEndian(Int32(1))
        }
        for value in values {
            guard let value else {
                bytes.appendBigEndian(Int32(-1))
                continue
            }
            let lengthAt = bytes.count
            bytes.appendBigEndian(Int32(0))
            value.encode(into: &bytes)
            let length = UInt32(bytes.count - lengthAt - 4)
            for index in 0..<4 {
                bytes[lengthAt + index] = UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32(index)))
            }
        }
        return Parameter(Value.typeID.array, bytes)
    }

    public static func bools(_ values: [Bool?]) -> Parameter { array(of: values) }
    public static func int2s(_ values: [Int16?]) -> Parameter { array(of: values) }
    public static func int4s(_ values: [Int32?]) -> Parameter { array(of: values) }
    public static func int8s(_ values: [Int64?]) -> Parameter { array(of: values) }
    public static func float8s(_ values: [Double?]) -> Parameter { array(of: values) }
    /// Texts without U+0000, which PostgreSQL cannot store.
    public static func texts(_ values: [String?]) -> Parameter { array(of: values) }
    public static func uuids(_ values: [UUIDBytes?]) -> Parameter { array(of: values) }
    public static func numerics(_ values: [Int128?]) -> Parameter { array(of: values) }
    public static func byteas(_ values: [[UInt8]?]) -> Parameter {
        array(of: values.map { $0.map(ByteString.init) })
    }
    public static func jsonbs(texts: [String?]) -> Parameter {
        array(of: texts.map { $0.map(JSONText.init) })
    }
    public static func timestamptzs(microsecondsSince1970 values: [Int64?]) -> Parameter {
        array(of: values.map { $0.map(TimestampMicroseconds.init) })
    }
}
