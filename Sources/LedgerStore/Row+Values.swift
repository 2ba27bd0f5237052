internal import Ledger
internal import PQ

extension JobID {
    var uuid: UUIDBytes { UUIDBytes(high: high, low: low) }

    init(_ uuid: UUIDBytes) {
        self.init(high: uuid.high, low: uuid.low)
    }
}

extension Timestamp {
    init(_ value: TimestampMicroseconds) {
        self.init(microseconds: value.microsecondsSince1970)
    }
}

extension EventHash {
    var bytea: Bytes32 {
        let words = words
        return Bytes32(first: words.0, second: words.1, third: words.2, fourth: words.3)
    }

    init(_ value: Bytes32) {
        self.init(value.first, value.second, value.third, value.fourth)
    }
}

extension Row {
    func jobID(_ column: Int) throws(PQError) -> JobID { JobID(try decode(column, as: UUIDBytes.self)) }

    func timestamp(_ column: Int) throws(PQError) -> Timestamp {
        Timestamp(try decode(column, as: TimestampMicroseconds.self))
    }

    func timestampIfPresent(_ column: Int) throws(PQError) -> Timestamp? {
        try decodeIfPresent(column, as: TimestampMicroseconds.self).map { Timestamp($0) }
    }

    func eventHash(_ column: Int) throws(PQError) -> EventHash {
        EventHash(try decode(column, as: Bytes32.self))
    }

    func name(_ column: Int) throws(PQError) -> Name { Name(try decode(column, as: String.self)) }

    func nameIfPresent(_ column: Int) throws(PQError) -> Name? {
        try decodeIfPresent(column, as: String.self).map { Name($0) }
    }
}
