import LedgerStore
import PQ
import ProgressLedgerClient

/// Why a command did not do what it was asked to: what its user is told, and how the process ends.
struct CommandFailure: Error, Hashable, CustomStringConvertible {
    let status: ExitStatus
    /// What went wrong and what to do about it.
    let description: String

    init(_ status: ExitStatus, _ description: String) {
        self.status = status
        self.description = description
    }

    /// What any failure means on the command line.
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

    /// The database's error in a failure, or behind it; nil if it is none of the database's.
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
    /// Whether the database does not give a session what the ledger needs, such as its role, and will not by itself.
    var isRefusedSession: Bool { code == .sessionRefused && sqlState != .readOnlyTransaction }
}

extension ExitStatus {
    init(_ code: LedgerClientError.Code) {
        self =
            switch code {
            case .invalidAddress: .usage
            case .invalid, .conflict, .tooLarge: .refused
            case .notFound: .notFound
            case .superseded: .superseded
            case .unreachable, .unavailable, .deadlineExceeded: .unavailable
            case .outcomeUnknown: .outcomeUnknown
            case .notFolded, .unauthorized, .serverFailed, .unexpectedAnswer, .cancelled: .failed
            }
    }
}
