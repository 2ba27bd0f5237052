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

/// Bytes as `bytea`.
private struct ByteString: BinaryEncodable {
    static var typeID: TypeID { .bytea }
    let content: [UInt8]
    func encode(into bytes: inout [UInt8]) { bytes.append(contentsOf: content) }
}

/// A JSON text as `jsonb`.
///
/// Its binary format is a version byte followed by the text.
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
    /// A text without U+0000, because PostgreSQL cannot store it.
    public static func text(_ value: String?) -> Parameter { single(value) }
    public static func uuid(_ value: UUIDBytes?) -> Parameter { single(value) }
    /// An integer of up to 128 bits as `numeric`.
    public static func numeric(_ value: Int128?) -> Parameter { single(value) }
    public static func bytea(_ value: [UInt8]?) -> Parameter { single(value.map(ByteString.init)) }
    public static func bytea(_ value: Bytes32?) -> Parameter { single(value) }
    public static func jsonb(text: String?) -> Parameter { single(text.map(JSONText.init)) }
    /// A time from 4713 BC until before AD 294277, PostgreSQL's range.
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
    /// Texts without U+0000, because PostgreSQL cannot store it.
    public static func texts(_ values: [String?]) -> Parameter { array(of: values) }
    public static func uuids(_ values: [UUIDBytes?]) -> Parameter { array(of: values) }
    public static func numerics(_ values: [Int128?]) -> Parameter { array(of: values) }
    public static func byteas(_ values: [[UInt8]?]) -> Parameter {
        array(of: values.map { $0.map(ByteString.init) })
    }
    public static func byteas(_ values: [Bytes32?]) -> Parameter { array(of: values) }
    public static func jsonbs(texts: [String?]) -> Parameter {
        array(of: texts.map { $0.map(JSONText.init) })
    }
    public static func timestamptzs(microsecondsSince1970 values: [Int64?]) -> Parameter {
        array(of: values.map { $0.map(TimestampMicroseconds.init) })
    }
}
