import FoundationEssentials
import Ledger
import NIOCore
import NIOHTTP1

/// A failure as a server describes it (RFC 9457), with the members that a superseded execution adds.
struct Problem: Decodable {
    struct Entry: Decodable {
        let pointer: String?
        let parameter: String?
        let detail: String
    }

    struct Last: Decodable {
        let execution: String?
        let attempt: Int32
    }

    let title: String?
    let detail: String?
    let errors: [Entry]?
    let execution: String?
    let attempt: Int32?
    let sequence: Int64?
    let last: Last?

    var superseded: SupersededExecution? {
        guard let attempt, let sequence, let last else { return nil }
        return SupersededExecution(
            execution: execution.map { Name($0) }, attempt: attempt, sequence: sequence,
            lastExecution: last.execution.map { Name($0) }, lastAttempt: last.attempt)
    }
}

extension LedgerClientError {
    /// What an answer means that is not a success; nil where it is one.
    init?(_ answer: HTTPAnswer, to request: LedgerRequest, at address: ServerAddress) {
        if (200..<300).contains(answer.status) || answer.status == 304 { return nil }
        guard let problem = Problem(answer) else {
            self.init(
                .unexpectedAnswer,
                "The ledger could not \(request.purpose): \(address) answered with status \(answer.status), and not as "
                    + "a ledger does.",
                remedy: "Is it a progress ledger that listens there? A proxy in between may have answered too.",
                status: answer.status, retryAfter: answer.retryAfter)
            return
        }
        let code = Self.code(for: answer.status, problem, isWrite: request.isWrite)
        let reason = [problem.title, problem.detail].compactMap { $0 }.joined(separator: ": ")
        self.init(
            code, "The ledger could not \(request.purpose): \(reason).", remedy: code.remedy, status: answer.status,
            problems: (problem.errors ?? []).map {
                RequestProblem(place: $0.pointer ?? $0.parameter ?? "", detail: $0.detail)
            },
            superseded: problem.superseded, retryAfter: answer.retryAfter)
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

    private static func code(for status: Int, _ problem: Problem, isWrite: Bool) -> Code {
        switch status {
        case 401, 403: .unauthorized
        case 404: .notFound
        case 409: problem.last == nil ? .conflict : .superseded
        case 413: .tooLarge
        case 400, 422: .invalid
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

extension Problem {
    /// The problem that an answer bears; nil where it bears none.
    fileprivate init?(_ answer: HTTPAnswer) {
        guard answer.headers.first(name: "content-type")?.hasPrefix("application/problem+json") == true,
            let problem = try? JSONDecoder().decode(Problem.self, from: Data(answer.body.readableBytesView))
        else { return nil }
        self = problem
    }
}

extension HTTPAnswer {
    /// What the server asks for in `Retry-After`; a date in it is not obeyed, because clocks differ.
    fileprivate var retryAfter: Duration? {
        headers.first(name: "retry-after").flatMap { UInt16($0) }.map { .seconds(Int64($0)) }
    }
}
