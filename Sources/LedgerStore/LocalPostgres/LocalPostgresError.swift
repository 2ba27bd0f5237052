/// Why the private PostgreSQL could not be started or stopped, and what to do.
public struct LocalPostgresError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Hashable, Sendable {
        /// PostgreSQL's programs are not on this machine.
        case programsMissing
        /// The data folder cannot be used by the user that PostgreSQL runs as.
        case folderUnusable
        /// The data folder belongs to another major version of PostgreSQL.
        case versionMismatch
        /// PostgreSQL refuses to run as root and there is no other user to run it as.
        case userMissing
        /// A program of PostgreSQL failed.
        case programFailed
        /// Something did not happen in time.
        case deadlineExceeded
    }

    public let code: Code
    /// What went wrong and what to do, for people.
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
