import FoundationEssentials
public import Ledger
public import Logging

/// A job to report on.
///
/// ```swift
/// let client = try LedgerClient(url: "http://127.0.0.1:8080")
/// let job = try await client.openJob(JobDescription(name: "mosaic", key: "mosaic-7"))
/// try await job.execution("tile-17", attempt: 2) { context in
///     context.progress("download").add(10)
///     context.progress().done()
/// }
/// ```
public struct LedgerJob: Sendable {
    /// The id of the job; nil if no ledger is configured.
    public let id: JobID?
    private let client: LedgerClient?
    /// The client that sends reports, with one try per request.
    ///
    /// ``ReportBuffer`` decides when to try again.
    private let reportingClient: LedgerClient?
    private let logger: Logger

    /// The time limit of one request with reports.
    static let reportDeadline: Duration = .seconds(15)

    init(_ id: JobID, _ client: LedgerClient, _ logger: Logger) {
        self.id = id
        self.client = client
        self.logger = logger
        var settings = client.settings
        settings.patience = .zero
        settings.deadline = Self.reportDeadline
        reportingClient = LedgerClient(address: client.address, settings: settings, sharedState: client.sharedState)
    }

    private init(silent logger: Logger) {
        id = nil
        client = nil
        reportingClient = nil
        self.logger = logger
    }

    /// Returns the job that the environment names.
    ///
    /// `PROGRESS_LEDGER_JOB` is its id, `PROGRESS_LEDGER_URL` the URL of the ledger. If one of them is not set, the job
    /// reports nothing, which lets the same task run in a unit test. The token is that of
    /// ``LedgerClient/Settings/fromEnvironment()``.
    ///
    /// - Throws: ``LedgerClientError/Code/invalidAddress`` if one of the values is invalid.
    public static func fromEnvironment(
        logger: Logger = Logger(label: "progress-ledger")
    ) throws(LedgerClientError) -> LedgerJob {
        let environment = ProcessInfo.processInfo.environment
        guard let url = environment["PROGRESS_LEDGER_URL"], !url.isEmpty, let text = environment["PROGRESS_LEDGER_JOB"],
            !text.isEmpty
        else { return LedgerJob(silent: logger) }
        guard let id = JobID(text) else {
            throw LedgerClientError(.invalidAddress, "Invalid PROGRESS_LEDGER_JOB '\(text)': expected the id of a job.")
        }
        return LedgerJob(id, try LedgerClient(url: url, settings: .fromEnvironment()), logger)
    }

    // MARK: Reporting

    /// Runs a task as a new execution, which supersedes its earlier executions.
    ///
    /// The execution succeeds if the closure returns, is canceled if it throws `CancellationError`, and fails if it
    /// throws anything else. Then the function waits for the last reports, 5 s at most. If the ledger does not respond
    /// in that time, the next such wait begins a minute later at the earliest, so that an outage does not slow one task
    /// after another.
    ///
    /// - Parameters:
    ///   - task: The task, 1 to 200 Unicode scalars.
    ///   - attempt: 1, 2, 3 …: the execution with the highest attempt counts, whenever its reports arrive. Give it if
    ///     the workflow engine provides it (``ExecutionAttempt/fromEnvironment()``). Without attempts, the execution
    ///     that starts last counts.
    ///   - link: Where to look for more about the execution: the URL of its log, or of the engine's own page.
    ///   - errorMessages: Whether the message of a failed execution contains the text of the error: its first line,
    ///     200 Unicode scalars at most, without credentials in URLs. Otherwise it is the type of the error. What is
    ///     recorded stays for ever.
    ///   - unlessCanceled: Whether a canceled job refuses the execution, which then reports nothing. Otherwise its
    ///     start reopens the job.
    ///   - onSuperseded: Called once when a newer execution has started; this one should stop.
    ///   - onJobEnded: Called once for each end of the job that the client notices before the end of the execution
    ///     (``ExecutionContext/jobEnded``), in a task of its own.
    ///   - body: The task.
    /// - Throws: Only errors that the closure throws.
    @discardableResult
    public func execution<R>(
        _ task: Name, attempt: Int32? = nil, link: String? = nil, errorMessages: Bool = false,
        unlessCanceled: Bool = true, onSuperseded: (@Sendable () -> Void)? = nil,
        onJobEnded: (@Sendable (JobState) -> Void)? = nil, _ body: (ExecutionContext) async throws -> R
    ) async rethrows -> R {
        let context = startExecution(
            task, attempt: attempt, link: link, unlessCanceled: unlessCanceled, onSuperseded: onSuperseded,
            onJobEnded: onJobEnded)
        do {
            let result = try await body(context)
            await context.finish(.succeeded)
            return result
        } catch {
            let isCanceled = error is CancellationError
            await context.finish(
                isCanceled ? .canceled : .failed, message: ErrorMessage.text(error, withText: errorMessages))
            throw error
        }
    }

    /// Starts an execution without a closure.
    ///
    /// The caller must end it with ``ExecutionContext/finish(_:atMost:)``. The function returns at once, even if the
    /// ledger is unreachable.
    public func startExecution(
        _ task: Name, attempt: Int32? = nil, link: String? = nil, unlessCanceled: Bool = true,
        onSuperseded: (@Sendable () -> Void)? = nil, onJobEnded: (@Sendable (JobState) -> Void)? = nil
    ) -> ExecutionContext {
        guard let id, let reportingClient else { return ExecutionContext(silent: task, attempt: attempt) }
        return ExecutionContext(
            task, attempt: attempt, in: id, client: reportingClient, logger: logger, link: link,
            unlessCanceled: unlessCanceled, onSuperseded: onSuperseded, onJobEnded: onJobEnded)
    }

    /// Returns the context of an execution of another process.
    ///
    /// The job of the handle must be this one; see ``LedgerClient/attach(to:logger:)``.
    func attach(to handle: ExecutionHandle) -> ExecutionContext {
        guard let reportingClient else { return ExecutionContext(silent: handle.task, attempt: handle.attempt) }
        return ExecutionContext(attachedTo: handle, client: reportingClient, logger: logger)
    }

    /// Records the end of the job; a repetition changes nothing.
    ///
    /// - Parameters:
    ///   - outcome: The outcome of the job.
    ///   - limit: The longest wait; nil is 5 s, shared with all other waits for a ledger that does not respond.
    /// - Throws: ``LedgerClientError`` if the end is not recorded in time, or the ledger refuses it.
    public func finish(_ outcome: JobOutcome, atMost limit: Duration? = nil) async throws(LedgerClientError) {
        guard let id, let client else { return }
        let now = ContinuousClock.now
        let end = limit.map { now + $0 } ?? client.sharedState.waitLimit(now: now)
        do throws(LedgerClientError) {
            _ = try await client.append([EventDraft(.jobFinished(outcome))], to: id, until: end)
            client.sharedState.recordResponse()
        } catch {
            if !error.isRetrySafe, error.status != nil { client.sharedState.recordResponse() }
            throw error
        }
    }

    // MARK: Reading

    /// Returns the job with its snapshot, or nil if no ledger is configured.
    public func snapshot() async throws(LedgerClientError) -> JobView? {
        guard let id, let client else { return nil }
        return try await client.job(id)
    }

    /// Waits until the job has ended, and returns it with its final snapshot.
    ///
    /// Returns nil if no ledger is configured.
    public func waitUntilFinished() async throws(LedgerClientError) -> JobView? {
        guard let id, let client else { return nil }
        var read = try await client.progress(of: id)
        while read.job.snapshot.state == .running || read.job.snapshot.sequence < read.job.ledgerSequence {
            if let tag = read.entityTag {
                if let next = try await client.progress(of: id, unchangedSince: tag, wait: .seconds(30)) { read = next }
            } else {
                read = try await client.progress(of: id, minSequence: read.job.snapshot.sequence + 1)
            }
        }
        return read.job
    }
}

extension LedgerClient {
    /// Creates a job to report on, or finds the job with the same key and content.
    public func openJob(
        _ description: JobDescription, logger: Logger = Logger(label: "progress-ledger")
    ) async throws(LedgerClientError) -> LedgerJob {
        LedgerJob(try await createJob(description).id, self, logger)
    }

    /// Returns a job to report on, by its id.
    ///
    /// It sends no request. If the job does not exist, the ledger refuses its reports later.
    public func job(reporting id: JobID, logger: Logger = Logger(label: "progress-ledger")) -> LedgerJob {
        LedgerJob(id, self, logger)
    }

    /// Returns the context of an execution of another process.
    ///
    /// The ledger numbers the reports of this process separately, as those of a part of the execution with a name of
    /// its own, so that nothing is lost or counts twice. It starts nothing, and its end sends the reports of this
    /// process and ends nothing. The client must be one of the same ledger. Attach once per process, not once per
    /// report: every call is another part.
    public func attach(
        to handle: ExecutionHandle, logger: Logger = Logger(label: "progress-ledger")
    ) -> ExecutionContext {
        LedgerJob(handle.job, self, logger).attach(to: handle)
    }
}

extension ExecutionContext {
    /// Returns the context of the execution in the environment.
    ///
    /// Another process has started it.
    ///
    /// The variables are those of ``ExecutionHandle/environment``. Without them the context reports nothing, which lets
    /// the same task run in a unit test. See ``LedgerClient/attach(to:logger:)``.
    ///
    /// - Throws: ``LedgerClientError/Code/invalidAddress`` if the URL or the credentials are invalid.
    public static func attachFromEnvironment(
        logger: Logger = Logger(label: "progress-ledger")
    ) throws(LedgerClientError) -> ExecutionContext {
        guard let handle = ExecutionHandle.fromEnvironment(), let url = handle.url else {
            return ExecutionContext(silent: "", attempt: nil)
        }
        return try LedgerClient(url: url, settings: .fromEnvironment()).attach(to: handle, logger: logger)
    }
}
