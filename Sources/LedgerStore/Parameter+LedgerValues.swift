public import Ledger
public import PQ

// The values of the ledger as parameters and columns of PostgreSQL. Nothing else converts them.

extension JobID: PostgresDecodable {
    /// The same id as a parameter.
    package var uuid: UUIDBytes { UUIDBytes(high: high, low: low) }

    /// Creates the id from a parameter or a column.
    package init(_ uuid: UUIDBytes) {
        self.init(high: uuid.high, low: uuid.low)
    }

    /// Decodes an id from a `uuid`.
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> JobID? {
        UUIDBytes.decode(bytes, typeID: typeID).map { JobID($0) }
    }
}

extension Timestamp: PostgresDecodable {
    /// Creates a time from a column.
    package init(_ value: TimestampMicroseconds) {
        self.init(microseconds: value.microsecondsSince1970)
    }

    /// Decodes a time from a `timestamptz`.
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> Timestamp? {
        TimestampMicroseconds.decode(bytes, typeID: typeID).map { Timestamp($0) }
    }
}

extension Name: PostgresDecodable {
    /// Decodes a name from a `text`.
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> Name? {
        String.decode(bytes, typeID: typeID).map { Name($0) }
    }
}

extension EventHash: PostgresDecodable {
    /// The same hash as a parameter.
    package var bytea: Bytes32 {
        let words = words
        return Bytes32(first: words.0, second: words.1, third: words.2, fourth: words.3)
    }

    /// Decodes a hash from a `bytea` of 32 bytes.
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> EventHash? {
        Bytes32.decode(bytes, typeID: typeID).map { EventHash($0.first, $0.second, $0.third, $0.fourth) }
    }
}

extension EventSequence: PostgresDecodable {
    /// Decodes a sequence from a `bigint`.
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> EventSequence? {
        Int64.decode(bytes, typeID: typeID).map { EventSequence($0) }
    }
}

extension PostgresDecodable where Self: FirstEventID {
    /// Decodes an id from a `bigint`.
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> Self? {
        EventSequence.decode(bytes, typeID: typeID).map { Self($0) }
    }
}

extension TaskID: PostgresDecodable {}
extension ExecutionID: PostgresDecodable {}
extension IndicatorID: PostgresDecodable {}

extension BinaryRow {
    /// Reads a `bigint` that is a sequence; nil if it is null.
    package mutating func sequence() throws(PQError) -> EventSequence? { try int8().map { EventSequence($0) } }
}

extension Parameter {
    /// A sequence as a `bigint`.
    package static func sequence(_ value: EventSequence?) -> Parameter { int8(value?.number) }

    /// Sequences as an array of `bigint`.
    package static func sequences(_ values: [EventSequence]) -> Parameter { int8s(values.map(\.number)) }

    /// Sequences as an array of `bigint`.
    package static func sequences(_ values: [EventSequence?]) -> Parameter { int8s(values.map { $0?.number }) }

    /// The id of a part of a job as a `bigint`.
    package static func id(_ value: (some FirstEventID)?) -> Parameter { sequence(value?.sequence) }

    // A key path would be resolved at run time for each call, because the type is generic.

    /// Ids of parts of a job as an array of `bigint`.
    package static func ids(_ values: [some FirstEventID]) -> Parameter { int8s(values.map { $0.sequence.number }) }

    /// Ids of parts of a job as an array of `bigint`.
    package static func ids(_ values: [(some FirstEventID)?]) -> Parameter {
        int8s(values.map { $0?.sequence.number })
    }

    /// A time as a `timestamptz`.
    package static func timestamp(_ value: Timestamp?) -> Parameter {
        timestamptz(microsecondsSince1970: value?.microseconds)
    }

    /// Times as an array of `timestamptz`.
    package static func timestamps(_ values: [Timestamp?]) -> Parameter {
        timestamptzs(microsecondsSince1970: values.map { $0?.microseconds })
    }
}
