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

    func job(_ field: String) throws(ResponseError) -> JobID {
        guard let job = JobID(try text(field)) else { throw ResponseError(field: field) }
        return job
    }
}
