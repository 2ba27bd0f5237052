import Ledger
import Logging
import Synchronization

/// Does what a ``ReportQueue`` decides.
final class ReporterState: Sendable {
    private struct State {
        var queue: ReportQueue
        /// Who waits until what was taken before is delivered.
        var flushes: [(signal: AsyncSignal, goal: Int)] = []
        var isStopped = false
        /// Whether it was canceled because the process ends.
        var isCanceled = false
        /// Whether it was logged that the ledger has refused reports for good.
        var hasLoggedRefusal = false
        /// The kinds of calls of which it was logged that one was refused.
        var loggedRefusals: Set<Refusal> = []

        mutating func take(_ slot: Int, total: Int64, done: Int64) -> Taking {
            guard !isCanceled else { return .canceled }
            guard !isStopped, !queue.hasEnded else { return .ended }
            return queue.take(slot, total: total, done: done) { .now } ? .news : .taken
        }

        func isDone(_ goal: Int) -> Bool { isStopped || queue.isSettled(goal) }
    }

    private enum Taking {
        /// With nothing or with something to tell whoever sends.
        case taken, news
        /// Refused.
        case ended, canceled
    }

    /// Why a call changes nothing.
    private enum Refusal: Hashable {
        case task, attempt, label, tooManyLabels, units, ended, canceled

        var reason: String {
            switch self {
            case .task: "a task has 1 to \(Limits.taskLengths.upperBound) Unicode scalars and no U+0000"
            case .attempt: "an attempt is from 1 to \(Limits.attempts.upperBound)"
            case .label: "a label has at most \(Limits.labelLengths.upperBound) Unicode scalars and no U+0000"
            case .tooManyLabels: "an execution has at most \(Limits.labelsPerExecutionMax) labels"
            case .units: "units are from 0 to \(Limits.increments.upperBound)"
            case .ended: "the execution has ended"
            case .canceled: "the process was told to end, and what was reported before is being sent"
            }
        }
    }

    private let state: Mutex<State>
    private let signal = AsyncSignal()
    private let reference: ExecutionReference
    private let job: JobID
    private let client: LedgerClient
    private let logger: Logger
    private let onSuperseded: (@Sendable () -> Void)?
    /// Why nothing of this execution can be recorded; nil if it can.
    private let refusal: Refusal?

    init(
        _ reference: ExecutionReference, _ job: JobID, _ client: LedgerClient, _ logger: Logger,
        _ onSuperseded: (@Sendable () -> Void)?
    ) {
        self.reference = reference
        self.job = job
        self.client = client
        self.logger = logger
        self.onSuperseded = onSuperseded
        state = Mutex(State(queue: ReportQueue(reference)))
        if !Limits.taskLengths.contains(reference.task.scalarCount) || reference.task.containsNUL {
            refusal = .task
        } else if let attempt = reference.attempt, !Limits.attempts.contains(Int64(attempt)) {
            refusal = .attempt
        } else {
            refusal = nil
        }
    }

    /// Begins to send. Ends by itself, when everything is delivered after the end of the execution or was given up.
    func begin() {
        if let refusal {
            // The ledger would refuse every event of it.
            state.withLock { $0.isStopped = true }
            return log(refusal, "\(reference.task)")
        }
        guard LiveReports.shared.insert(self) else { return }
        Task(name: "ledger-reports") {
            await run()
            LiveReports.shared.remove(self)
        }
    }

    // MARK: What the task calls

    var isSuperseded: Bool { state.withLock { $0.queue.isSuperseded } }
    var statistics: ReportStatistics { state.withLock { $0.queue.statistics } }

    func slot(_ label: Name?, _ file: StaticString, _ line: UInt) -> Int? {
        let label = label.flatMap { $0.text.utf8.isEmpty ? nil : $0 }
        if let label, label.scalarCount > Limits.labelLengths.upperBound || label.containsNUL {
            log(.label, file, line)
            return nil
        }
        guard let slot = state.withLock({ $0.queue.slot(label) }) else {
            log(.tooManyLabels, file, line)
            return nil
        }
        return slot
    }

    func take(_ slot: Int?, total: Int64, done: Int64, _ file: StaticString, _ line: UInt) -> Bool {
        // A label that cannot be was logged when it was lookupCompleted up.
        guard let slot, refusal == nil else {
            state.withLock { $0.queue.countInvalidCall() }
            return false
        }
        guard Limits.increments.contains(total), Limits.increments.contains(done) else {
            refuse(.units, file, line)
            return false
        }
        switch state.withLock({ $0.take(slot, total: total, done: done) }) {
        case .taken: return true
        case .news:
            signal.signal()
            return true
        case .ended: refuse(.ended, file, line)
        case .canceled: refuse(.canceled, file, line)
        }
        return false
    }

    private func refuse(_ refusal: Refusal, _ file: StaticString, _ line: UInt) {
        state.withLock { $0.queue.countInvalidCall() }
        log(refusal, file, line)
    }

    /// Logs the first refusal of each kind: the others are counted.
    private func log(_ refusal: Refusal, _ file: StaticString, _ line: UInt) { log(refusal, "\(file):\(line)") }

    private func log(_ refusal: Refusal, _ place: @autoclosure () -> String) {
        guard state.withLock({ $0.loggedRefusals.insert(refusal).inserted }) else { return }
        logger.error(
            "a report was refused", metadata: ["report.place": "\(place())", "report.reason": "\(refusal.reason)"])
    }

    /// - Returns: Whether the execution ends like this: not if the process was told to end before.
    @discardableResult
    func end(_ outcome: ExecutionOutcome) -> Bool {
        let isCanceled = state.withLock { state in
            state.queue.end(outcome, now: .now)
            return state.isCanceled
        }
        signal.signal()
        return !isCanceled
    }

    /// Ends the execution as canceled, if it has not ended, because the process ends. Nothing is taken after it.
    func cancel() {
        let isEnded = state.withLock { state in
            guard state.queue.end(.canceled, now: .now) else { return false }
            state.isCanceled = true
            return true
        }
        if isEnded { signal.signal() }
    }

    /// Takes nothing, because the execution begins after the process was told to end.
    func refuseAll() {
        state.withLock { state in
            state.isCanceled = true
            state.isStopped = true
        }
    }

    /// Waits until everything taken so far is delivered or given up; returns whether the ledger has all of it.
    ///
    /// A task that was cancelled waits like any other: its last reports are worth as much.
    ///
    /// - Parameter limit: How long at most; nil is the wait that all callers without a limit share.
    func flush(_ limit: Duration?) async -> Bool {
        await Task(name: "ledger-flush") { await waitForDelivery(limit) }.value
    }

    private func waitForDelivery(_ limit: Duration?) async -> Bool {
        let flush = AsyncSignal()
        let goal = state.withLock { state in
            let goal = state.queue.flush()
            if !state.isDone(goal) { state.flushes.append((flush, goal)) }
            return goal
        }
        signal.signal()
        if !state.withLock({ $0.isDone(goal) }) {
            let now = ContinuousClock.now
            // A longer wait is none that a timer can hold.
            let end = limit.map { now + min($0, .seconds(86_400)) } ?? client.contact.waitLimit(now: now)
            if now < end { await flush.wait(until: end) }
        }
        let (isOver, isDelivered) = state.withLock { state in
            state.flushes.removeAll { $0.signal === flush }
            let isDelivered =
                refusal == nil && state.queue.isSettled(goal) && state.queue.statistics.dropped == 0
            return (state.isDone(goal), isDelivered)
        }
        if !isOver, client.contact.isFirstFailure() {
            logger.warning(
                "the ledger has not answered in time; what it does not have is sent while the process lives",
                metadata: ["task": "\(reference.task)"])
        }
        return isDelivered
    }

    // MARK: Sending

    private func run() async {
        while true {
            switch state.withLock({ $0.queue.next(now: .now) }) {
            case .send(let events, let looks): await send(events, looks)
            case .look: await look()
            case .wait(let moment): await signal.wait(until: moment)
            case .stop:
                let dropped = state.withLock { state in
                    state.isStopped = true
                    return state.queue.statistics.dropped
                }
                if dropped > 0 {
                    logger.error(
                        "reports were given up",
                        metadata: ["report.dropped": "\(dropped)", "task": "\(reference.task)"])
                }
                wake()
                return
            }
        }
    }

    private func send(_ events: [EventDraft], _ looks: Bool) async {
        let wasSuperseded = isSuperseded
        do throws(LedgerClientError) {
            let answer = try await client.append(events, to: job, awaitsVerdicts: looks)
            client.contact.recordResponse()
            state.withLock { $0.queue.delivered(answer, now: .now) }
        } catch {
            note(error)
        }
        tell(wasSuperseded)
        wake()
    }

    /// Asks for the verdict of the event that started the execution, by its sequence: one event, whatever the history.
    private func look() async {
        guard let sequence = state.withLock({ $0.queue.startSequence }) else { return }
        var search = EventSearch()
        search.after = sequence - 1
        search.limit = 1
        let wasSuperseded = isSuperseded
        do throws(LedgerClientError) {
            let event = try await client.events(of: job, search).events.first
            state.withLock {
                $0.queue.lookupCompleted(event?.event.sequence == sequence ? event?.verdict : nil, now: .now)
            }
        } catch {
            state.withLock { $0.queue.lookupFailed(now: .now) }
        }
        tell(wasSuperseded)
    }

    private func note(_ error: LedgerClientError) {
        let isFinal: Bool
        switch error.code {
        case .invalid, .notFound, .conflict, .superseded, .tooLarge: isFinal = true
        default: isFinal = false
        }
        let isLogged: Bool
        if isFinal {
            client.contact.recordResponse()
            isLogged = state.withLock { state in
                state.queue.refused(error, now: .now)
                defer { state.hasLoggedRefusal = true }
                return !state.hasLoggedRefusal
            }
        } else {
            state.withLock { $0.queue.failed(error, now: .now, chance: .random(in: 0...1)) }
            isLogged = client.contact.isFirstFailure()
        }
        if isLogged {
            logger.warning(
                isFinal ? "the ledger refused reports; they are dropped" : "the ledger takes no reports; trying again",
                metadata: ["task": "\(reference.task)", "error": "\(error.message)"])
        }
    }

    private func tell(_ wasSuperseded: Bool) {
        guard !wasSuperseded, isSuperseded, let onSuperseded else { return }
        // What the task does there must not hold up its reports.
        Task(name: "ledger-superseded") { onSuperseded() }
    }

    /// Whoever waits for what is delivered now looks again.
    private func wake() {
        let done = state.withLock { state in state.flushes.filter { state.isDone($0.goal) } }
        for flush in done { flush.signal.signal() }
    }
}
