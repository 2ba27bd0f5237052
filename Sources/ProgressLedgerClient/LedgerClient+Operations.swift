public import Ledger
import LedgerWire
import NIOCore
import NIOHTTP1

// The operations of a ledger. Every function throws ``LedgerClientError``.

extension LedgerClient {
    // MARK: Jobs

    /// Creates a job, or finds the job with the same key and the same content.
    ///
    /// Without a key it is repeated like other requests, and creates one job. After
    /// ``LedgerClientError/Code/outcomeUnknown``, a further call may create a second one.
    public func createJob(_ description: JobDescription) async throws(LedgerClientError) -> JobView {
        try await withOwnWrites(try await ask(.createJob(description), as: JobView.self).value)
    }

    /// Returns a job with a snapshot of everything recorded before the call.
    ///
    /// If the projection needs more than 5 s to catch up, or the wait fails, it returns the snapshot as it is.
    public func job(_ job: JobID) async throws(LedgerClientError) -> JobView {
        let read = try await ask(.job(job), as: JobView.self).value
        return try await waitUntilFolded(read, read.ledgerSequence)
    }

    /// Returns a straight answer about a job: a short text, and the facts behind it.
    public func answer(about job: JobID) async throws(LedgerClientError) -> JobAnswer {
        try await ask(.answer(about: job), as: JobAnswer.self).value
    }

    /// Returns a page of jobs, newest first.
    ///
    /// If this client has reported on jobs of the page, the snapshots of the first eight of those that lag behind
    /// include its reports.
    public func jobs(_ search: JobSearch = JobSearch()) async throws(LedgerClientError) -> JobsPage {
        let page = try await ask(.jobs(search), as: JobsPage.self).value
        var jobs = page.jobs
        let behind = jobs.indices.filter { jobs[$0].snapshot.sequence < sharedState.lastWritten(to: jobs[$0].id) }
        for index in behind.prefix(Self.rereadMax) { jobs[index] = try await withOwnWrites(jobs[index]) }
        return JobsPage(jobs: jobs, nextCursor: page.nextCursor)
    }

    /// The most jobs of a page that are read again.
    ///
    /// Each may take 5 s, the longest wait for a projection that has stopped.
    private static let rereadMax = 8

    /// Returns a page of a job's tasks with their executions, in order of their start.
    public func tasks(
        of job: JobID, _ search: TaskSearch = TaskSearch()
    ) async throws(LedgerClientError) -> TasksPage {
        try await ask(.tasks(job, search), as: TasksPage.self).value
    }

    /// Returns a page that accounts for each unit of an indicator, by execution.
    ///
    /// - Parameters:
    ///   - label: The indicator; nil is the default one.
    ///   - limit: Executions in the page, 1,000 at most.
    ///   - cursor: ``Explanation/nextCursor`` of the previous page.
    public func explain(
        _ job: JobID, label: Name?, limit: Int = 1_000, cursor: Explanation.Cursor? = nil
    ) async throws(LedgerClientError) -> Explanation {
        try await ask(
            .explain(job, label: label, limit: limit, cursor: cursor?.description), as: Explanation.self
        ).value
    }

    /// Returns the history of an indicator, with the cause of every decrease.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - label: The indicator; nil is the default one.
    ///   - points: The most points in the history, up to 10,000. If there are more decreases than that, the history has
    ///     a point for each decrease.
    public func history(
        of job: JobID, label: Name?, points: Int = 500
    ) async throws(LedgerClientError) -> IndicatorHistory {
        try await ask(.history(job, label: label, points: points), as: IndicatorHistory.self).value
    }

    // MARK: Events

    /// Appends events to one job: all or none, in order and contiguous.
    ///
    /// Returns once the events are durably recorded. After a lost response the client sends the request again only if
    /// every progress event has a report number and every execution has a name or an attempt.
    ///
    /// - Parameters:
    ///   - drafts: 1 to 10,000 events.
    ///   - job: The job.
    ///   - awaitsVerdicts: Whether to wait, 5 s at most, until the projection has processed the events.
    ///   - unlessCanceled: Whether to record nothing if the job is canceled. The events then reopen no canceled job.
    /// - Throws: ``LedgerClientError/Code/jobCanceled`` if the job is canceled and `unlessCanceled` is given.
    public func append(
        _ drafts: [EventDraft], to job: JobID, awaitsVerdicts: Bool = false, unlessCanceled: Bool = false
    ) async throws(LedgerClientError) -> Appended {
        try await append(drafts, to: job, awaitsVerdicts: awaitsVerdicts, unlessCanceled: unlessCanceled, until: nil)
    }

    /// Appends events to one job, or fails at `limit` at the latest.
    func append(
        _ drafts: [EventDraft], to job: JobID, awaitsVerdicts: Bool = false, unlessCanceled: Bool = false,
        until limit: ContinuousClock.Instant?
    ) async throws(LedgerClientError) -> Appended {
        let request = LedgerRequest.append(
            drafts, to: job, awaitsVerdicts: awaitsVerdicts, unlessCanceled: unlessCanceled)
        let appended: Appended = try decode(try await perform(request, until: limit), to: request)
        sharedState.recordWrite(appended.sequences.upperBound, to: job)
        return appended
    }

    /// Appends events to many jobs: all or none, in order and contiguous per job.
    public func append(_ entries: [(job: JobID, draft: EventDraft)]) async throws(LedgerClientError) -> AppendedToJobs {
        let appended = try await ask(.append(entries), as: AppendedToJobs.self).value
        for (job, sequences) in appended.sequences { sharedState.recordWrite(sequences.upperBound, to: job) }
        return appended
    }

    /// Starts an execution, which supersedes every earlier one of its task.
    ///
    /// - Parameters:
    ///   - reference: The task, and the name and attempt if the caller has them; the ledger assigns missing ones. A
    ///     start with a name may be repeated. Without a name, each start is a new execution.
    ///   - job: The job.
    ///   - unlessCanceled: Whether a canceled job refuses the start. Otherwise the start reopens it.
    /// - Throws: ``LedgerClientError/Code/superseded`` if a newer execution counts already. The caller is then a zombie
    ///   and should stop. ``LedgerClientError/Code/jobCanceled`` if the job is canceled: nothing was recorded.
    public func startExecution(
        _ reference: ExecutionReference, in job: JobID, unlessCanceled: Bool = true
    ) async throws(LedgerClientError) -> StartedExecution {
        let started = try await ask(
            .startExecution(reference, in: job, unlessCanceled: unlessCanceled), as: StartedExecution.self
        ).value
        sharedState.recordWrite(started.sequence, to: job)
        return started
    }

    /// Returns a page of a job's events with their verdicts.
    public func events(
        of job: JobID, _ search: EventSearch = EventSearch()
    ) async throws(LedgerClientError) -> EventPage {
        try await ask(.events(job, search), as: EventPage.self).value
    }

    /// Returns all events of a job as a stream that is read no faster than consumed.
    public func eventStream(of job: JobID, _ search: EventSearch = EventSearch()) -> EventStream {
        EventStream(lines: eventLines(of: job, search))
    }

    /// Returns all events of a job as lines of JSON.
    package func eventLines(of job: JobID, _ search: EventSearch) -> LineStream {
        LineStream(client: self, request: .events(job, search, streamed: true))
    }

    // MARK: Progress

    /// Returns a job's snapshot, which includes this client's earlier reports.
    ///
    /// If the projection needs more than 5 s to catch up, or the wait fails, it returns the snapshot as it is.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - minSequence: Waits, 5 s at most, until the snapshot has reached this sequence, and fails if it does not.
    ///   - policy: Which executions count; by default the last one of each task.
    /// - Throws: ``LedgerClientError/Code/notFolded`` if the snapshot did not reach `minSequence`.
    public func progress(
        of job: JobID, minSequence: EventSequence? = nil, policy: CountingPolicy? = nil
    ) async throws(LedgerClientError) -> ReadJob {
        let read = try await readProgress(.progress(job, minSequence: minSequence, policy: policy))
        let own = sharedState.lastWritten(to: job)
        guard minSequence == nil, read.job.snapshot.sequence < own else { return read }
        do throws(LedgerClientError) {
            return try await readProgress(.progress(job, minSequence: own, policy: policy))
        } catch {
            guard error.code != .cancelled else { throw error }
            return read
        }
    }

    private func readProgress(_ request: LedgerRequest) async throws(LedgerClientError) -> ReadJob {
        let (value, response) = try await ask(request, as: JobView.self)
        return ReadJob(job: value, entityTag: response.headers.first(name: "etag"))
    }

    /// Returns the job once its snapshot includes this client's reports.
    private func withOwnWrites(_ job: JobView) async throws(LedgerClientError) -> JobView {
        try await waitUntilFolded(job, 0)
    }

    /// Returns the job once its snapshot has `sequence` and this client's reports.
    ///
    /// After 5 s it returns the job as it is.
    private func waitUntilFolded(_ job: JobView, _ sequence: EventSequence) async throws(LedgerClientError) -> JobView {
        let minSequence = max(sequence, sharedState.lastWritten(to: job.id))
        guard job.snapshot.sequence < minSequence else { return job }
        do throws(LedgerClientError) {
            return try await ask(.progress(job.id, minSequence: minSequence), as: JobView.self).value
        } catch {
            guard error.code != .cancelled else { throw error }
            return job
        }
    }

    /// Returns a job's snapshot once it has changed, or nil if the wait ends first.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - entityTag: The snapshot that the caller has: ``ReadJob/entityTag``.
    ///   - wait: How long to wait for a change, in whole seconds, 30 at most.
    public func progress(
        of job: JobID, unchangedSince entityTag: String, wait: Duration = .zero
    ) async throws(LedgerClientError) -> ReadJob? {
        let request = LedgerRequest.progress(job, unchangedSince: entityTag, wait: wait)
        let response = try await perform(request)
        guard response.status != 304 else { return nil }
        return ReadJob(job: try decode(response, to: request), entityTag: response.headers.first(name: "etag"))
    }

    // MARK: The server

    /// Throws unless the server is alive.
    public func checkHealth() async throws(LedgerClientError) {
        _ = try await perform(.health)
    }

    /// Throws unless the server is ready; the error gives the reason.
    public func checkReadiness() async throws(LedgerClientError) {
        _ = try await perform(.readiness)
    }

    /// Returns the server's limits as JSON.
    public func limits() async throws(LedgerClientError) -> String {
        String(buffer: try await perform(.limits).body)
    }

    // MARK: Requests

    /// Sends a request and decodes its response.
    func ask<Value: ResponseBody>(
        _ request: LedgerRequest, as type: Value.Type
    ) async throws(LedgerClientError) -> (value: Value, response: ReceivedResponse) {
        let response = try await perform(request)
        return (try decode(response, to: request), response)
    }

    /// Sends a request and returns the decoded response and its JSON.
    ///
    /// The JSON is the text that the server sent, without the line feed at its end.
    package func sendForJSON<Value: ResponseBody>(
        _ request: LedgerRequest, as type: Value.Type
    ) async throws(LedgerClientError) -> (value: Value, json: String) {
        let (value, json, _) = try await sendWithClock(request, as: type)
        return (value, json)
    }

    /// Sends a request and returns the decoded response, its JSON and server's clock.
    ///
    /// The clock is nil if the response does not contain it.
    package func sendWithClock<Value: ResponseBody>(
        _ request: LedgerRequest, as type: Value.Type
    ) async throws(LedgerClientError) -> (value: Value, json: String, clock: ServerClock?) {
        let response = try await perform(request)
        var body: JSONValue?
        let value: Value = try decode(response, to: request, body: &body)
        var json = String(buffer: response.body)
        if json.utf8.last == UInt8(ascii: "\n") { json.removeLast() }
        return (value, json, body.flatMap { ServerClock($0) } ?? ServerClock(response.headers))
    }

    private func decode<Value: ResponseBody>(
        _ response: ReceivedResponse, to request: LedgerRequest
    ) throws(LedgerClientError) -> Value {
        var body: JSONValue?
        return try decode(response, to: request, body: &body)
    }

    private func decode<Value: ResponseBody>(
        _ response: ReceivedResponse, to request: LedgerRequest, body: inout JSONValue?
    ) throws(LedgerClientError) -> Value {
        do {
            let read = try JSONReader.read(Array(response.body.readableBytesView))
            body = read
            return try Value(read)
        } catch {
            throw LedgerClientError(
                .unexpectedResponse,
                "Cannot \(request.purpose): the response of \(address) is not readable: \(error)",
                remedy: "Check that a progress ledger of this version listens there.", status: response.status)
        }
    }
}
