import AsyncPrimitives
import Ledger
import Logging
import Synchronization

/// Carries out the steps of a ``ReportBuffer``, for one execution.
final class ReporterState: Sendable {
    private struct State {
        var buffer: ReportBuffer
        /// The calls of `flush` in progress, with their generations.
        var flushes: [(signal: AsyncSignal, generation: Int)] = []
        var isStopped = false
        /// Whether the execution was canceled because the process is ending.
        var isCanceled = false
        /// Whether a permanent refusal by the ledger was logged.
        var hasLoggedRefusal = false
        /// The kinds of refused calls that were logged.
        var loggedRefusals: Set<ReportRefusal> = []

        mutating func accept(_ indicator: Int, total: Int64, done: Int64) -> Acceptance {
            guard !isCanceled else { return .canceled }
            guard !buffer.hasEnded else { return .ended }
            return buffer.accept(indicator, total: total, done: done) { .now } ? .acceptedFirst : .accepted
        }

        mutating func accept(_ indicator: Int, _ report: DetailedReport) -> Acceptance {
            guard !isCanceled else { return .canceled }
            guard !buffer.hasEnded else { return .ended }
            return buffer.accept(indicator, report) { .now } ? .acceptedFirst : .accepted
        }

        func isDone(_ generation: Int) -> Bool { isStopped || buffer.isSettled(generation) }
    }

    private enum Acceptance {
        /// Accepted; `acceptedFirst` must wake the sender.
        case accepted, acceptedFirst
        /// Refused.
        case ended, canceled
    }

    private let state: Mutex<State>
    private let signal = AsyncSignal()
    private let reference: ExecutionReference
    private let job: JobID
    private let client: LedgerClient
    private let logger: Logger
    private let onSuperseded: (@Sendable () -> Void)?
    private let onJobEnded: (@Sendable (JobState) -> Void)?
    /// Whether the start is refused if the job is canceled.
    private let unlessCanceled: Bool
    /// The reason why the ledger would refuse the whole execution; usually nil.
    private let refusal: ReportRefusal?

    /// Creates the reporter of a new execution or of a part of one.
    ///
    /// - Parameters:
    ///   - part: The name of the part; nil for a new execution.
    ///   - link: The link of the start. An invalid one is dropped, counted and logged.
    init(
        _ reference: ExecutionReference, _ job: JobID, _ client: LedgerClient, _ logger: Logger,
        part: Name? = nil, link: String? = nil, unlessCanceled: Bool = true, onSuperseded: (@Sendable () -> Void)?,
        onJobEnded: (@Sendable (JobState) -> Void)?
    ) {
        self.reference = reference
        self.job = job
        self.client = client
        self.logger = logger
        self.unlessCanceled = unlessCanceled
        self.onSuperseded = onSuperseded
        self.onJobEnded = onJobEnded
        let notes = ReportNotes(link: link)
        state = Mutex(
            State(
                buffer: ReportBuffer(
                    reference, part: part, link: notes.link, fields: client.sharedState.fields)))
        refusal = .of(reference)
        drop(notes.refusals, "the start of \(reference.task)")
    }

    /// Starts to send reports.
    ///
    /// Sending stops when the execution has ended and its reports are delivered or abandoned.
    func start() {
        if let refusal {
            // The ledger would refuse every event of the execution.
            state.withLock { state in
                state.buffer.giveUp()
                state.isStopped = true
            }
            return log(refusal, "\(reference.task)")
        }
        guard LiveReports.shared.insert(self) else { return }
        Task(name: "ledger-reports") {
            await run()
            LiveReports.shared.remove(self)
        }
    }

    // MARK: Calls of the task

    var isSuperseded: Bool { state.withLock { $0.buffer.isSuperseded } }
    var statistics: ReportStatistics { state.withLock { $0.buffer.statistics } }

    /// Returns the index of a label's indicator, and sets its unit if there is one.
    func indicator(_ label: Name?, unit: String?, _ file: StaticString, _ line: UInt) -> Int? {
        guard let indicator = indicator(label, file, line) else { return nil }
        guard let unit, !unit.isEmpty else { return indicator }
        if let unit = ReportNotes.unit(unit) {
            state.withLock { $0.buffer.setUnit(unit, of: indicator) }
        } else {
            drop([.unit], "\(file):\(line)")
        }
        return indicator
    }

    private func indicator(_ label: Name?, _ file: StaticString, _ line: UInt) -> Int? {
        let label = label.flatMap { $0.text.utf8.isEmpty ? nil : $0 }
        if let refusal = ReportRefusal.of(label: label) {
            log(refusal, file, line)
            return nil
        }
        guard let indicator = state.withLock({ $0.buffer.indicator(of: label) }) else {
            log(.tooManyLabels, file, line)
            return nil
        }
        return indicator
    }

    func accept(_ indicator: Int?, total: Int64, done: Int64, _ file: StaticString, _ line: UInt) -> Bool {
        // An invalid label was logged when the task looked it up.
        guard let indicator, refusal == nil else {
            state.withLock { $0.buffer.countRefusedCall() }
            return false
        }
        if let refusal = ReportRefusal.of(total: total, done: done) {
            refuse(refusal, file, line)
            return false
        }
        switch state.withLock({ $0.accept(indicator, total: total, done: done) }) {
        case .accepted: return true
        case .acceptedFirst:
            signal.signal()
            return true
        case .ended: refuse(.ended, file, line)
        case .canceled: refuse(.canceled, file, line)
        }
        return false
    }

    /// Accepts a report with notes, a position or carried units.
    ///
    /// An invalid note is dropped, and the units count.
    func accept(
        _ indicator: Int?, _ report: DetailedReport, _ notes: ReportNotes, _ file: StaticString, _ line: UInt
    ) -> Bool {
        guard let indicator, refusal == nil else {
            state.withLock { $0.buffer.countRefusedCall() }
            return false
        }
        if let refusal = ReportRefusal.of(total: report.total, done: report.done) {
            refuse(refusal, file, line)
            return false
        }
        var report = report
        (report.message, report.link) = (notes.message, notes.link)
        let acceptance = state.withLock { $0.accept(indicator, report) }
        switch acceptance {
        case .accepted: break
        case .acceptedFirst: signal.signal()
        case .ended: refuse(.ended, file, line)
        case .canceled: refuse(.canceled, file, line)
        }
        guard acceptance == .accepted || acceptance == .acceptedFirst else { return false }
        drop(notes.refusals, "\(file):\(line)")
        return true
    }

    /// Counts and logs invalid notes.
    private func drop(_ notes: [ReportRefusal], _ position: @autoclosure () -> String) {
        guard !notes.isEmpty else { return }
        state.withLock { $0.buffer.countDroppedNotes(UInt64(notes.count)) }
        for note in notes { log(note, position()) }
    }

    private func refuse(_ refusal: ReportRefusal, _ file: StaticString, _ line: UInt) {
        state.withLock { $0.buffer.countRefusedCall() }
        log(refusal, file, line)
    }

    /// Logs the first refusal of each kind; the others are only counted.
    private func log(_ refusal: ReportRefusal, _ file: StaticString, _ line: UInt) { log(refusal, "\(file):\(line)") }

    private func log(_ refusal: ReportRefusal, _ position: @autoclosure () -> String) {
        guard state.withLock({ $0.loggedRefusals.insert(refusal).inserted }) else { return }
        logger.error(
            "a report was refused", metadata: ["report.place": "\(position())", "report.reason": "\(refusal.reason)"])
    }

    /// - Returns: Whether the execution ends with this outcome; false if the end of the process has canceled it.
    @discardableResult
    func end(_ outcome: ExecutionOutcome, _ notes: ReportNotes = ReportNotes()) -> Bool {
        let (isNew, isCanceled) = state.withLock { state in
            let isNew = state.buffer.end(outcome, message: notes.message, link: notes.link, now: .now)
            return (isNew, state.isCanceled)
        }
        if isNew { drop(notes.refusals, "the end of \(reference.task)") }
        signal.signal()
        return !isCanceled
    }

    /// Ends the execution as canceled, because the process is ending.
    ///
    /// It does nothing if the execution has ended. Later reports are refused.
    func cancel() {
        let isEnded = state.withLock { state in
            guard state.buffer.end(.canceled, now: .now) else { return false }
            state.isCanceled = true
            return true
        }
        if isEnded { signal.signal() }
    }

    /// Refuses all reports, because the execution starts while the process is ending.
    func refuseAll() {
        state.withLock { state in
            state.buffer.giveUp()
            state.isCanceled = true
            state.isStopped = true
        }
    }

    /// Waits until all accepted reports are delivered or abandoned.
    ///
    /// A cancelled task waits like any other, because its last reports matter as much.
    ///
    /// - Parameter limit: The longest wait; nil is the wait that all callers without a limit share.
    /// - Returns: Whether the ledger has recorded all reports.
    func flush(_ limit: Duration?) async -> Bool {
        await Task(name: "ledger-flush") { await waitForDelivery(limit) }.value
    }

    private func waitForDelivery(_ limit: Duration?) async -> Bool {
        let flush = AsyncSignal()
        let generation = state.withLock { state in
            let generation = state.buffer.flush()
            if !state.isDone(generation) { state.flushes.append((flush, generation)) }
            return generation
        }
        signal.signal()
        if !state.withLock({ $0.isDone(generation) }) {
            let now = ContinuousClock.now
            // A timer cannot hold a much longer wait.
            let end = limit.map { now + min($0, .seconds(86_400)) } ?? client.sharedState.waitLimit(now: now)
            if now < end { await flush.wait(until: end) }
        }
        let (isOver, isDelivered) = state.withLock { state in
            state.flushes.removeAll { $0.signal === flush }
            let isDelivered =
                refusal == nil && state.buffer.isSettled(generation) && state.buffer.statistics.undelivered == 0
            return (state.isDone(generation), isDelivered)
        }
        if !isOver, client.sharedState.isFirstFailure() {
            logger.warning(
                "the ledger did not respond in time; undelivered reports are sent while the process lives",
                metadata: ["task": "\(reference.task)"])
        }
        return isDelivered
    }

    // MARK: Sending

    private func run() async {
        while true {
            switch state.withLock({ $0.buffer.next(now: .now) }) {
            case .send(let events, let awaitsVerdicts): await send(events, awaitsVerdicts: awaitsVerdicts)
            case .readStartVerdict: await readStartVerdict()
            case .wait(let moment): await signal.wait(until: moment)
            case .stop:
                let dropped = state.withLock { state in
                    state.isStopped = true
                    return state.buffer.statistics.undelivered
                }
                if dropped > 0 {
                    logger.error(
                        "gave up undelivered reports",
                        metadata: ["report.dropped": "\(dropped)", "task": "\(reference.task)"])
                }
                wakeFlushes()
                return
            }
        }
    }

    private func send(_ events: [EventDraft], awaitsVerdicts: Bool) async {
        let wasSuperseded = isSuperseded
        // A repeated start is unconditional: it reopens nothing, and its refusal would end the reports.
        let startsExecution = state.withLock { $0.buffer.mayStart }
        do throws(LedgerClientError) {
            let result = try await client.append(
                events, to: job, awaitsVerdicts: awaitsVerdicts,
                unlessCanceled: unlessCanceled && startsExecution)
            client.sharedState.recordResponse()
            state.withLock { $0.buffer.delivered(result, now: .now) }
        } catch {
            recordFailure(error)
        }
        notifyIfSuperseded(wasSuperseded)
        notifyIfJobEnded()
        wakeFlushes()
    }

    /// Reads the verdict of the event that started the execution.
    ///
    /// It reads one event by its sequence, however long the history is.
    private func readStartVerdict() async {
        guard let sequence = state.withLock({ $0.buffer.startSequence }) else { return }
        var search = EventSearch()
        search.after = sequence - 1
        search.limit = 1
        let wasSuperseded = isSuperseded
        do throws(LedgerClientError) {
            let event = try await client.events(of: job, search).events.first
            state.withLock {
                $0.buffer.verdictRead(event?.event.sequence == sequence ? event?.verdict : nil, now: .now)
            }
        } catch {
            state.withLock { $0.buffer.verdictFailed(now: .now) }
        }
        notifyIfSuperseded(wasSuperseded)
    }

    private func recordFailure(_ error: LedgerClientError) {
        let (result, isFirstLoss, unknown) = state.withLock { state in
            let result = state.buffer.failed(error, now: .now, chance: .random(in: 0...1))
            defer { state.hasLoggedRefusal = state.hasLoggedRefusal || result == .dropped }
            return (result, result == .dropped && !state.hasLoggedRefusal, state.buffer.takeNewUnknownFields())
        }
        if !unknown.isEmpty {
            // Once per ledger: the fields are left out from now on.
            logger.warning(
                "this ledger is older than the client: reports are sent without some fields",
                metadata: ["fields": "\(unknown.names)"])
        }
        if result != .retried { client.sharedState.recordResponse() }
        guard isFirstLoss || result == .retried && client.sharedState.isFirstFailure() else { return }
        guard error.code != .jobCanceled else {
            // Not a failure: the job needs no more work.
            return logger.notice(
                "the job is canceled, so the execution does not start", metadata: ["task": "\(reference.task)"])
        }
        logger.warning(
            isFirstLoss ? "the ledger refused reports; dropping them" : "cannot deliver reports; trying again",
            metadata: ["task": "\(reference.task)", "error": "\(error.message)"])
    }

    private func notifyIfSuperseded(_ wasSuperseded: Bool) {
        guard !wasSuperseded, isSuperseded, let onSuperseded else { return }
        // The callback runs in a separate task, because it must not delay the reports.
        Task(name: "ledger-superseded") { onSuperseded() }
    }

    private func notifyIfJobEnded() {
        guard let onJobEnded, let ended = state.withLock({ $0.buffer.takeJobEnd() }) else { return }
        Task(name: "ledger-job-ended") { onJobEnded(ended) }
    }

    /// Wakes the calls of `flush` with settled generations.
    private func wakeFlushes() {
        let done = state.withLock { state in state.flushes.filter { state.isDone($0.generation) } }
        for flush in done { flush.signal.signal() }
    }
}
