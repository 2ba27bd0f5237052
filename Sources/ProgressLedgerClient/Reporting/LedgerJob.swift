import FoundationEssentials
public import Ledger
public import LedgerWire
public import Logging

/// A job, for those who report on it.
///
/// ```swift
/// let job = try await LedgerClient(url: "http://127.0.0.1:8080").openJob(JobDescription(name: "mosaic", key: "mosaic-7"))
/// try await job.execution("tile-17", attempt: 2) { context in
///     context.progress("download").add(10)
///     context.progress().done()
/// }
/// ```
public struct LedgerJob: Sendable {
    /// The job; nil where no ledger is configured.
    public let id: JobID?
    private let client: LedgerClient?
    /// What sends reports: one try for each request, since the reports themselves know when to try again.
    private let reporter: LedgerClient?
    private let logger: Logger

    init(_ id: JobID, _ client: LedgerClient, _ logger: Logger) {
        self.id = id
        self.client = client
        self.logger = logger
        var settings = client.settings
        settings.patience = .zero
        settings.deadline = .seconds(15)
        reporter = LedgerClient(address: client.address, settings: settings, contact: client.contact)
    }

    private init(silent logger: Logger) {
        id = nil
        client = nil
        reporter = nil
        self.logger = logger
    }

    /// The job that `PROGRESS_LEDGER_JOB` names, in the ledger at `PROGRESS_LEDGER_URL`. Where one of them is not set, a
    /// job that reports nothing, so that the same task runs in a unit test.
    ///
    /// - Throws: ``LedgerClientError/Code/invalidAddress`` where what they say cannot be.
    public static func fromEnvironment(
        logger: Logger = Logger(label: "progress-ledger")
    ) throws(LedgerClientError) -> LedgerJob {
        let environment = ProcessInfo.processInfo.environment
        guard let url = environment["PROGRESS_LEDGER_URL"], !url.isEmpty, let text = environment["PROGRESS_LEDGER_JOB"],
            !text.isEmpty
        else { return LedgerJob(silent: logger) }
        guard let id = JobID(text) else {
            throw LedgerClientError(.invalidAddress, "PROGRESS_LEDGER_JOB is '\(text)', which is no id of a job.")
        }
        var settings = LedgerClient.Settings()
        settings.token = environment["PROGRESS_LEDGER_TOKEN"].flatMap { $0.isEmpty ? nil : $0 }
        return LedgerJob(id, try LedgerClient(url: url, settings: settings), logger)
    }

    // MARK: Reporting

    /// Runs a task as a new execution, which supersedes every earlier one of it. It has succeeded where the closure
    /// returns, was canceled where it throws `CancellationError`, and has failed where it throws anything else. Then the
    /// last reports are waited for, 5 s at most. A ledger that did not answer in that time is waited for again after a
    /// minute at the earliest, so that an outage does not slow one task after the other.
    ///
    /// - Parameters:
    ///   - task: The task, 1 to 200 Unicode scalars.
    ///   - attempt: 1, 2, 3 …: the highest counts, whenever its reports arrive. Give it wherever the engine that runs the
    ///     task knows it (``ExecutionAttempt/fromEnvironment()``); without one, who starts last counts.
    ///   - onSuperseded: Called once, when a newer execution has started: this one should stop.
    /// - Throws: What the closure throws, and nothing else.
    @discardableResult
    public func execution<R>(
        _ task: Name, attempt: Int32? = nil, onSuperseded: (@Sendable () -> Void)? = nil,
        _ body: (ExecutionContext) async throws -> R
    ) async rethrows -> R {
        let context = startExecution(task, attempt: attempt, onSuperseded: onSuperseded)
        do {
            let result = try await body(context)
            await context.finish(.succeeded)
            return result
        } catch {
            await context.finish(error is CancellationError ? .canceled : .failed)
            throw error
        }
    }

    /// The same for who cannot put the task into a closure: whoever starts an execution says how it ends
    /// (``ExecutionContext/finish(_:atMost:)``). Returns at once, whatever becomes of the ledger.
    public func startExecution(
        _ task: Name, attempt: Int32? = nil, onSuperseded: (@Sendable () -> Void)? = nil
    ) -> ExecutionContext {
        guard let id, let reporter else { return ExecutionContext(silent: task, attempt: attempt) }
        return ExecutionContext(
            task, attempt: attempt, in: id, client: reporter, logger: logger, onSuperseded: onSuperseded)
    }

    /// Records how the job has ended. Doing it again changes nothing.
    ///
    /// - Parameters:
    ///   - outcome: How it has ended.
    ///   - limit: How long that may take; nil is 5 s, shared with all other waits for a ledger that does not answer.
    /// - Throws: ``LedgerClientError`` if it is not recorded by then, or the ledger refuses it.
    public func finish(_ outcome: JobOutcome, atMost limit: Duration? = nil) async throws(LedgerClientError) {
        guard let id, let client else { return }
        let now = ContinuousClock.now
        let end = limit.map { now + $0 } ?? client.contact.waitLimit(now: now)
        do throws(LedgerClientError) {
            _ = try await client.append([EventDraft(.jobFinished(outcome))], to: id, until: end)
            client.contact.recordResponse()
        } catch {
            if !error.isRetrySafe, error.status != nil { client.contact.recordResponse() }
            throw error
        }
    }

    // MARK: Reading

    /// The job with its snapshot; nil where no ledger is configured.
    public func snapshot() async throws(LedgerClientError) -> JobAnswer? {
        guard let id, let client else { return nil }
        return try await client.job(id)
    }

    /// Waits until the job has ended and its snapshot holds everything; returns it. Nil where no ledger is configured.
    public func waitUntilFinished() async throws(LedgerClientError) -> JobAnswer? {
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
    /// Creates a job to report on; with a key, finds the one that has the same key and the same content already.
    public func openJob(
        _ description: JobDescription, logger: Logger = Logger(label: "progress-ledger")
    ) async throws(LedgerClientError) -> LedgerJob {
        LedgerJob(try await createJob(description).id, self, logger)
    }

    /// A job to report on, by its id. Asks nothing: whether there is such a job shows later.
    public func job(reporting id: JobID, logger: Logger = Logger(label: "progress-ledger")) -> LedgerJob {
        LedgerJob(id, self, logger)
    }
}
