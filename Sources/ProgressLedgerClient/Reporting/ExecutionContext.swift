public import Ledger
import Logging
import Synchronization

/// An execution of a task, to report its progress.
///
/// Reporting returns at once, costs well under a microsecond, and never fails, blocks or slows the task, even if the
/// ledger is unreachable. Reports are added up in bounded memory and sent in the background, after a second at most,
/// until the ledger has recorded them. Each context is one new execution. The client gives it its name, which makes it
/// safe to send the start again. A context may be used from any number of tasks and threads.
///
/// A process that forks must start another execution in the child.
public final class ExecutionContext: Sendable {
    /// The task.
    public let task: Name
    /// The name of the execution.
    public let execution: Name
    /// The attempt; nil if the ledger numbers the execution.
    public let attempt: Int32?

    /// The reporter; nil without a ledger, in which case nothing is reported.
    private let reporter: ReporterState?

    /// Creates a context that reports nothing, if no ledger is configured.
    init(silent task: Name, attempt: Int32?) {
        self.task = task
        self.attempt = attempt
        execution = ""
        reporter = nil
    }

    init(
        _ task: Name, attempt: Int32?, in job: JobID, client: LedgerClient, logger: Logger, unlessCanceled: Bool,
        onSuperseded: (@Sendable () -> Void)?, onJobEnded: (@Sendable (JobState) -> Void)?
    ) {
        self.task = task
        self.attempt = attempt
        execution = RandomName.make()
        let reference = ExecutionReference(task: task, execution: execution, attempt: attempt)
        let reporter = ReporterState(
            reference, job, client, logger, unlessCanceled: unlessCanceled, onSuperseded: onSuperseded,
            onJobEnded: onJobEnded)
        self.reporter = reporter
        reporter.start()
    }

    /// Ends the execution as failed, unless it has ended already.
    deinit { reporter?.end(.failed) }

    /// Returns an indicator of the job by its label; nil is the default indicator.
    ///
    /// A task that reports very often should keep the returned value, because each lookup of a label costs about 50 ns.
    public func progress(
        _ label: Name? = nil, file: StaticString = #fileID, line: UInt = #line
    ) -> IndicatorReporter {
        guard let reporter else { return IndicatorReporter(reporter: nil, slot: nil) }
        return IndicatorReporter(reporter: reporter, slot: reporter.slot(label, file, line))
    }

    /// Whether a newer execution of the task has started.
    ///
    /// If so, further reports of this execution do not count, and it should stop. The client notices within about ten
    /// seconds.
    public var isSuperseded: Bool { reporter?.isSuperseded ?? false }

    /// The state in which the job has ended; nil while it is running.
    ///
    /// A task of a canceled job should stop. The client learns the state from the responses to its reports. It may lag:
    /// for a moment after a start has reopened the job, it may be that of the earlier end.
    public var jobEnded: JobState? { reporter?.statistics.jobEnded }

    /// The number of reports that were accepted, delivered and lost.
    public var statistics: ReportStatistics { reporter?.statistics ?? ReportStatistics() }

    /// Waits until everything reported so far is recorded.
    ///
    /// - Parameter limit: The longest wait; nil is 5 s, shared with all other waits for a ledger that does not respond.
    /// - Returns: Whether everything is recorded.
    @discardableResult
    public func flush(atMost limit: Duration? = nil) async -> Bool {
        guard let reporter else { return true }
        return await reporter.flush(limit)
    }

    /// Ends the execution and waits until its end is recorded.
    ///
    /// If the wait ends before that, the client still tries to deliver the reports for a quarter of an hour, while the
    /// process lives. Only the first end of an execution counts, and later reports are refused.
    ///
    /// - Parameters:
    ///   - outcome: The outcome of the execution.
    ///   - limit: The longest wait; nil is 5 s, shared with all other waits for a ledger that does not respond.
    /// - Returns: Whether everything is recorded.
    @discardableResult
    public func finish(_ outcome: ExecutionOutcome, atMost limit: Duration? = nil) async -> Bool {
        guard let reporter else { return true }
        let isTaken = reporter.end(outcome)
        return await reporter.flush(limit) && isTaken
    }
}

/// An indicator that an execution reports on.
public struct IndicatorReporter: Sendable {
    let reporter: ReporterState?
    /// The index of the label; nil if the label is invalid and reports are refused.
    let slot: Int?

    /// Declares additional units of work; 0 declares the indicator and is a heartbeat.
    ///
    /// - Parameter units: From 0 to 2^53 − 1. Any other value is refused: it changes nothing, is logged once with the
    ///   source location of the call, and is counted in ``ReportStatistics/refused``.
    /// - Returns: Whether the report was accepted.
    @discardableResult
    public func add(_ units: Int, file: StaticString = #fileID, line: UInt = #line) -> Bool {
        take(total: units, done: 0, file, line)
    }

    /// Reports additional finished units, with the rules of ``add(_:file:line:)``.
    @discardableResult
    public func done(_ units: Int = 1, file: StaticString = #fileID, line: UInt = #line) -> Bool {
        take(total: 0, done: units, file, line)
    }

    private func take(total: Int, done: Int, _ file: StaticString, _ line: UInt) -> Bool {
        guard let reporter else { return true }
        return reporter.take(slot, total: Int64(total), done: Int64(done), file, line)
    }
}
