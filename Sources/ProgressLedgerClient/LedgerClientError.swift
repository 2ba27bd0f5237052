public import Ledger
public import LedgerWire

/// Why the ledger did not answer as it was asked to. Switch on ``code``, never on the text.
public struct LedgerClientError: Error, Sendable {
    /// What kind of failure it is.
    public enum Code: String, Hashable, Sendable {
        /// The server's URL cannot be used.
        case invalidAddress
        /// No connection to the server: nothing was sent.
        case unreachable
        /// The server, or the client's own queue, is full, or the server cannot work for now: nothing was taken.
        case unavailable
        /// The connection was lost or the deadline passed before the answer: it may or may not have been done.
        case outcomeUnknown
        /// The deadline passed before anything was sent.
        case deadlineExceeded
        /// The snapshot has not reached the sequence that was asked for.
        case notFolded
        /// The request is invalid: ``LedgerClientError/problems`` names the fields.
        case invalid
        /// The server wants to know who asks, or does not let him.
        case unauthorized
        /// There is no such job.
        case notFound
        /// It contradicts what the ledger holds: the key belongs to a job with other content.
        case conflict
        /// The execution has been superseded by a newer one of its task: ``LedgerClientError/superseded``.
        case superseded
        /// The request, or the answer, is too large.
        case tooLarge
        /// The server failed.
        case serverFailed
        /// The answer is not one that a ledger of this version gives.
        case unexpectedAnswer
        /// The task was cancelled.
        case cancelled
    }

    /// What kind of failure it is.
    public let code: Code
    /// What was attempted and why it failed, for people.
    public let message: String
    /// What can be done about it, as a sentence; nil where that is plain.
    public let remedy: String?
    /// The HTTP status; nil where there was no answer.
    public let status: Int?
    /// What is wrong with the request, by field.
    public let problems: [RequestProblem]
    /// Where the execution stands that was superseded.
    public let superseded: SupersededExecution?
    /// How long the server asks to wait before trying again.
    public let retryAfter: Duration?

    init(
        _ code: Code, _ message: String, remedy: String? = nil, status: Int? = nil, problems: [RequestProblem] = [],
        superseded: SupersededExecution? = nil, retryAfter: Duration? = nil
    ) {
        self.code = code
        self.message = message
        self.remedy = remedy
        self.status = status
        self.problems = problems
        self.superseded = superseded
        self.retryAfter = retryAfter
    }

    /// Whether nothing of the request can have had an effect, and the cause may pass: try again.
    public var isRetrySafe: Bool {
        switch code {
        case .unreachable, .unavailable, .deadlineExceeded: true
        default: false
        }
    }
}

/// An execution that is not, or no longer, the last one of its task.
public struct SupersededExecution: Hashable, Sendable {
    /// Its name; nil where nobody named it.
    public let execution: Name?
    /// Its attempt.
    public let attempt: Int32
    /// The sequence of its first event.
    public let sequence: Int64
    /// The name of the execution that counts.
    public let lastExecution: Name?
    /// The attempt of the execution that counts.
    public let lastAttempt: Int32

    public init(
        execution: Name?, attempt: Int32, sequence: Int64, lastExecution: Name?, lastAttempt: Int32
    ) {
        self.execution = execution
        self.attempt = attempt
        self.sequence = sequence
        self.lastExecution = lastExecution
        self.lastAttempt = lastAttempt
    }
}

extension LedgerClientError: CustomStringConvertible {
    public var description: String {
        var lines = [message]
        for problem in problems {
            let place = problem.pointer ?? problem.parameter ?? ""
            lines.append(place.isEmpty ? "  \(problem.detail)" : "  \(place): \(problem.detail)")
        }
        if let remedy { lines.append(remedy) }
        return lines.joined(separator: "\n")
    }
}

extension LedgerClientError {
    static func invalidAddress(_ url: String?, _ detail: String) -> LedgerClientError {
        LedgerClientError(
            .invalidAddress, "The server's URL\(url.map { " \($0)" } ?? "") cannot be used: \(detail).",
            remedy: "Give it as http://HOST:PORT, for example http://127.0.0.1:8080.")
    }
}
