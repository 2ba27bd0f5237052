public import Ledger

/// Why the ledger did not do what was asked. Switch on ``code``, never on the text.
public struct StoreError: Error, Sendable {
    /// What kind of failure it is.
    public enum Code: String, Hashable, Sendable {
        /// No job has this id (``StoreError/jobs`` lists them).
        case unknownJob
        /// Another job with other content has this key already (``StoreError/jobs`` holds its id).
        case keyTaken
        /// A queue is full. Nothing was taken; try again after ``StoreError/retryAfter``.
        case overloaded
        /// The database cannot be reached or refuses writes for now. Nothing was taken; try again.
        case unavailable
        /// The connection was lost while a commit was under way: it may or may not have been recorded.
        case outcomeUnknown
        /// The database's schema is not the one of this build.
        case schema
        /// What was read contradicts what the ledger guarantees. Nothing is invented: it refuses.
        case corrupt
        /// Events of the job are not there any more: its month was retired, or somebody removed them.
        case incomplete
        /// It contradicts what is going on, or what is there already: the message says what.
        case conflict
        /// What was to be imported is not a ledger as one was recorded: the message says where.
        case invalid
        /// The service is stopping. Nothing was taken.
        case closed
    }

    /// What kind of failure it is.
    public let code: Code
    /// What was attempted and why it failed, for people. Holds no secret.
    public let message: String
    /// The jobs that the failure is about.
    public let jobs: [JobID]
    /// How long to wait before trying again, where trying again can help.
    public let retryAfter: Duration?
    /// What failed underneath.
    public let cause: (any Error)?

    public init(
        _ code: Code, _ message: String, jobs: [JobID] = [], retryAfter: Duration? = nil, cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.jobs = jobs
        self.retryAfter = retryAfter
        self.cause = cause
    }
}

extension StoreError {
    /// There are no such jobs.
    static func unknown(_ jobs: [JobID]) -> StoreError {
        StoreError(.unknownJob, "there is no job \(jobs.map(\.description).joined(separator: ", "))", jobs: jobs)
    }

    /// The partition with the events of one of these jobs is not attached.
    static func detached(_ jobs: [JobID]) -> StoreError {
        StoreError(
            .incomplete,
            """
            the month in which job \(jobs.map(\.description).joined(separator: ", ")) was created has been retired: its \
            events are not in the ledger any more, and it takes no further ones
            """, jobs: jobs)
    }
}

extension StoreError: CustomStringConvertible, CustomDebugStringConvertible {
    public var description: String { message }

    public var debugDescription: String {
        cause.map { "\(code.rawValue): \(message) (\(String(reflecting: $0)))" } ?? "\(code.rawValue): \(message)"
    }
}
