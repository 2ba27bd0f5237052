import Ledger
import LedgerWire
import NIOCore
import NIOHTTP1

extension LedgerClientError {
    /// What an answer means that is not a success; nil where it is one.
    init?(_ answer: ReceivedResponse, to request: LedgerRequest, at address: ServerAddress) {
        if (200..<300).contains(answer.status) || answer.status == 304 { return nil }
        guard let value = answer.problem, let problem = ProblemDetails(value) else {
            self.init(
                .unexpectedAnswer,
                "The ledger could not \(request.purpose): \(address) answered with status \(answer.status), and not as "
                    + "a ledger does.",
                remedy: "Is it a progress ledger that listens there? A proxy in between may have answered too.",
                status: answer.status, retryAfter: answer.retryAfter)
            return
        }
        if answer.status == 404, address.pathPrefix.hasSuffix("/v1") {
            self = .invalidAddress(address.description, "it ends with /v1, which every route begins with by itself")
            return
        }
        if answer.status == 404, !request.namesResource {
            self.init(
                .unexpectedAnswer,
                "The ledger could not \(request.purpose): there is nothing at \(address)\(request.path).",
                remedy: "Is this the ledger's URL? Give it without a path unless a proxy serves the ledger below one.",
                status: answer.status)
            return
        }
        let superseded = SupersededExecution(value)
        let code = Self.code(
            for: answer.status, problem.title, isSuperseded: superseded != nil, isWrite: request.isWrite)
        let reason = problem.detail.isEmpty ? problem.title : "\(problem.title): \(problem.detail)"
        self.init(
            code, "The ledger could not \(request.purpose). \(reason)", remedy: code.remedy, status: answer.status,
            problems: problem.errors, superseded: superseded, retryAfter: answer.retryAfter)
    }

    /// What it means that there was no answer.
    init(_ error: TransportError, of request: LedgerRequest, at address: ServerAddress) {
        let attempt = "The ledger at \(address) could not be asked to \(request.purpose)"
        switch error {
        case .notConnected(let reason):
            self.init(
                .unreachable, "\(attempt): \(reason).",
                remedy: "Is the server running, and is this its address? Nothing was sent.")
        case .tooManyWaiting(let most):
            self.init(.unavailable, "\(attempt): \(most) requests wait for a connection already. Nothing was sent.")
        case .answerTooLarge(let bytesMax):
            self.init(.tooLarge, "\(attempt): its answer is larger than \(bytesMax) bytes.", remedy: "Ask for less.")
        case .cancelled(let mayHaveBeenSent):
            self.init(.cancelled, "\(attempt): it was cancelled\(mayHaveBeenSent ? " after it was sent" : "").")
        case .deadlineExceeded(false):
            self.init(.deadlineExceeded, "\(attempt): no connection in time. Nothing was sent.")
        case .deadlineExceeded(true):
            self.init(unanswered: "\(attempt): no answer in time.", request)
        case .lost(let reason):
            self.init(unanswered: "\(attempt): the connection was lost (\(reason)).", request)
        }
    }

    private init(unanswered message: String, _ request: LedgerRequest) {
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
        default: .unexpectedAnswer
        }
    }
}

extension LedgerClientError.Code {
    fileprivate var remedy: String? {
        switch self {
        case .outcomeUnknown:
            """
            It may or may not have been recorded. Sending it again is harmless where its progress bears report numbers \
            and its executions bear names or attempts; else look at the job's events first.
            """
        case .unavailable: "Nothing was taken: try again later."
        case .notFolded: "Does a projection worker run ('progress-ledger project', or 'serve' without --no-projection)?"
        case .superseded: "A newer execution of the task counts instead: stop this one."
        default: nil
        }
    }
}

extension SupersededExecution {
    /// The members that the refusal of a start adds to its problem; nil where they are not there.
    fileprivate init?(_ problem: JSONValue) {
        guard let identity = try? ExecutionIdentity(problem), let last = problem["last"],
            let lastAttempt = last["attempt"]?.integer.flatMap({ Int32(exactly: $0) })
        else { return nil }
        self.init(
            execution: identity.execution, attempt: identity.attempt, sequence: identity.sequence,
            lastExecution: last.nameIfPresent("execution"), lastAttempt: lastAttempt)
    }
}

extension ReceivedResponse {
    /// The problem that it bears; nil where it bears none.
    fileprivate var problem: JSONValue? {
        guard headers.first(name: "content-type")?.hasPrefix("application/problem+json") == true else { return nil }
        return try? JSONReader.read(Array(body.readableBytesView))
    }

    /// What the server asks for in `Retry-After`; a date in it is not obeyed, because clocks differ.
    fileprivate var retryAfter: Duration? {
        headers.first(name: "retry-after").flatMap { UInt16($0) }.map { .seconds(Int64($0)) }
    }
}
