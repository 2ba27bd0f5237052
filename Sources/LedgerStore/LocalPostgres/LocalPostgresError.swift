/// A failure to start or stop the private PostgreSQL, with the remedy.
public struct LocalPostgresError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Hashable, Sendable {
        /// PostgreSQL's programs are not on this machine.
        case programsMissing
        /// The data folder cannot be used by the user that PostgreSQL runs as.
        case folderUnusable
        /// The data folder belongs to another major version of PostgreSQL.
        case versionMismatch
        /// PostgreSQL refuses to run as root, and the user to run it as does not exist.
        case userMissing
        /// A program of PostgreSQL failed.
        case programFailed
        /// An operation did not end in time.
        case deadlineExceeded
    }

    public let code: Code
    /// The failure and the remedy, for people.
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
