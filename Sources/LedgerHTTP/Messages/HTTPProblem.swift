internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import Logging

/// An error that becomes an `application/problem+json` response.
struct HTTPProblem: Error, Sendable {
    var details: ProblemDetails
    var headers: HTTPFields = [:]
    /// Why the caller may not make the request, if that is the problem.
    var refusal: Refusal?
    /// The reporter name of the refused caller, if it is known.
    var caller: Name?
    /// Whether the request has a JSON Web Token with an unknown key.
    var isUnknownKey = false
    /// The paragraphs that a page shows instead of the detail; nil to show the detail.
    var paragraphs: HTML?
    /// Writes additional members, which only this problem has.
    var more: @Sendable (inout JSONWriter) -> Void = { _ in }

    /// The reasons for which a caller is refused.
    enum Refusal: String, CaseIterable, Sendable {
        /// The token is missing or not accepted.
        case token
        /// The token lacks the scope of the route.
        case scope
        /// The token is confined to other jobs.
        case confinement
        /// The `Host` is not a name of the server.
        case host
        /// The request is a write from a page of another site.
        case origin
    }

    /// Returns the problem with the reason for which the caller is refused.
    func refusing(_ refusal: Refusal, by caller: Access? = nil) -> HTTPProblem {
        var problem = self
        problem.caller = caller?.reporter
        problem.refusal = refusal
        return problem
    }

    init(
        _ status: HTTPResponse.Status, _ title: String, _ detail: String, errors: [FieldError] = [],
        headers: HTTPFields = [:]
    ) {
        details = ProblemDetails(title: title, status: status.code, detail: detail, errors: errors)
        self.headers = headers
    }

    /// The response to a request, with the id of the request.
    func response(to request: RequestIdentity) -> LedgerResponse {
        var details = details
        details.requestID = request.id
        details.traceID = request.trace?.traceID
        var writer = JSONWriter()
        details.write(to: &writer, more: more)
        writer.newLine()
        return LedgerResponse(
            status: HTTPResponse.Status(code: details.status), headers: headers(for: request),
            contentType: "application/problem+json", bytes: writer.bytes)
    }

    /// The headers of the response to a request.
    func headers(for request: RequestIdentity) -> HTTPFields {
        var headers = headers
        headers.append(HTTPField(name: .requestID, value: request.id))
        return headers
    }

    static func noSuchJob(_ id: String) -> HTTPProblem {
        HTTPProblem(.notFound, "No such job", "There is no job \(id) in this ledger.")
    }

    /// A request that took longer than its route allows.
    static func timedOut(isRead: Bool, _ limit: Duration) -> HTTPProblem {
        let retry = HTTPFields(retryAfter: .seconds(1))
        return isRead
            ? HTTPProblem(
                .gatewayTimeout, "Timed out",
                "The ledger did not respond within \(limit); nothing was changed. Try again later, or request less.",
                headers: retry)
            : HTTPProblem(
                .serviceUnavailable, "Outcome unknown",
                "The ledger did not respond within \(limit): the request may or may not have been recorded. It is safe to "
                    + "send it again if its progress has report numbers and its executions have names or attempts.",
                headers: retry)
    }

    static func noSuchIndicator(_ label: Name?, of job: JobID) -> HTTPProblem {
        HTTPProblem(
            .notFound, "No such indicator",
            "No event of job \(job) names \(label.map { "the label '\($0.text)'" } ?? "the default indicator").",
            errors: [FieldError(parameter: "label", detail: "is not a label of this job")])
    }

    static func invalid(parameter: String, _ detail: String) -> HTTPProblem {
        HTTPProblem(
            .unprocessableContent, "Invalid query", "The parameter \(parameter) \(detail).",
            errors: [FieldError(parameter: parameter, detail: detail)])
    }

    /// The problem of a request that was refused because of its content.
    init(_ error: RequestError) {
        switch error {
        case .unreadable(let detail):
            self.init(.badRequest, "Malformed request", "Nothing was recorded: \(detail).")
        case .invalid(let errors):
            let first =
                errors.first.map { "\($0.location.isEmpty ? "the body" : $0.location) \($0.detail)" } ?? ""
            let rest = errors.count == 1 ? "" : ", and \(errors.count - 1) more"
            self.init(.unprocessableContent, "Invalid", "Nothing was recorded: \(first)\(rest).", errors: errors)
        case .tooManyEvents:
            self.init(
                .contentTooLarge, "Too many events",
                "Nothing was recorded: the append exceeds \(Limits.eventsPerAppendMax) events. Split it into several "
                    + "requests.")
        }
    }

    /// The problem of a failure of the ledger; nil for an internal error of the server.
    ///
    /// - Parameter isRead: Whether the request changes nothing, so that its outcome cannot be unknown.
    init?(_ error: StoreError, isRead: Bool = false) {
        let retry = HTTPFields(retryAfter: error.retryAfter ?? .seconds(1))
        let database = error.shard.map { "database of shard \($0)" } ?? "ledger's database"
        switch error.code {
        case .unknownJob:
            self.init(.notFound, "No such job", "Nothing was recorded: \(error.message).")
        case .idempotencyKeyReused:
            self.init(.unprocessableContent, "Idempotency-Key reused", "Nothing was recorded: \(error.message).")
        case .keyTaken:
            let job = error.jobs.first?.description ?? ""
            self.init(
                .conflict, "Key taken",
                "Job \(job) already has this key, with a different name or different tags. Use another key.",
                errors: [FieldError(pointer: "/key", detail: "belongs to job \(job)")])
            more = { $0.field("job", job) }
        case .overloaded:
            self.init(
                .serviceUnavailable, "Overloaded",
                "The ledger cannot accept more requests now; nothing was recorded. Try again later.",
                headers: retry)
        case .outcomeUnknown where isRead:
            self.init(
                .serviceUnavailable, "Unavailable",
                "The connection to the \(database) was lost during a read. Try again later.", headers: retry)
        case .unavailable, .closed:
            self.init(
                .serviceUnavailable, "Unavailable",
                "The \(database) is not available; nothing was recorded. Try again later.",
                headers: retry)
        case .outcomeUnknown:
            self.init(
                .serviceUnavailable, "Outcome unknown",
                "The connection to the \(database) was lost during a commit: the request may or may not have been recorded. "
                    + "It is safe to send it again if its progress has report numbers and its executions have names or "
                    + "attempts.",
                headers: retry)
        case .schema:
            self.init(
                .serviceUnavailable, "Not ready", "The database schema does not match this server. See /readyz.",
                headers: retry)
        case .behind:
            self.init(
                .serviceUnavailable, "Projection behind",
                "Nothing was recorded: the projection has not reached the job's last event in time. Try again later.",
                headers: retry)
        case .jobCanceled:
            self.init(
                .conflict, "Job canceled",
                "Nothing was recorded, because the job is canceled. Stop the work, or start without "
                    + "unless_canceled (progress-ledger report start --reopen) to reopen the job.")
            more = { $0.field("job_state", JobState.canceled.rawValue) }
        case .conflict:
            self.init(.conflict, "Conflict", "Nothing was changed: \(error.message).")
        case .severalShards:
            self.init(
                .unprocessableContent, "Several shards",
                "Nothing was recorded: \(error.message).")
        case .invalid:
            self.init(.unprocessableContent, "Invalid export", "Nothing was recorded: \(error.message).")
        case .incomplete:
            self.init(
                .gone, "History incomplete",
                "Events of the job are missing, and no retirement is recorded. Verify the job.")
        case .retired:
            self.init(.gone, "Job retired", "Nothing was recorded or read: \(error.message).")
        case .corrupt:
            return nil
        }
    }
}

extension HTTPProblem {
    /// The problem of a request that has failed with an error.
    ///
    /// It also logs the error, unless the request itself is at fault.
    ///
    /// - Parameter isRead: Whether the request changes nothing.
    static func problem(
        _ error: any Error, isRead: Bool, of request: RequestIdentity, _ logger: Logger
    ) -> HTTPProblem {
        switch error {
        case let problem as HTTPProblem: return problem
        case let error as RequestError: return HTTPProblem(error)
        case let error as StoreError:
            guard let problem = HTTPProblem(error, isRead: isRead) else { break }
            request.logger(logger).warning(
                "the ledger refused a request", metadata: ["error": "\(String(reflecting: error))"])
            return problem
        default: break
        }
        // No request should be able to cause this error. Its details are for the log only.
        request.logger(logger).error(
            "a request failed unexpectedly", metadata: ["error": "\(String(reflecting: error))"])
        return HTTPProblem(
            .internalServerError, "Internal error",
            "The server failed unexpectedly. Its log contains the details under this request_id.")
    }
}

extension HTTPFields {
    /// A `Retry-After` header, in whole seconds.
    init(retryAfter duration: Duration) {
        self = [.retryAfter: String(Swift.max(1, duration.components.seconds))]
    }
}
