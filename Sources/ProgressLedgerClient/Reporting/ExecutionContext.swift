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
    /// The job, and the URL of its ledger; nil without a ledger.
    private let target: (job: JobID, url: String)?

    /// Creates a context that reports nothing, if no ledger is configured.
    init(silent task: Name, attempt: Int32?) {
        self.task = task
        self.attempt = attempt
        execution = ""
        reporter = nil
        target = nil
    }

    init(
        _ task: Name, attempt: Int32?, in job: JobID, client: LedgerClient, logger: Logger, link: String?,
        unlessCanceled: Bool, onSuperseded: (@Sendable () -> Void)?, onJobEnded: (@Sendable (JobState) -> Void)?
    ) {
        self.task = task
        self.attempt = attempt
        execution = RandomName.make()
        target = (job, client.address.description)
        let reference = ExecutionReference(task: task, execution: execution, attempt: attempt)
        let reporter = ReporterState(
            reference, job, client, logger, link: link, unlessCanceled: unlessCanceled, onSuperseded: onSuperseded,
            onJobEnded: onJobEnded)
        self.reporter = reporter
        reporter.start()
    }

    /// Creates the context of a part of an execution that another process has started.
    init(attachedTo handle: ExecutionHandle, client: LedgerClient, logger: Logger) {
        task = handle.task
        attempt = handle.attempt
        execution = handle.execution
        target = (handle.job, client.address.description)
        let reference = ExecutionReference(task: task, execution: execution, attempt: attempt)
        let reporter = ReporterState(
            reference, handle.job, client, logger, part: RandomName.make(), onSuperseded: nil, onJobEnded: nil)
        self.reporter = reporter
        reporter.start()
    }

    /// Ends the execution as failed, unless it has ended already.
    ///
    /// An execution of another process does not end.
    deinit { reporter?.end(.failed) }

    /// Returns an indicator of the job by its label; nil is the default indicator.
    ///
    /// A task that reports very often should keep the returned value, because each lookup of a label costs about 50 ns.
    ///
    /// - Parameter unit: The unit of the indicator, such as `bytes`, `files` or `tiles`: 1 to 32 Unicode scalars. The
    ///   first one that the job's reports give holds. Numbers of bytes are shown as KiB, MiB, …. An invalid one is
    ///   dropped, counted and logged.
    public func progress(
        _ label: Name? = nil, unit: String? = nil, file: StaticString = #fileID, line: UInt = #line
    ) -> IndicatorReporter {
        guard let reporter else { return IndicatorReporter(reporter: nil, indicator: nil) }
        return IndicatorReporter(reporter: reporter, indicator: reporter.indicator(label, unit: unit, file, line))
    }

    /// Returns the handle by which other processes report.
    ///
    /// Nil if nothing is reported.
    public func handle() -> ExecutionHandle? {
        target.map {
            ExecutionHandle(job: $0.job, task: task, execution: execution, attempt: attempt, url: $0.url)
        }
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
    /// process lives. Only the first end of an execution counts, and later reports are refused. In a process that is
    /// attached to the execution of another one, it ends only the reports of this process.
    ///
    /// - Parameters:
    ///   - outcome: The outcome of the execution.
    ///   - message: Why it ended, as in ``IndicatorReporter/add(_:message:link:file:line:)``.
    ///   - link: Where to look for more.
    ///   - limit: The longest wait; nil is 5 s, shared with all other waits for a ledger that does not respond.
    /// - Returns: Whether everything is recorded.
    @discardableResult
    public func finish(
        _ outcome: ExecutionOutcome, message: String? = nil, link: String? = nil, atMost limit: Duration? = nil
    ) async -> Bool {
        guard let reporter else { return true }
        let isTaken = reporter.end(outcome, ReportNotes(message: message, link: link))
        return await reporter.flush(limit) && isTaken
    }
}

/// An indicator that an execution reports on.
public struct IndicatorReporter: Sendable {
    let reporter: ReporterState?
    /// The index of the label; nil if the label is invalid and reports are refused.
    let indicator: Int?

    /// Declares additional units of work; 0 declares the indicator and is a heartbeat.
    ///
    /// Messages and links stay in the ledger for ever: do not put secrets or personal data into them.
    ///
    /// - Parameters:
    ///   - units: From 0 to 2^53 − 1. Any other value is refused: it changes nothing, is logged once with the source
    ///     location of the call, and is counted in ``ReportStatistics/refused``.
    ///   - message: What is being done. It is cut to 1,000 Unicode scalars, and its control characters other than line
    ///     feeds become spaces. Of several messages of an indicator within a second, the last one is recorded.
    ///   - link: Where to look for more, such as a log: an http or https URL without a user or a password, of up to
    ///     2,000 characters. An invalid one is dropped and counted in ``ReportStatistics/dropped``; the units count.
    /// - Returns: Whether the report was accepted.
    @discardableResult
    public func add(
        _ units: Int, message: String? = nil, link: String? = nil, file: StaticString = #fileID, line: UInt = #line
    ) -> Bool {
        take(DetailedReport(total: Int64(units)), message, link, file, line)
    }

    /// Reports additional finished units.
    ///
    /// The rules are those of ``add(_:message:link:file:line:)``.
    @discardableResult
    public func done(
        _ units: Int = 1, message: String? = nil, link: String? = nil, file: StaticString = #fileID,
        line: UInt = #line
    ) -> Bool {
        take(DetailedReport(done: Int64(units)), message, link, file, line)
    }

    /// Reports units as done that an earlier execution of the task did.
    ///
    /// It is a resume from a checkpoint.
    ///
    /// They count as done, but not in rates, and the ledger does not count them as wasted work of the earlier execution
    /// (its carried units). Report units that no execution did before with ``done(_:message:link:file:line:)``, also if
    /// their result was in a cache.
    @discardableResult
    public func skip(
        _ units: Int, message: String? = nil, link: String? = nil, file: StaticString = #fileID, line: UInt = #line
    ) -> Bool {
        take(DetailedReport(done: Int64(units), kind: .carried), message, link, file, line)
    }

    /// Declares that this process has so many units of work in all.
    ///
    /// It sends the difference to what this process has declared before. A smaller total changes nothing, because the
    /// ledger cannot take units back.
    @discardableResult
    public func setTotal(
        _ units: Int, message: String? = nil, link: String? = nil, file: StaticString = #fileID, line: UInt = #line
    ) -> Bool {
        take(DetailedReport(total: Int64(units), kind: .position), message, link, file, line)
    }

    /// Reports that this process has done so many units in all.
    ///
    /// It is a position, such as an offset in a file.
    ///
    /// It sends the difference to what this process has reported before. A lower position changes nothing, so that work
    /// that is done again within one execution counts once. There is one position for each label and execution.
    @discardableResult
    public func setDone(
        _ units: Int, message: String? = nil, link: String? = nil, file: StaticString = #fileID, line: UInt = #line
    ) -> Bool {
        take(DetailedReport(done: Int64(units), kind: .position), message, link, file, line)
    }

    private func take(
        _ report: DetailedReport, _ message: String?, _ link: String?, _ file: StaticString, _ line: UInt
    ) -> Bool {
        guard let reporter else { return true }
        if report.kind == .increments, message == nil, link == nil {
            return reporter.accept(indicator, total: report.total, done: report.done, file, line)
        }
        return reporter.accept(indicator, report, ReportNotes(message: message, link: link), file, line)
    }
}
