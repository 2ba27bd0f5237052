import LedgerStore
import PQ
import ProgressLedgerClient

/// The failure of a command: the message for its user and the exit code.
struct CommandFailure: Error, Hashable, CustomStringConvertible {
    let status: ExitStatus
    /// The cause and the remedy.
    let description: String

    init(_ status: ExitStatus, _ description: String) {
        self.status = status
        self.description = description
    }

    /// Converts any error into a failure.
    init(any error: any Error) {
        switch error {
        case let failure as CommandFailure:
            self = failure
        case let error as LedgerClientError:
            self.init(ExitStatus(error.code), error.description)
        case let error as PQError where error.code == .invalidConnectionString:
            self.init(.usage, error.description)
        case let error as StoreError where error.code == .schema:
            self.init(.schema, error.description)
        case let error as StoreError where error.code == .unavailable || error.code == .overloaded:
            self.init(.unavailable, error.description)
        case let error as PQError where error.isRefusedSession:
            self.init(.schema, error.description)
        case let error as PQError where error.isRetrySafe:
            self.init(.unavailable, error.description)
        default:
            self.init(.failed, String(describing: error))
        }
    }

    /// The database error that caused the given error; nil if none did.
    static func databaseError(behind error: any Error) -> PQError? {
        switch error {
        case let error as PQError: error
        case let error as StoreError: error.cause.flatMap { databaseError(behind: $0) }
        case let error as MigrationError: error.cause
        default: nil
        }
    }
}

extension PQError {
    /// Whether the database refuses the session for good, for example for its role.
    var isRefusedSession: Bool { code == .sessionRefused && sqlState != .readOnlyTransaction }
}

extension ExitStatus {
    init(_ code: LedgerClientError.Code) {
        self =
            switch code {
            case .invalidAddress: .usage
            case .invalid, .conflict, .tooLarge, .unauthorized: .refused
            case .notFound: .notFound
            case .superseded: .superseded
            case .jobCanceled: .jobCanceled
            case .unreachable, .unavailable, .deadlineExceeded: .unavailable
            case .outcomeUnknown: .outcomeUnknown
            case .notFolded, .serverFailed, .unexpectedResponse, .cancelled: .failed
            }
    }
}
