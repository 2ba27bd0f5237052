internal import Ledger
internal import PQ

extension StoreError {
    /// The meaning of a database failure for the caller of the ledger.
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

    /// Whether the user may not take the service's role, or the role does not exist.
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

/// Runs an operation of the database and turns its error into a ``StoreError``.
///
/// - Parameter attempt: Begins the message of the error, such as `reading a job`.
func attempting<R>(_ attempt: String, _ body: () async throws(PQError) -> R) async throws(StoreError) -> R {
    do throws(PQError) { return try await body() } catch { throw StoreError(error, while: attempt) }
}

extension PQError {
    /// Whether a statement violated a constraint, or a unique index.
    ///
    /// A distributed database appends the number of a shard to the names of tables and constraints.
    func violates(_ constraint: String) -> Bool {
        server?.constraint.map { $0 == constraint || Self.withoutShard($0) == constraint } ?? false
    }

    /// A name without the number of a shard at its end, such as `_102019`.
    static func withoutShard(_ name: String) -> String {
        let digits = name.reversed().prefix { $0.isASCII && $0.isNumber }
        let stem = name.dropLast(digits.count)
        return digits.isEmpty || stem.last != "_" || stem.count == 1 ? name : String(stem.dropLast())
    }

    /// Whether an event was refused because no partition exists for its month.
    ///
    /// That check is the only one of the table without a name.
    var isMissingPartition: Bool {
        sqlState == .checkViolation && server?.constraint == nil && server?.table.map(Self.withoutShard) == "event"
    }

    /// Whether the head of a retired job was to be moved.
    var isRetiredJob: Bool { sqlState == .checkViolation && violates(Guarantees.retiredHead) }

    /// Whether a statement exceeded the lock timeout or the statement timeout.
    var isBlocked: Bool { sqlState == .lockNotAvailable || sqlState == .queryCanceled }

    /// Whether the events may have been recorded.
    ///
    /// That is so if the outcome is unknown, or if the response was not one that a commit returns.
    var mayHaveCommitted: Bool { isOutcomeUnknown || code == .decoding }
}
