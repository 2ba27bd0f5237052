internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import Logging

/// An error that is answered as `application/problem+json`.
struct HTTPProblem: Error, Sendable {
    var problem: ProblemDetails
    var headers: HTTPFields = [:]
    /// Writes members beyond those of every problem.
    var more: @Sendable (inout JSONWriter) -> Void = { _ in }

    init(
        _ status: HTTPResponse.Status, _ title: String, _ detail: String, errors: [RequestProblem] = [],
        headers: HTTPFields = [:]
    ) {
        problem = ProblemDetails(title: title, status: status.code, detail: detail, errors: errors)
        self.headers = headers
    }

    var answer: LedgerResponse {
        var writer = JSONWriter()
        problem.write(to: &writer, more: more)
        writer.newLine()
        return LedgerResponse(
            status: HTTPResponse.Status(code: problem.status), headers: headers,
            contentType: "application/problem+json", bytes: writer.bytes)
    }

    static func noSuchJob(_ id: String) -> HTTPProblem {
        HTTPProblem(.notFound, "No such job", "There is no job \(id) in this ledger.")
    }

    /// A request that took longer than its route may take.
    static func late(isRead: Bool, _ limit: Duration) -> HTTPProblem {
        let retry = HTTPFields(retryAfter: .seconds(1))
        return isRead
            ? HTTPProblem(
                .gatewayTimeout, "Not in time",
                "The ledger did not answer within \(limit); nothing was changed. Try again later, or ask for less.",
                headers: retry)
            : HTTPProblem(
                .serviceUnavailable, "Outcome unknown",
                "The ledger did not answer within \(limit): what was sent may or may not have been recorded. It is safe to "
                    + "send it again where its progress has report numbers and its executions have names or attempts.",
                headers: retry)
    }

    static func noSuchIndicator(_ label: Name?, of job: JobID) -> HTTPProblem {
        HTTPProblem(
            .notFound, "No such indicator",
            "No event of job \(job) names \(label.map { "the label '\($0.text)'" } ?? "the default indicator").",
            errors: [RequestProblem(parameter: "label", detail: "is not a label of this job")])
    }

    static func invalid(parameter: String, _ detail: String) -> HTTPProblem {
        HTTPProblem(
            .unprocessableContent, "Invalid query", "The parameter \(parameter) \(detail).",
            errors: [RequestProblem(parameter: parameter, detail: detail)])
    }

    /// What a request that cannot be taken is answered with.
    init(_ error: RequestError) {
        switch error {
        case .unreadable(let detail):
            self.init(.badRequest, "Unreadable", "Nothing was taken: \(detail).")
        case .invalid(let problems):
            let first =
                problems.first.map { problem in
                    let place = problem.pointer ?? problem.parameter ?? ""
                    return "\(place.isEmpty ? "the body" : place) \(problem.detail)"
                } ?? ""
            self.init(
                .unprocessableContent, "Invalid",
                problems.count == 1
                    ? "Nothing was taken: \(first)." : "Nothing was taken: \(first), and \(problems.count - 1) more.",
                errors: problems)
        case .tooManyEvents:
            self.init(
                .contentTooLarge, "Too many events",
                "Nothing was taken: one append has at most \(Limits.eventsPerAppendMax) events. Send several.")
        }
    }

    /// What a failure of the ledger is answered with; nil where it is nobody's but ours.
    ///
    /// - Parameter isRead: Whether the request changes nothing, so that nothing about it can be unknown.
    init?(_ error: StoreError, isRead: Bool = false) {
        let retry = HTTPFields(retryAfter: error.retryAfter ?? .seconds(1))
        switch error.code {
        case .unknownJob:
            self.init(.notFound, "No such job", "Nothing was taken: \(error.message).")
        case .keyTaken:
            let job = error.jobs.first?.description ?? ""
            self.init(
                .conflict, "Key taken", "Job \(job) has this key already, with another name or other tags.",
                errors: [RequestProblem(pointer: "/key", detail: "belongs to job \(job)")])
            more = { $0.field("job", job) }
        case .overloaded:
            self.init(
                .serviceUnavailable, "Overloaded",
                "The ledger cannot take more now; nothing was taken. Try again later.",
                headers: retry)
        case .outcomeUnknown where isRead:
            self.init(
                .serviceUnavailable, "Unavailable",
                "The ledger's database was lost while it was read. Try again later.", headers: retry)
        case .unavailable, .closed:
            self.init(
                .serviceUnavailable, "Unavailable",
                "The ledger's database does not take requests for now; nothing was taken. Try again later.",
                headers: retry)
        case .outcomeUnknown:
            self.init(
                .serviceUnavailable, "Outcome unknown",
                "The database was lost while it committed: what was sent may or may not have been recorded. It is safe to "
                    + "send it again where its progress has report numbers and its executions have names or attempts.",
                headers: retry)
        case .schema:
            self.init(
                .serviceUnavailable, "Not ready", "The database's schema is not the one of this server; see /readyz.",
                headers: retry)
        case .conflict:
            self.init(.conflict, "Not now", "Nothing was changed: \(error.message).")
        case .invalid:
            self.init(.unprocessableContent, "Not as it was recorded", "Nothing was taken: \(error.message).")
        case .incomplete:
            self.init(
                .gone, "History incomplete",
                "Events of the job are not there any more: its month was retired, or they were removed; see its verify."
            )
        case .corrupt:
            return nil
        }
    }
}

extension HTTPProblem {
    /// What a failure of the ledger is answered with; the log says more.
    static func answer(_ error: StoreError, isRead: Bool = false, _ logger: Logger) -> LedgerResponse {
        guard let problem = HTTPProblem(error, isRead: isRead) else { return unexpected(error, logger) }
        logger.warning("the ledger refused a request", metadata: ["error": "\(String(reflecting: error))"])
        return problem.answer
    }

    /// Something that no request should be able to bring about: told without details, which are in the log.
    static func unexpected(_ error: any Error, _ logger: Logger) -> LedgerResponse {
        let instance = "urn:progress-ledger:error:\(String(UInt64.random(in: 0 ... .max), radix: 16))"
        logger.error(
            "a request failed unexpectedly",
            metadata: ["error": "\(String(reflecting: error))", "error.instance": "\(instance)"])
        var problem = HTTPProblem(
            .internalServerError, "Internal error",
            "Something went wrong in the server; its log says what, under this instance.")
        problem.problem.instance = instance
        return problem.answer
    }
}

extension HTTPFields {
    /// Says when to try again, in whole seconds.
    init(retryAfter duration: Duration) {
        self = [.retryAfter: String(Swift.max(1, duration.components.seconds))]
    }
}
