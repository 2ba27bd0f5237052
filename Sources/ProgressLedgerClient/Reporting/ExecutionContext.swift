public import Ledger
import Logging
import Synchronization

/// One run of a task, as the task sees it: what it reports on.
///
/// Reporting returns at once, costs well under a microsecond, and never fails, blocks or slows the task, whatever
/// becomes of the ledger: what is taken is added up in bounded memory and sent in the background, a second later at
/// most, again and again until the ledger has it. One context is one new execution; it is named here, so that its start
/// may be sent again. May be used from any number of tasks and threads.
///
/// A process that forks has to start an execution of its own in the child.
public final class ExecutionContext: Sendable {
    /// The task.
    public let task: Name
    /// The execution's own name.
    public let execution: Name
    /// Its attempt; nil where the ledger numbers it.
    public let attempt: Int32?

    /// Nil without a ledger: then nothing is reported.
    private let core: ReporterState?

    /// A context that reports nothing: where no ledger is configured, as in a unit test.
    init(silent task: Name, attempt: Int32?) {
        self.task = task
        self.attempt = attempt
        execution = ""
        core = nil
    }

    init(
        _ task: Name, attempt: Int32?, in job: JobID, client: LedgerClient, logger: Logger,
        onSuperseded: (@Sendable () -> Void)?
    ) {
        self.task = task
        self.attempt = attempt
        execution = Self.newName()
        let reference = ExecutionReference(task: task, execution: execution, attempt: attempt)
        let core = ReporterState(reference, job, client, logger, onSuperseded)
        self.core = core
        core.begin()
    }

    /// One that nobody has said the end of has failed; where the end was said, that holds.
    deinit { core?.end(.failed) }

    /// 128 random bits: nobody else has them.
    private static func newName() -> Name {
        var generator = SystemRandomNumberGenerator()
        let digits = [generator.next(), generator.next()].map { bits in
            let text = String(bits, radix: 16)
            return String(repeating: "0", count: 16 - text.utf8.count) + text
        }
        return Name(digits.joined())
    }

    /// An indicator of the job, by its label; the default indicator without one.
    ///
    /// Whoever reports very often keeps what this returns: looking a label up costs some 50 ns.
    public func progress(
        _ label: Name? = nil, file: StaticString = #fileID, line: UInt = #line
    ) -> IndicatorReporter {
        guard let core else { return IndicatorReporter(core: nil, slot: nil) }
        return IndicatorReporter(core: core, slot: core.slot(label, file, line))
    }

    /// Whether a newer execution of the task has started: then nothing that this one reports counts, and it should stop.
    /// Known within some ten seconds.
    public var isSuperseded: Bool { core?.isSuperseded ?? false }

    /// What has become of its reports.
    public var statistics: ReportStatistics { core?.statistics ?? ReportStatistics() }

    /// Waits until everything reported so far is recorded.
    ///
    /// - Parameter limit: How long at most; nil is 5 s, shared with all other waits for a ledger that does not answer.
    /// - Returns: Whether it is.
    @discardableResult
    public func flush(atMost limit: Duration? = nil) async -> Bool {
        guard let core else { return true }
        return await core.flush(limit)
    }

    /// Says how the execution has ended, and waits until that is recorded. What is not by then is still tried for a
    /// quarter of an hour, while the process lives. Only the first end holds, and nothing is taken after it.
    ///
    /// - Parameters:
    ///   - outcome: How it has ended.
    ///   - limit: How long to wait at most; nil is 5 s, shared with all other waits for a ledger that does not answer.
    /// - Returns: Whether everything is recorded.
    @discardableResult
    public func finish(_ outcome: ExecutionOutcome, atMost limit: Duration? = nil) async -> Bool {
        guard let core else { return true }
        let isTaken = core.end(outcome)
        return await core.flush(limit) && isTaken
    }
}

/// An indicator that an execution reports on.
public struct IndicatorReporter: Sendable {
    let core: ReporterState?
    /// Nil where the label cannot be: then nothing is taken.
    let slot: Int?

    /// Declares units more to do. 0 declares the indicator and says that the task lives.
    ///
    /// - Parameter units: From 0 to 2^53 − 1. Anything else is refused here: it changes nothing, is logged once with the
    ///   place of the call, and is counted in ``ReportStatistics/refused``.
    /// - Returns: Whether it was taken.
    @discardableResult
    public func add(_ units: Int, file: StaticString = #fileID, line: UInt = #line) -> Bool {
        take(total: units, done: 0, file, line)
    }

    /// Reports units more done; otherwise as ``add(_:file:line:)``.
    @discardableResult
    public func done(_ units: Int = 1, file: StaticString = #fileID, line: UInt = #line) -> Bool {
        take(total: 0, done: units, file, line)
    }

    private func take(total: Int, done: Int, _ file: StaticString, _ line: UInt) -> Bool {
        guard let core else { return true }
        return core.take(slot, total: Int64(total), done: Int64(done), file, line)
    }
}
