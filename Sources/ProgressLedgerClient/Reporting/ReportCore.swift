import Ledger
import Logging
import Synchronization

/// Does what a ``ReportQueue`` decides.
final class ReportCore: Sendable {
    private struct State {
        var queue: ReportQueue
        /// Who waits until what was taken before is delivered.
        var flushes: [(bell: Bell, goal: Int)] = []
        var isStopped = false
        /// Whether the process ends, and nothing more is taken.
        var isClosed = false
        /// Whether something was reported after that, so that an end would be one with a wrong number.
        var hasMissed = false
        /// Whether it was logged that the ledger is away; once in an outage.
        var hasLoggedFailure = false
        var refusalsLogged = 0

        mutating func take(_ slot: Int, total: Int64, done: Int64) -> Taking {
            guard !isStopped, !queue.hasEnded else { return .ended }
            guard !isClosed else {
                hasMissed = true
                return .closed
            }
            return queue.take(slot, total: total, done: done) { .now } ? .news : .taken
        }

        func isDone(_ goal: Int) -> Bool { isStopped || queue.isSettled(goal) }
    }

    private enum Taking {
        /// With nothing or with something to tell whoever sends.
        case taken, news
        /// Refused.
        case ended, closed
    }

    private let state: Mutex<State>
    private let bell = Bell()
    private let reference: ExecutionReference
    private let job: JobID
    private let client: LedgerClient
    private let logger: Logger
    private let onSuperseded: (@Sendable () -> Void)?

    /// Refused calls that are logged, of one execution.
    private static let refusalsLoggedMax = 10

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
    }

    /// Begins to send. Ends by itself, when everything is delivered after the end of the execution or was given up.
    func begin() {
        LiveReports.shared.insert(self)
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
            refuse(
                "a label has at most \(Limits.labelLengths.upperBound) Unicode scalars and no U+0000", file, line)
            return nil
        }
        guard let slot = state.withLock({ $0.queue.slot(label) }) else {
            refuse("an execution has at most \(Limits.labelsPerExecutionMax) labels", file, line)
            return nil
        }
        return slot
    }

    func take(_ slot: Int?, total: Int64, done: Int64, _ file: StaticString, _ line: UInt) -> Bool {
        guard let slot else {
            state.withLock { $0.queue.noteRefusedCall() }
            return false
        }
        guard Limits.increments.contains(total), Limits.increments.contains(done) else {
            refuse("units are from 0 to \(Limits.increments.upperBound), not \(total == 0 ? done : total)", file, line)
            return false
        }
        switch state.withLock({ $0.take(slot, total: total, done: done) }) {
        case .taken: return true
        case .news:
            bell.ring()
            return true
        case .ended: refuse("the execution has ended", file, line)
        case .closed: refuse("the process was told to end, and what was reported before is being sent", file, line)
        }
        return false
    }

    private func refuse(_ reason: String, _ file: StaticString, _ line: UInt) {
        let isLogged = state.withLock { state in
            state.queue.noteRefusedCall()
            state.refusalsLogged += 1
            return state.refusalsLogged <= Self.refusalsLoggedMax
        }
        if isLogged {
            logger.error(
                "a report was refused", metadata: ["report.place": "\(file):\(line)", "report.reason": "\(reason)"])
        }
    }

    /// - Returns: Whether the end is taken: not where something was refused before, which it would not be the end of.
    @discardableResult
    func end(_ outcome: ExecutionOutcome) -> Bool {
        let isEnded = state.withLock { state in
            guard !state.hasMissed else { return false }
            state.queue.end(outcome, now: .now)
            return true
        }
        if isEnded { bell.ring() }
        return isEnded
    }

    /// Takes nothing more, since the process ends: so nothing is taken that would be lost.
    func close() { state.withLock { $0.isClosed = true } }

    /// Waits until everything taken so far is delivered or given up; returns whether the ledger has all of it. A task
    /// that was cancelled waits like any other: its last reports are worth as much.
    func flush(_ limit: Duration) async -> Bool {
        await Task(name: "ledger-flush") { await waitForDelivery(limit) }.value
    }

    private func waitForDelivery(_ limit: Duration) async -> Bool {
        let flush = Bell()
        let goal = state.withLock { state in
            let goal = state.queue.flush()
            if !state.isDone(goal) { state.flushes.append((flush, goal)) }
            return goal
        }
        bell.ring()
        if !state.withLock({ $0.isDone(goal) }) { await flush.wait(until: .now + limit) }
        return state.withLock { state in
            state.flushes.removeAll { $0.bell === flush }
            return state.queue.isSettled(goal) && state.queue.statistics.dropped == 0
        }
    }

    // MARK: Sending

    private func run() async {
        while true {
            switch state.withLock({ $0.queue.next(now: .now) }) {
            case .send(let events, let looks): await send(events, looks)
            case .look: await look()
            case .wait(let moment): await bell.wait(until: moment)
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
            state.withLock { state in
                state.queue.delivered(answer, now: .now)
                state.hasLoggedFailure = false
            }
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
            state.withLock { $0.queue.looked(event?.event.sequence == sequence ? event?.verdict : nil, now: .now) }
        } catch {
            state.withLock { $0.queue.lookFailed(now: .now) }
        }
        tell(wasSuperseded)
    }

    private func note(_ error: LedgerClientError) {
        let isFinal: Bool
        switch error.code {
        case .invalid, .notFound, .conflict, .superseded, .tooLarge: isFinal = true
        default: isFinal = false
        }
        let isLogged = state.withLock { state in
            if isFinal {
                state.queue.refused(error, now: .now)
                return true
            }
            state.queue.failed(error, now: .now, chance: .random(in: 0...1))
            defer { state.hasLoggedFailure = true }
            return !state.hasLoggedFailure
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
        for flush in done { flush.bell.ring() }
    }
}
