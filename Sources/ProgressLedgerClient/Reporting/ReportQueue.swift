import Ledger

/// The unsent reports of one execution, and the decision which to send when.
///
/// It decides and performs no input or output. The increments of a label are added up until they are sent; memory is
/// therefore bounded by the number of labels, however much a task reports and however long the ledger is unreachable.
/// A batch is frozen with its report numbers and repeated unchanged until it has a response, so a lost response makes
/// nothing count twice.
struct ReportQueue: Sendable {
    /// The next action.
    enum Step: Sendable {
        /// Send these events; with `awaitsVerdicts`, request their verdicts.
        ///
        /// The verdicts show a zombie that its execution is superseded.
        case send([EventDraft], awaitsVerdicts: Bool)
        /// Read the verdict of the event that started the execution.
        case readStartVerdict
        /// Wait until this moment, or until the next call.
        case wait(until: ContinuousClock.Instant?)
        /// Stop: everything is delivered or given up.
        case stop
    }

    /// The longest time that a report waits for others.
    static let delayMax: Duration = .seconds(1)
    /// The interval of checks whether a newer execution has started.
    static let verdictInterval: Duration = .seconds(10)
    /// The pauses after failures, which double from the first to the longest.
    static let pauses: (first: Duration, longest: Duration) = (.milliseconds(200), .seconds(30))
    /// The time after its end in which an execution's last reports are still sent.
    static let deliveryTimeAfterEnd: Duration = .seconds(900)
    /// The most labels with new increments in one batch.
    ///
    /// A batch of this size, with the start and the finish, stays below 1 MiB.
    private static let labelsPerBatchMax = 1_000

    private struct Counter {
        let label: Name?
        var total: Int128 = 0
        var done: Int128 = 0
        /// Whether something must be sent, be it only a heartbeat.
        var isPending = false
    }

    private struct Batch {
        let events: [EventDraft]
        let awaitsVerdicts: Bool
        /// The value of ``ReportQueue/drains`` that this batch completes.
        let drains: Int
    }

    private enum Ending {
        case open
        case requested(ExecutionOutcome)
        case sent
    }

    private let reference: ExecutionReference
    private var counters: [Counter] = []
    private var slots: [Name?: Int] = [:]
    private var pendingSince: ContinuousClock.Instant?
    private var isStartSent = false
    private var ending = Ending.open
    private var endedAt: ContinuousClock.Instant?
    private var nextReport: Int64 = 1
    private var batch: Batch?
    /// The number of times that a batch took everything that was pending.
    private var drains = 0
    /// The value of `drains` at the last batch that was delivered or given up.
    private var settledDrains = 0
    /// The highest value of `drains` that a flush waits for.
    private var flushGoal = 0
    private var failures = 0
    private var retryAt: ContinuousClock.Instant?
    private var isUrgent = true
    private var nextVerdictAt: ContinuousClock.Instant?
    private(set) var startSequence: Int64?
    private(set) var isSuperseded = false
    private(set) var statistics = ReportStatistics()

    init(_ reference: ExecutionReference) {
        self.reference = reference
    }

    // MARK: Reports

    /// Returns the index of the label's counter, or nil if there are too many labels.
    mutating func slot(_ label: Name?) -> Int? {
        if let slot = slots[label] { return slot }
        guard counters.count < Limits.labelsPerExecutionMax else { return nil }
        slots[label] = counters.count
        counters.append(Counter(label: label))
        return counters.count - 1
    }

    /// Adds increments to a counter, and returns whether the sender must be woken.
    mutating func take(_ slot: Int, total: Int64, done: Int64, now: () -> ContinuousClock.Instant) -> Bool {
        counters[slot].total += Int128(total)
        counters[slot].done += Int128(done)
        counters[slot].isPending = true
        statistics.taken &+= 1
        guard pendingSince == nil else { return false }
        pendingSince = now()
        return true
    }

    mutating func countInvalidCall() { statistics.refused &+= 1 }

    /// Makes everything reported so far due, and returns the goal to wait for.
    ///
    /// Later reports are not part of the goal.
    mutating func flush() -> Int {
        let goal = hasUnbatched ? drains + 1 : drains
        flushGoal = max(flushGoal, goal)
        return goal
    }

    /// Whether the reports of a flush are delivered or given up.
    func isSettled(_ goal: Int) -> Bool { isSettled || settledDrains >= goal }

    /// Ends the execution, and returns false if it had ended already.
    @discardableResult
    mutating func end(_ outcome: ExecutionOutcome, now: ContinuousClock.Instant) -> Bool {
        guard case .open = ending else { return false }
        ending = .requested(outcome)
        endedAt = now
        isUrgent = true
        return true
    }

    /// Whether the execution has ended, so that reports are no longer accepted.
    var hasEnded: Bool { endedAt != nil }

    /// Whether all accepted reports are delivered or given up.
    var isSettled: Bool { batch == nil && !hasUnbatched }

    /// Whether something is pending that is in no batch yet.
    private var hasUnbatched: Bool {
        if case .requested = ending { return true }
        return pendingSince != nil || !isStartSent
    }

    // MARK: Sending

    mutating func next(now: ContinuousClock.Instant) -> Step {
        if let endedAt, endedAt.duration(to: now) > Self.deliveryTimeAfterEnd { return giveUp() }
        if let retryAt, retryAt > now { return .wait(until: retryAt) }
        if let batch { return .send(batch.events, awaitsVerdicts: batch.awaitsVerdicts) }
        if isSettled {
            if case .sent = ending { return .stop }
        } else {
            let due = isUrgent || flushGoal > drains ? now : (pendingSince ?? now) + Self.delayMax
            guard due <= now else { return .wait(until: due) }
            let made = makeBatch(now)
            batch = made
            return .send(made.events, awaitsVerdicts: made.awaitsVerdicts)
        }
        isUrgent = false
        guard !isSuperseded, startSequence != nil, let nextVerdictAt else { return .wait(until: nil) }
        return nextVerdictAt <= now ? .readStartVerdict : .wait(until: nextVerdictAt)
    }

    private mutating func makeBatch(_ now: ContinuousClock.Instant) -> Batch {
        var events: [EventDraft] = []
        if !isStartSent { events.append(EventDraft(.executionStarted(reference))) }
        isStartSent = true
        let largest = Int128(Limits.increments.upperBound)
        var isLeftOver = false
        for index in counters.indices where counters[index].isPending {
            guard events.count <= Self.labelsPerBatchMax else {
                isLeftOver = true
                break
            }
            let (total, done) = (min(counters[index].total, largest), min(counters[index].done, largest))
            events.append(
                EventDraft(
                    .progress(
                        ProgressReport(
                            reference: reference, report: nextReport, label: counters[index].label,
                            total: total == 0 ? nil : Int64(total), done: done == 0 ? nil : Int64(done)))))
            nextReport += 1
            counters[index].total -= total
            counters[index].done -= done
            counters[index].isPending = counters[index].total > 0 || counters[index].done > 0
            isLeftOver = isLeftOver || counters[index].isPending
        }
        if isLeftOver {
            pendingSince = now
        } else {
            pendingSince = nil
            drains += 1
            if case .requested(let outcome) = ending {
                events.append(EventDraft(.executionFinished(reference, outcome)))
                ending = .sent
            }
        }
        isUrgent = isUrgent && isLeftOver
        return Batch(
            events: events, awaitsVerdicts: !isSuperseded && (nextVerdictAt.map { $0 <= now } ?? true),
            drains: drains)
    }

    // MARK: Responses

    /// Records that the ledger has recorded the batch.
    mutating func delivered(_ result: Appended, now: ContinuousClock.Instant) {
        guard let sent = batch else { return }
        settle(sent)
        statistics.delivered &+= UInt64(sent.events.count)
        statistics.lastError = nil
        if startSequence == nil { startSequence = result.sequences.lowerBound }
        if sent.awaitsVerdicts { nextVerdictAt = now + Self.verdictInterval }
        for verdict in result.verdicts ?? [] {
            switch verdict {
            case .superseded: recordSuperseded()
            case .conflict, .overLimit: statistics.discarded &+= 1
            case .counted, .duplicate: break
            }
        }
    }

    /// Records that the batch was not recorded or its outcome is unknown.
    ///
    /// The batch is repeated unchanged after a pause.
    ///
    /// - Parameter chance: A random number from 0 to 1, which keeps many tasks from trying again at the same moment.
    mutating func failed(_ error: LedgerClientError, now: ContinuousClock.Instant, chance: Double) {
        failures += 1
        statistics.failures &+= 1
        statistics.lastError = error.message
        let doubled = Self.pauses.first * (1 << min(failures - 1, 10))
        let pause = min(doubled, Self.pauses.longest) * (0.5 + chance / 2)
        retryAt = now + max(pause, min(error.retryAfter ?? .zero, .seconds(300)))
        nextVerdictAt = nextVerdictAt.map { max($0, now + pause) }
    }

    /// Records that the ledger refused the batch permanently.
    ///
    /// The batch is dropped, because it would block the reports after it.
    mutating func refused(_ error: LedgerClientError, now: ContinuousClock.Instant) {
        guard let refused = batch else { return }
        settle(refused)
        statistics.dropped &+= UInt64(refused.events.count)
        statistics.lastError = error.message
    }

    private mutating func settle(_ finished: Batch) {
        batch = nil
        settledDrains = finished.drains
        failures = 0
        retryAt = nil
    }

    /// Records that reading the start's verdict failed; the next try is due as usual.
    mutating func verdictFailed(now: ContinuousClock.Instant) {
        nextVerdictAt = now + Self.verdictInterval
        statistics.failures &+= 1
    }

    /// Records the start's verdict; nil if it is unknown.
    mutating func verdictRead(_ verdict: Verdict?, now: ContinuousClock.Instant) {
        nextVerdictAt = now + Self.verdictInterval
        failures = 0
        retryAt = nil
        if verdict == .superseded { recordSuperseded() }
    }

    private mutating func recordSuperseded() {
        isSuperseded = true
        statistics.isSuperseded = true
    }

    private mutating func giveUp() -> Step {
        statistics.dropped &+= UInt64(batch?.events.count ?? 0)
        statistics.dropped &+= UInt64(counters.count { $0.isPending })
        batch = nil
        pendingSince = nil
        isStartSent = true
        ending = .sent
        return .stop
    }
}

/// The counters of one execution's reports.
public struct ReportStatistics: Hashable, Sendable {
    /// The accepted calls of `add` and `done`.
    public var taken: UInt64 = 0
    /// The refused calls, which changed nothing.
    ///
    /// A call is refused if its values are invalid or the execution has ended.
    public var refused: UInt64 = 0
    /// The events that the ledger has recorded.
    ///
    /// They are fewer than the accepted calls, because increments are added up.
    public var delivered: UInt64 = 0
    /// The events that the ledger has recorded and discarded.
    public var discarded: UInt64 = 0
    /// The events that were given up.
    ///
    /// The ledger refused them, or was unreachable for too long after the end of the execution.
    public var dropped: UInt64 = 0
    /// The failed requests that were or will be repeated.
    public var failures: UInt64 = 0
    /// The reason of the last failure; nil after a success.
    public var lastError: String?
    /// Whether a newer execution of the task has started.
    public var isSuperseded = false
}
