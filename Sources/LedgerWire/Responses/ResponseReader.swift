internal import Ledger

/// Reads the fields of a response.
struct ResponseReader {
    let value: JSONValue

    init(_ value: JSONValue) {
        self.value = value
    }

    func text(_ field: String) throws(ResponseError) -> String {
        guard let text = value[field]?.text else { throw ResponseError(field: field) }
        return text
    }

    func big(_ field: String) throws(ResponseError) -> Int128 {
        guard let integer = value[field]?.integer else { throw ResponseError(field: field) }
        return integer
    }

    func integer(_ field: String) throws(ResponseError) -> Int64 {
        guard let integer = Int64(exactly: try big(field)) else { throw ResponseError(field: field) }
        return integer
    }

    func sequence(_ field: String) throws(ResponseError) -> EventSequence { EventSequence(try integer(field)) }

    func sequenceIfPresent(_ field: String) throws(ResponseError) -> EventSequence? {
        try integerIfPresent(field).map { EventSequence($0) }
    }

    func integerIfPresent(_ field: String) throws(ResponseError) -> Int64? {
        switch value[field] {
        case nil, .null: nil
        default: try integer(field)
        }
    }

    func timestamp(_ field: String) throws(ResponseError) -> Timestamp {
        guard let moment = RFC3339.timestamp(try text(field)) else { throw ResponseError(field: field) }
        return moment
    }

    func timestampIfPresent(_ field: String) throws(ResponseError) -> Timestamp? {
        switch value[field] {
        case nil, .null: nil
        default: try timestamp(field)
        }
    }

    func hash(_ field: String) throws(ResponseError) -> EventHash {
        guard let hash = EventHash(try text(field)) else { throw ResponseError(field: field) }
        return hash
    }

    func jobIfPresent(_ field: String) throws(ResponseError) -> JobID? {
        switch value[field] {
        case nil, .null: nil
        default: try job(field)
        }
    }

    /// The texts in an object by their names; empty without the object.
    func tags(_ field: String) -> [Name: Name] {
        guard case .object(let fields) = value[field] else { return [:] }
        var tags: [Name: Name] = [:]
        for field in fields { if let text = field.value.text { tags[Name(field.name)] = Name(text) } }
        return tags
    }

    func job(_ field: String) throws(ResponseError) -> JobID {
        guard let job = JobID(try text(field)) else { throw ResponseError(field: field) }
        return job
    }
}
