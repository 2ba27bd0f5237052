public import Ledger
public import LedgerWire
import NIOCore
import NIOHTTP1

// What can be asked of a ledger. Every function throws ``LedgerClientError``.

extension LedgerClient {
    // MARK: Jobs

    /// Creates a job; with a key, finds the one that has the same key and the same content already.
    public func createJob(_ description: JobDescription) async throws(LedgerClientError) -> JobAnswer {
        try await withOwnWrites(try await ask(.createJob(description), as: JobAnswer.self).value)
    }

    /// A job with its snapshot, which holds what the ledger had recorded before.
    ///
    /// If the projection takes more than 5 s to get there, or the server cannot tell, the snapshot as it is.
    public func job(_ job: JobID) async throws(LedgerClientError) -> JobAnswer {
        let read = try await ask(.job(job), as: JobAnswer.self).value
        return try await waitUntilFolded(read, read.ledgerSequence)
    }

    /// A page of jobs, newest first.
    ///
    /// The snapshots of the first eight jobs that this client has reported on hold what it has reported.
    public func jobs(_ search: JobSearch = JobSearch()) async throws(LedgerClientError) -> JobsPage {
        let page = try await ask(.jobs(search), as: JobsPage.self).value
        var jobs = page.jobs
        let behind = jobs.indices.filter { jobs[$0].snapshot.sequence < contact.lastWritten(to: jobs[$0].id) }
        for index in behind.prefix(Self.rereadMax) { jobs[index] = try await withOwnWrites(jobs[index]) }
        return JobsPage(jobs: jobs, nextCursor: page.nextCursor)
    }

    /// Jobs of a page that are read once more. Each may take the 5 s that a stopped projection is waited for.
    private static let rereadMax = 8

    /// A page of a job's tasks with their executions, in the order in which they began.
    public func tasks(
        of job: JobID, _ search: TaskSearch = TaskSearch()
    ) async throws(LedgerClientError) -> TasksPage {
        try await ask(.tasks(job, search), as: TasksPage.self).value
    }

    /// A page of where each unit of an indicator went.
    ///
    /// - Parameters:
    ///   - label: The indicator; nil is the default one.
    ///   - limit: Executions in the page, 1,000 at most.
    ///   - cursor: ``Explanation/nextCursor`` of the page before.
    public func explain(
        _ job: JobID, label: Name?, limit: Int = 1_000, cursor: Explanation.Cursor? = nil
    ) async throws(LedgerClientError) -> Explanation {
        try await ask(
            .explain(job, label: label, limit: limit, cursor: cursor?.description), as: Explanation.self
        ).value
    }

    /// How an indicator came to its numbers, every decrease with its cause.
    ///
    /// - Parameters:
    ///   - label: The indicator; nil is the default one.
    ///   - points: At most so many points, 10,000 at most, or as many as there are decreases.
    public func curve(
        of job: JobID, label: Name?, points: Int = 500
    ) async throws(LedgerClientError) -> IndicatorHistory {
        try await ask(.curve(job, label: label, points: points), as: IndicatorHistory.self).value
    }

    // MARK: Events

    /// Appends events to one job: all or nothing, in order, contiguous. Returns once they are durably recorded.
    ///
    /// Sent again by itself after a lost answer only where its progress bears report numbers and its executions bear
    /// names or attempts.
    ///
    /// - Parameters:
    ///   - drafts: 1 to 10,000.
    ///   - job: The job.
    ///   - awaitsVerdicts: Whether to wait, 5 s at most, until the projection has passed them.
    public func append(
        _ drafts: [EventDraft], to job: JobID, awaitsVerdicts: Bool = false
    ) async throws(LedgerClientError) -> Appended {
        try await append(drafts, to: job, awaitsVerdicts: awaitsVerdicts, until: nil)
    }

    /// The same, failing at the latest at a moment.
    func append(
        _ drafts: [EventDraft], to job: JobID, awaitsVerdicts: Bool = false, until limit: ContinuousClock.Instant?
    ) async throws(LedgerClientError) -> Appended {
        let request = LedgerRequest.append(drafts, to: job, awaitsVerdicts: awaitsVerdicts)
        let appended: Appended = try decode(try await perform(request, until: limit), to: request)
        contact.recordWrite(appended.sequences.upperBound, to: job)
        return appended
    }

    /// Appends events to many jobs: all or nothing; in order and contiguous within each job.
    public func append(_ entries: [(job: JobID, draft: EventDraft)]) async throws(LedgerClientError) -> AppendedToJobs {
        let appended = try await ask(.append(entries), as: AppendedToJobs.self).value
        for (job, sequences) in appended.sequences { contact.recordWrite(sequences.upperBound, to: job) }
        return appended
    }

    /// Starts an execution, which supersedes every earlier one of its task.
    ///
    /// - Parameters:
    ///   - reference: The task, and the name and attempt where the caller has them; the ledger gives what is left out.
    ///     With a name, a start may be repeated; without one, each is a new execution.
    ///   - job: The job.
    /// - Throws: ``LedgerClientError/Code/superseded`` where a newer execution counts already: whoever asked is a zombie
    ///   and should stop.
    public func startExecution(
        _ reference: ExecutionReference, in job: JobID
    ) async throws(LedgerClientError) -> StartedExecution {
        let started = try await ask(.startExecution(reference, in: job), as: StartedExecution.self).value
        contact.recordWrite(started.sequence, to: job)
        return started
    }

    /// A page of a job's history with verdicts.
    public func events(
        of job: JobID, _ search: EventSearch = EventSearch()
    ) async throws(LedgerClientError) -> EventsPage {
        try await ask(.events(job, search), as: EventsPage.self).value
    }

    /// A job's whole history, event by event and no faster than it is taken.
    public func eventStream(of job: JobID, _ search: EventSearch = EventSearch()) -> EventStream {
        EventStream(lines: eventLines(of: job, search))
    }

    /// The same as lines of JSON.
    package func eventLines(of job: JobID, _ search: EventSearch) -> LineStream {
        LineStream(client: self, request: .events(job, search, streamed: true))
    }

    // MARK: Progress

    /// A job's snapshot, which holds what this client has reported before.
    ///
    /// If the projection takes more than 5 s to get there, or the server cannot tell, the snapshot as it is.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - minSequence: Waits, 5 s at most, until the snapshot has reached this sequence, and fails if it does not.
    ///   - policy: Which executions count; the last of each task unless told.
    /// - Throws: ``LedgerClientError/Code/notFolded`` where the snapshot did not get to `minSequence`.
    public func progress(
        of job: JobID, minSequence: Int64? = nil, policy: CountingPolicy? = nil
    ) async throws(LedgerClientError) -> ReadJob {
        let read = try await readProgress(.progress(job, minSequence: minSequence, policy: policy))
        let own = contact.lastWritten(to: job)
        guard minSequence == nil, read.job.snapshot.sequence < own else { return read }
        do throws(LedgerClientError) {
            return try await readProgress(.progress(job, minSequence: own, policy: policy))
        } catch {
            guard error.code != .cancelled else { throw error }
            return read
        }
    }

    private func readProgress(_ request: LedgerRequest) async throws(LedgerClientError) -> ReadJob {
        let (value, answer) = try await ask(request, as: JobAnswer.self)
        return ReadJob(job: value, entityTag: answer.headers.first(name: "etag"))
    }

    /// The job once its snapshot holds what this client has reported.
    private func withOwnWrites(_ job: JobAnswer) async throws(LedgerClientError) -> JobAnswer {
        try await waitUntilFolded(job, 0)
    }

    /// The job once its snapshot has reached a sequence and what this client has reported; as it is after 5 s.
    private func waitUntilFolded(_ job: JobAnswer, _ sequence: Int64) async throws(LedgerClientError) -> JobAnswer {
        let wanted = max(sequence, contact.lastWritten(to: job.id))
        guard job.snapshot.sequence < wanted else { return job }
        do throws(LedgerClientError) {
            return try await ask(.progress(job.id, minSequence: wanted), as: JobAnswer.self).value
        } catch {
            guard error.code != .cancelled else { throw error }
            return job
        }
    }

    /// A job's snapshot as soon as it is another one; nil where it stayed the same for so long.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - entityTag: The snapshot that is known: ``ReadJob/entityTag``.
    ///   - wait: How long to wait for a change, in whole seconds, 30 at most.
    public func progress(
        of job: JobID, unchangedSince entityTag: String, wait: Duration = .zero
    ) async throws(LedgerClientError) -> ReadJob? {
        let request = LedgerRequest.progress(job, unchangedSince: entityTag, wait: wait)
        let answer = try await perform(request)
        guard answer.status != 304 else { return nil }
        return ReadJob(job: try decode(answer, to: request), entityTag: answer.headers.first(name: "etag"))
    }

    // MARK: The server

    /// Throws unless the server lives.
    public func checkHealth() async throws(LedgerClientError) {
        _ = try await perform(.health)
    }

    /// Throws unless the server can do its work now; the error says what keeps it from it.
    public func checkReadiness() async throws(LedgerClientError) {
        _ = try await perform(.readiness)
    }

    /// The server's limits, as JSON.
    public func limits() async throws(LedgerClientError) -> String {
        String(buffer: try await perform(.limits).body)
    }

    // MARK: Below

    /// Sends a request and decodes its answer.
    func ask<Value: ResponseBody>(
        _ request: LedgerRequest, as type: Value.Type
    ) async throws(LedgerClientError) -> (value: Value, answer: ReceivedResponse) {
        let answer = try await perform(request)
        return (try decode(answer, to: request), answer)
    }

    /// Sends a request and returns its answer as it came, without the line feed at its end, beside what it means.
    package func askForJSON<Value: ResponseBody>(
        _ request: LedgerRequest, as type: Value.Type
    ) async throws(LedgerClientError) -> (value: Value, json: String) {
        let (value, json, _) = try await askWithClock(request, as: type)
        return (value, json)
    }

    /// The same with the server's clock; nil if the response does not tell it.
    package func askWithClock<Value: ResponseBody>(
        _ request: LedgerRequest, as type: Value.Type
    ) async throws(LedgerClientError) -> (value: Value, json: String, clock: ServerClock?) {
        let answer = try await perform(request)
        var body: JSONValue?
        let value: Value = try decode(answer, to: request, body: &body)
        var json = String(buffer: answer.body)
        if json.utf8.last == UInt8(ascii: "\n") { json.removeLast() }
        return (value, json, body.flatMap { ServerClock($0) } ?? ServerClock(answer.headers))
    }

    private func decode<Value: ResponseBody>(
        _ answer: ReceivedResponse, to request: LedgerRequest
    ) throws(LedgerClientError) -> Value {
        var body: JSONValue?
        return try decode(answer, to: request, body: &body)
    }

    private func decode<Value: ResponseBody>(
        _ answer: ReceivedResponse, to request: LedgerRequest, body: inout JSONValue?
    ) throws(LedgerClientError) -> Value {
        do {
            let read = try JSONReader.read(Array(answer.body.readableBytesView))
            body = read
            return try Value(read)
        } catch {
            throw LedgerClientError(
                .unexpectedAnswer,
                "The ledger was asked to \(request.purpose), and its answer cannot be read: \(error)",
                remedy: "Is it a progress ledger of this version that listens at \(address)?", status: answer.status)
        }
    }
}
