import Ledger
import LedgerWire
import NIOCore
import NIOHTTP1

extension LedgerClientError {
    /// Creates the error of an unsuccessful response; nil if the response is a success.
    init?(_ response: ReceivedResponse, to request: LedgerRequest, at address: ServerAddress) {
        if (200..<300).contains(response.status) || response.status == 304 { return nil }
        guard let value = response.problem, let problem = ProblemDetails(value) else {
            self.init(
                .unexpectedResponse,
                "Cannot \(request.purpose): the response of \(address) with status \(response.status) is not that of a "
                    + "ledger.",
                remedy: "Check that a progress ledger listens there. The response may be that of a proxy in between.",
                status: response.status, retryAfter: response.retryAfter)
            return
        }
        if response.status == 404, address.pathPrefix.hasSuffix("/v1") {
            self = .invalidAddress(address.description, "it ends with /v1, which the client adds itself; remove it")
            return
        }
        if response.status == 404, !request.namesResource {
            self.init(
                .unexpectedResponse,
                "Cannot \(request.purpose): there is nothing at \(address)\(request.path).",
                remedy: "Check the ledger's URL. It has no path, unless a proxy serves the ledger below one.",
                status: response.status)
            return
        }
        let superseded = SupersededExecution(value)
        let code =
            response.status == 409 && value.jobState == .canceled
            ? .jobCanceled
            : Self.code(for: response.status, problem.title, isSuperseded: superseded != nil, isWrite: request.isWrite)
        let reason = problem.detail.isEmpty ? problem.title : "\(problem.title): \(problem.detail)"
        // The detail may contain the remedy already.
        let hasRemedy = code == .unavailable && problem.detail.hasSuffix("Try again later.")
        self.init(
            code, "Cannot \(request.purpose). \(reason)", remedy: hasRemedy ? nil : code.remedy,
            status: response.status,
            fieldErrors: problem.errors, superseded: superseded, retryAfter: response.retryAfter, isProblem: true)
    }

    /// Creates the error of a request without a response.
    init(_ error: TransportError, of request: LedgerRequest, at address: ServerAddress) {
        let message = "Cannot \(request.purpose) at \(address): \(error.reason)."
        switch error {
        case .notConnected:
            self.init(
                .unreachable, message,
                remedy: "Nothing was sent. Check that the server is running and that this is its address.")
        case .tooManyWaiting: self.init(.unavailable, "\(message) Nothing was sent.")
        case .responseTooLarge: self.init(.tooLarge, message, remedy: "Request less.")
        case .cancelled: self.init(.cancelled, message)
        case .deadlineExceeded(false): self.init(.deadlineExceeded, "\(message) Nothing was sent.")
        case .deadlineExceeded(true), .lost: self.init(noResponse: message, request)
        }
    }

    /// The error of a request with an earlier try that may have been recorded.
    ///
    /// That the last try was not recorded says nothing about the request.
    var withUnknownOutcome: LedgerClientError {
        guard isRetrySafe else { return self }
        return LedgerClientError(
            .outcomeUnknown, message, remedy: Code.outcomeUnknown.remedy, status: status, retryAfter: retryAfter)
    }

    private init(noResponse message: String, _ request: LedgerRequest) {
        if request.isWrite {
            self.init(.outcomeUnknown, message, remedy: Code.outcomeUnknown.remedy)
        } else {
            self.init(.unavailable, message, remedy: Code.unavailable.remedy)
        }
    }

    private static func code(for status: Int, _ title: String, isSuperseded: Bool, isWrite: Bool) -> Code {
        switch status {
        case 401, 403: .unauthorized
        case 404: .notFound
        case 409: isSuperseded ? .superseded : .conflict
        case 413: .tooLarge
        case 400, 422: .invalid
        case 503 where isWrite && title == "Outcome unknown": .outcomeUnknown
        case 429, 503: .unavailable
        case 504 where !isWrite: .notFolded
        case 500...599: isWrite ? .outcomeUnknown : .serverFailed
        default: .unexpectedResponse
        }
    }
}

extension LedgerClientError.Code {
    fileprivate var remedy: String? {
        switch self {
        case .outcomeUnknown:
            """
            The request may or may not have been recorded. It is safe to send it again if all progress has report \
            numbers and all executions have names or attempts. Otherwise check the job's events first.
            """
        case .unavailable: "Nothing was recorded. Try again later."
        case .notFolded:
            """
            Check that a projection worker is running ('progress-ledger project', or 'serve' without --no-projection).
            """
        case .jobCanceled: "Stop the work. To reopen the job, start the execution even if the job is canceled."
        case .superseded: "Stop this execution: a newer one of the task counts instead."
        default: nil
        }
    }
}

extension SupersededExecution {
    /// Reads the execution from the problem of a refused start; nil if it is missing.
    fileprivate init?(_ problem: JSONValue) {
        guard let identity = try? ExecutionIdentity(problem), let last = problem["last"],
            let lastAttempt = last["attempt"]?.integer.flatMap({ Int32(exactly: $0) })
        else { return nil }
        self.init(
            execution: identity.execution, attempt: identity.attempt, sequence: identity.id.sequence,
            lastExecution: last.nameIfPresent("execution"), lastAttempt: lastAttempt)
    }
}

extension ReceivedResponse {
    /// The problem details (RFC 9457) in the body; nil if there are none.
    fileprivate var problem: JSONValue? {
        guard headers.first(name: "content-type")?.hasPrefix("application/problem+json") == true else { return nil }
        return try? JSONReader.read(Array(body.readableBytesView))
    }

    /// The seconds of the `Retry-After` header.
    ///
    /// A date in it is ignored, because clocks differ.
    fileprivate var retryAfter: Duration? {
        headers.first(name: "retry-after").flatMap { UInt16($0) }.map { .seconds(Int64($0)) }
    }
}
