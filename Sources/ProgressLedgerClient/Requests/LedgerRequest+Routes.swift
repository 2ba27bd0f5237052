package import Ledger
import LedgerWire
import NIOHTTP1

// The requests for every route of this version. Sending is separate, so that the command line can print the response
// of a request that other callers decode.

extension LedgerRequest {
    package static func createJob(_ description: JobDescription) -> LedgerRequest {
        var json = JSONWriter()
        description.writeRequest(to: &json)
        var request = LedgerRequest.post("create the job", "/v1/jobs", json: json.bytes, isSafeToRepeat: true)
        if description.key == nil {
            // Without it, each repetition would be a new job.
            request.headers.append((name: LedgerRequest.idempotencyKey, value: RandomName.make().text))
        }
        return request
    }

    package static func job(_ job: JobID) -> LedgerRequest {
        .get("read job \(job)", "/v1/jobs/\(job)")
    }

    package static func answer(about job: JobID) -> LedgerRequest {
        .get("answer about job \(job)", "/v1/jobs/\(job)/answer")
    }

    package static func jobs(_ search: JobSearch) -> LedgerRequest {
        var query = Query()
        query.add("state", search.state?.rawValue)
        query.add("name", search.name?.text)
        query.add("search", search.search?.text)
        query.add("key", search.key?.text)
        for (name, value) in search.tags.sorted(by: { $0.key < $1.key }) { query.add("tag.\(name)", value.text) }
        query.add("limit", search.limit.map(String.init))
        query.add("cursor", search.cursor)
        return .get("list jobs", "/v1/jobs", query: query)
    }

    package static func trackRecord(of name: Name) -> LedgerRequest {
        var query = Query()
        query.add("name", name.text)
        return .get("read the track record", "/v1/estimates", query: query)
    }

    package static func append(
        _ drafts: [EventDraft], to job: JobID, awaitsVerdicts: Bool, unlessCanceled: Bool = false
    ) -> LedgerRequest {
        var query = Query()
        query.add("wait", awaitsVerdicts ? "folded" : nil)
        query.add("unless_canceled", unlessCanceled ? "true" : nil)
        var json = JSONWriter()
        if drafts.count == 1 {
            drafts[0].writeRequest(to: &json)
        } else {
            json.array(drafts) { json, draft in draft.writeRequest(to: &json) }
        }
        var request = LedgerRequest.post(
            "append to job \(job)", "/v1/jobs/\(job)/events", query: query, json: json.bytes,
            isSafeToRepeat: drafts.areSafeToRepeat)
        if awaitsVerdicts || unlessCanceled { request.wait = .seconds(5) }
        return request
    }

    package static func append(_ entries: [(job: JobID, draft: EventDraft)]) -> LedgerRequest {
        let drafts = Dictionary(grouping: entries, by: \.job).mapValues { $0.map(\.draft) }
        var json = JSONWriter()
        json.array(entries) { json, entry in entry.draft.writeRequest(to: &json, job: entry.job) }
        return .post(
            "append to \(drafts.count) job(s)", "/v1/events", json: json.bytes,
            isSafeToRepeat: drafts.values.allSatisfy(\.areSafeToRepeat))
    }

    package static func startExecution(
        _ reference: ExecutionReference, in job: JobID, link: Name? = nil, unlessCanceled: Bool = true
    ) -> LedgerRequest {
        var json = JSONWriter()
        reference.writeRequest(to: &json, link: link, unlessCanceled: unlessCanceled)
        var request = LedgerRequest.post(
            "start an execution in job \(job)", "/v1/jobs/\(job)/executions", json: json.bytes,
            // Without a name, each request is a new execution.
            isSafeToRepeat: reference.execution != nil)
        request.wait = .seconds(5)
        return request
    }

    /// Reads the progress of a job.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - minSequence: The sequence that the snapshot must have reached; the server waits for it 5 s at most.
    ///   - policy: Which executions count.
    ///   - atSequence: Reads the snapshot as of this event.
    ///   - time: Reads the snapshot as of the last event recorded at or before this time (RFC 3339).
    ///   - entityTag: The tag of the snapshot that the caller has. The server responds with 304 if it is unchanged.
    ///   - wait: How long the server waits for a change before it responds with 304.
    package static func progress(
        _ job: JobID, minSequence: EventSequence? = nil, policy: CountingPolicy? = nil,
        atSequence: EventSequence? = nil,
        at time: String? = nil, unchangedSince entityTag: String? = nil, wait: Duration = .zero
    ) -> LedgerRequest {
        var query = Query()
        query.add("min_sequence", minSequence.map(String.init))
        query.add("policy", policy?.rawValue)
        query.add("at_sequence", atSequence.map(String.init))
        query.add("at", time)
        var request = LedgerRequest.get("read the progress of job \(job)", "/v1/jobs/\(job)/progress", query: query)
        if let entityTag { request.headers.append(("if-none-match", entityTag)) }
        if wait > .zero { request.headers.append(("prefer", "wait=\(wait.components.seconds)")) }
        request.wait = wait + (minSequence == nil ? .zero : .seconds(5))
        return request
    }

    /// Watches a job.
    ///
    /// - Parameter sequence: The sequence of the snapshot that the caller has.
    static func watch(_ job: JobID, after sequence: EventSequence?) -> LedgerRequest {
        var request = LedgerRequest.get("watch job \(job)", "/v1/jobs/\(job)/watch")
        request.headers = [("accept", "text/event-stream, application/problem+json")]
        if let sequence { request.headers.append(("last-event-id", sequence.description)) }
        // A watcher reports a lost connection at once, and decides itself when to try again.
        request.isTriedOnce = true
        return request
    }

    package static func events(_ job: JobID, _ search: EventSearch, streamed: Bool = false) -> LedgerRequest {
        var query = Query()
        query.add("after", search.after.map(String.init))
        query.add("limit", search.limit.map(String.init))
        query.add("order", search.isDescending ? "desc" : nil)
        query.add("task", search.task?.text)
        query.add("execution", search.execution?.text)
        query.add("label", search.indicator.map { $0.label?.text ?? "" })
        query.add("type", search.type?.name)
        query.add("verdict", search.verdict?.rawValue)
        var request = LedgerRequest.get("read the events of job \(job)", "/v1/jobs/\(job)/events", query: query)
        if streamed { request.headers.append(("accept", "application/x-ndjson")) }
        return request
    }

    package static func tasks(_ job: JobID, _ search: TaskSearch) -> LedgerRequest {
        var query = Query()
        query.add("state", search.state?.rawValue)
        if search.onlySilent { query.add("silent", "true") }
        query.add("limit", search.limit.map(String.init))
        query.add("cursor", search.cursor)
        return .get("read the tasks of job \(job)", "/v1/jobs/\(job)/tasks", query: query)
    }

    package static func explain(
        _ job: JobID, label: Name?, policy: CountingPolicy? = nil, atSequence: EventSequence? = nil,
        at time: String? = nil,
        limit: Int?, cursor: String?
    ) -> LedgerRequest {
        var query = Query()
        query.add("label", label?.text)
        query.add("policy", policy?.rawValue)
        query.add("at_sequence", atSequence.map(String.init))
        query.add("at", time)
        query.add("limit", limit.map(String.init))
        query.add("cursor", cursor)
        return .get("explain an indicator of job \(job)", "/v1/jobs/\(job)/explain", query: query)
    }

    /// Compares a job at two moments.
    ///
    /// - Parameters:
    ///   - from: A sequence or a time (RFC 3339); nil is the beginning.
    ///   - to: A sequence or a time (RFC 3339); nil is now.
    package static func difference(
        _ job: JobID, from: String?, to: String?, policy: CountingPolicy?, limit: Int?
    ) -> LedgerRequest {
        var query = Query()
        query.add("from", from)
        query.add("to", to)
        query.add("policy", policy?.rawValue)
        query.add("limit", limit.map(String.init))
        return .get("compare two moments of job \(job)", "/v1/jobs/\(job)/diff", query: query)
    }

    package static func history(_ job: JobID, label: Name?, points: Int?) -> LedgerRequest {
        var query = Query()
        query.add("label", label?.text)
        query.add("points", points.map(String.init))
        return .get("read the history of an indicator of job \(job)", "/v1/jobs/\(job)/history", query: query)
    }

    // MARK: The server

    package static var limits: LedgerRequest { .get("read the limits", "/v1/limits") }

    static var health: LedgerRequest { once(.get("check the health", "/healthz")) }

    static var readiness: LedgerRequest { once(.get("check the readiness", "/readyz")) }

    // MARK: Tokens

    package static func createToken(_ request: AccessTokenRequest) -> LedgerRequest {
        var json = JSONWriter()
        request.write(to: &json)
        return .post("create the token", "/v1/tokens", json: json.bytes, isSafeToRepeat: false)
    }

    package static var tokens: LedgerRequest { .get("list the tokens", "/v1/tokens") }

    package static func revokeToken(_ id: AccessToken.ID) -> LedgerRequest {
        LedgerRequest(
            purpose: "revoke the token \(id)", method: .DELETE, path: "/v1/tokens/\(id)", isSafeToRepeat: true)
    }

    private static func once(_ request: LedgerRequest) -> LedgerRequest {
        var request = request
        request.isTriedOnce = true
        return request
    }
}
