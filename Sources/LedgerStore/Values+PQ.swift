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

extension Row {
    func jobID(_ column: Int) throws(PQError) -> JobID { JobID(try decode(column, as: UUIDBytes.self)) }

    func timestamp(_ column: Int) throws(PQError) -> Timestamp {
        Timestamp(try decode(column, as: TimestampMicroseconds.self))
    }

    func timestampIfPresent(_ column: Int) throws(PQError) -> Timestamp? {
        try decodeIfPresent(column, as: TimestampMicroseconds.self).map { Timestamp($0) }
    }

    func eventHash(_ column: Int) throws(PQError) -> EventHash {
        let bytes = try decode(column, as: Bytes32.self)
        return EventHash(bytes.first, bytes.second, bytes.third, bytes.fourth)
    }

    func name(_ column: Int) throws(PQError) -> Name { Name(try decode(column, as: String.self)) }

    func nameIfPresent(_ column: Int) throws(PQError) -> Name? {
        try decodeIfPresent(column, as: String.self).map { Name($0) }
    }
}

extension StoreError {
    /// What a failure of the database means for whoever asked the ledger.
    init(_ error: PQError, while attempt: String) {
        let message = "\(attempt): \(error.message)"
        switch error.code {
        case .sessionRefused where Self.refusesRole(error):
            self.init(.schema, message, cause: error)
        case .connectionFailed, .connectionLost, .deadlineExceeded, .transactionRolledBack, .notReplicated,
            .sessionRefused:
            let code: StoreError.Code = error.isOutcomeUnknown ? .outcomeUnknown : .unavailable
            self.init(code, message, retryAfter: .seconds(1), cause: error)
        case .poolExhausted:
            self.init(.overloaded, message, retryAfter: .seconds(1), cause: error)
        case .poolClosed, .cancelled:
            self.init(.closed, message, cause: error)
        case .server:
            self.init(Self.code(of: error), message, retryAfter: error.isRetrySafe ? .seconds(1) : nil, cause: error)
        case .decoding, .misuse, .invalidConnectionString, .invalidParameter:
            self.init(.corrupt, message, cause: error)
        }
    }

    /// Whether the session's user may not take the role of the service, or there is no such role.
    private static func refusesRole(_ error: PQError) -> Bool {
        error.sqlState == .insufficientPrivilege || error.sqlState == .undefinedObject
            || error.sqlState == .invalidParameterValue
    }

    private static func code(of error: PQError) -> Code {
        if error.isRetrySafe { return .unavailable }
        switch error.sqlState {
        case .undefinedTable, .invalidSchemaName, .undefinedFunction, .insufficientPrivilege, .undefinedObject:
            return .schema
        default:
            return .corrupt
        }
    }
}

extension PQError {
    /// Whether an event was refused because its month has no partition: the only check of the table without a name.
    var isMissingPartition: Bool {
        sqlState == .checkViolation && server?.constraint == nil && server?.table == "event"
    }

    /// Whether a statement waited for a lock for too long, or was ended by the server's limit of time.
    var isBlocked: Bool { sqlState == .lockNotAvailable || sqlState == .queryCanceled }

    /// Whether the events may be there: the outcome is unknown, or the response was not what a commit returns.
    var mayHaveCommitted: Bool { isOutcomeUnknown || code == .decoding }
}
