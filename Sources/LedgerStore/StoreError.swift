public import Ledger

/// An operation of the ledger that failed.
///
/// Switch on ``code``, never on the text.
public struct StoreError: Error, Sendable {
    /// The kind of failure.
    public enum Code: String, Hashable, Sendable {
        /// The job does not exist. ``StoreError/jobs`` lists the unknown ids.
        case unknownJob
        /// The key belongs to another job with other content.
        ///
        /// ``StoreError/jobs`` holds the id of that job.
        case keyTaken
        /// The idempotency key was sent before with other content.
        case idempotencyKeyReused
        /// A queue is full. Nothing was recorded; retry after ``StoreError/retryAfter``.
        case overloaded
        /// The database is unreachable or refuses writes. Nothing was recorded; retry.
        case unavailable
        /// The connection was lost during a commit: the events may or may not be recorded.
        case outcomeUnknown
        /// The database's schema is not the one that this build needs.
        case schema
        /// Stored data violates an invariant. The operation fails rather than guess.
        case corrupt
        /// Events of the job are missing, and no retirement is recorded.
        case incomplete
        /// The job is canceled, and the append was to be recorded only if it is not.
        case jobCanceled
        /// The job was retired: its events are in an export, and no more can be appended.
        case retired
        /// The projection has not reached the events that the request depends on.
        ///
        /// Nothing was recorded; retry.
        case behind
        /// The request concerns jobs of several shards, which one request cannot.
        case severalShards
        /// The request contradicts the current state. The message explains how.
        case conflict
        /// The data to import is not an unaltered ledger.
        ///
        /// The message contains the position.
        case invalid
        /// The service is stopping. Nothing was recorded.
        case closed
    }

    /// The kind of failure.
    public let code: Code
    /// The attempted operation and the reason of its failure, for people.
    ///
    /// Contains no secret.
    public let message: String
    /// The jobs that the failure is about.
    public let jobs: [JobID]
    /// The time to wait before a retry, if a retry can help.
    public let retryAfter: Duration?
    /// The shard that has failed; nil in a ledger with one database.
    public let shard: Int?
    /// The underlying error.
    public let cause: (any Error)?

    public init(
        _ code: Code, _ message: String, jobs: [JobID] = [], retryAfter: Duration? = nil, shard: Int? = nil,
        cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.jobs = jobs
        self.retryAfter = retryAfter
        self.shard = shard
        self.cause = cause
    }
}

extension StoreError {
    /// The error for ids without a job.
    static func unknown(_ jobs: [JobID]) -> StoreError {
        StoreError(.unknownJob, "there is no job \(jobs.map(\.description).joined(separator: ", "))", jobs: jobs)
    }

    /// The error for jobs with events in a partition that is not attached.
    static func detached(_ jobs: [JobID]) -> StoreError {
        StoreError(
            .incomplete,
            """
            the partition of the month in which job \(jobs.map(\.description).joined(separator: ", ")) was created is not \
            attached to ledger.event, and no retirement is recorded: attach it again
            """, jobs: jobs)
    }

    /// The error for a conditional append to a canceled job.
    package static func canceled(_ job: JobID) -> StoreError {
        StoreError(.jobCanceled, "job \(job) is canceled; nothing was recorded", jobs: [job])
    }

    /// The error for jobs that were retired.
    static func retired(_ jobs: [JobID]) -> StoreError {
        StoreError(
            .retired,
            "job \(jobs.map(\.description).joined(separator: ", ")) was retired: its events were exported and removed",
            jobs: jobs)
    }
}

extension StoreError: CustomStringConvertible, CustomDebugStringConvertible {
    public var description: String { message }

    public var debugDescription: String {
        cause.map { "\(code.rawValue): \(message) (\(String(reflecting: $0)))" } ?? "\(code.rawValue): \(message)"
    }
}
