public import Ledger

/// A failed request to the ledger.
///
/// Switch on ``code``, never on the text.
public struct LedgerClientError: Error, Sendable {
    /// The kinds of failures.
    public enum Code: String, Hashable, Sendable {
        /// The server's URL cannot be used.
        case invalidAddress
        /// There was no connection to the server; nothing was sent.
        case unreachable
        /// The server or the client's own queue is full; nothing was recorded.
        ///
        /// The server also responds like this if it cannot work for now.
        case unavailable
        /// The response was lost; the request may or may not have been carried out.
        ///
        /// The connection was lost, or the deadline passed before the response.
        case outcomeUnknown
        /// The deadline passed before anything was sent.
        case deadlineExceeded
        /// The snapshot has not reached the requested sequence.
        case notFolded
        /// The request is invalid: ``LedgerClientError/fieldErrors`` names the fields.
        case invalid
        /// The token is missing or invalid, or does not permit the request.
        case unauthorized
        /// The job does not exist.
        case notFound
        /// The key belongs to a job with other content.
        case conflict
        /// A newer execution of the task superseded this one.
        ///
        /// ``LedgerClientError/superseded`` identifies both.
        case superseded
        /// The job is canceled, and the request was for a job that is not.
        ///
        /// Nothing was recorded.
        case jobCanceled
        /// The request or the response is too large.
        case tooLarge
        /// The server failed.
        case serverFailed
        /// The response is not that of a ledger of this version.
        case unexpectedResponse
        /// The task was cancelled.
        case cancelled
    }

    /// The kind of failure.
    public let code: Code
    /// The attempted operation and the reason of the failure, for people.
    public let message: String
    /// A sentence that suggests a remedy; nil if the remedy is obvious.
    public let remedy: String?
    /// The HTTP status; nil if there was no response.
    public let status: Int?
    /// The faults of the request, by field.
    public let fieldErrors: [FieldError]
    /// The superseded execution and the one that counts.
    public let superseded: SupersededExecution?
    /// The pause that the server requests before the next try.
    public let retryAfter: Duration?
    /// Whether the ledger itself refused the request, and not a proxy.
    let isProblem: Bool

    init(
        _ code: Code, _ message: String, remedy: String? = nil, status: Int? = nil, fieldErrors: [FieldError] = [],
        superseded: SupersededExecution? = nil, retryAfter: Duration? = nil, isProblem: Bool = false
    ) {
        self.code = code
        self.message = message
        self.remedy = remedy
        self.status = status
        self.fieldErrors = fieldErrors
        self.superseded = superseded
        self.retryAfter = retryAfter
        self.isProblem = isProblem
    }

    /// Whether the request had no effect and a later try may succeed.
    public var isRetrySafe: Bool {
        switch code {
        case .unreachable, .unavailable, .deadlineExceeded: true
        default: false
        }
    }
}

/// An execution that is not, or no longer, the last one of its task.
public struct SupersededExecution: Hashable, Sendable {
    /// The execution's name; nil if it has none.
    public let execution: Name?
    /// The execution's attempt.
    public let attempt: Int32
    /// The sequence of its first event.
    public let sequence: EventSequence
    /// The name of the execution that counts.
    public let lastExecution: Name?
    /// The attempt of the execution that counts.
    public let lastAttempt: Int32

    public init(
        execution: Name?, attempt: Int32, sequence: EventSequence, lastExecution: Name?, lastAttempt: Int32
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
        for error in fieldErrors {
            lines.append(error.location.isEmpty ? "  \(error.detail)" : "  \(error.location): \(error.detail)")
        }
        if let remedy { lines.append(remedy) }
        return lines.joined(separator: "\n")
    }
}

extension LedgerClientError {
    static func invalidAddress(_ url: String?, _ detail: String) -> LedgerClientError {
        LedgerClientError(
            .invalidAddress, "Invalid server URL\(url.map { " \($0)" } ?? ""): \(detail).",
            remedy: "Expected http://HOST:PORT, for example http://127.0.0.1:8080.")
    }
}
