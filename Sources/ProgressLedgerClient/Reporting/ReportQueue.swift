import Ledger

/// What one execution has to report: decides what is sent when, and does nothing.
///
/// Increments of a label are added up until they are sent, so that memory is bounded by the labels, whatever a task
/// reports and however long the ledger is away. What is sent is frozen with its report numbers in a batch, which is
/// repeated as it is until it has an answer: so an answer that was lost makes nothing count twice.
struct ReportQueue: Sendable {
    /// What is to be done next.
    enum Step: Sendable {
        /// Send these events; with `looks`, ask what the fold makes of them, by which a zombie learns that it is one.
        case send([EventDraft], looks: Bool)
        /// Ask whether the start of the execution is superseded.
        case look
        /// Nothing until then, or until something happens.
        case wait(until: ContinuousClock.Instant?)
        /// Everything is delivered, or given up.
        case stop
    }

    /// How long a report waits for others at most.
    static let age: Duration = .seconds(1)
    /// How often it is asked whether a newer execution has started.
    static let lookInterval: Duration = .seconds(10)
    /// Pauses after failures: doubling from the first to the second.
    static let pauses: (first: Duration, longest: Duration) = (.milliseconds(200), .seconds(30))
    /// How long after its end an execution's last reports are still tried.
    static let lingerMax: Duration = .seconds(900)
    /// Labels with new increments in one batch; with the start and the finish it stays below 1 MiB.
    private static let labelsPerParcelMax = 1_000

    private struct Counter {
        let label: Name?
        var total: Int128 = 0
        var done: Int128 = 0
        /// Whether there is something to send, be it a heartbeat.
        var isPending = false
    }

    private struct Batch {
        let events: [EventDraft]
        let looks: Bool
        /// What is settled with it, of ``ReportQueue/emptied``.
        let empties: Int
    }

    private enum Ending {
        case open
        case wanted(ExecutionOutcome)
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
    /// How often everything that was pending was put into a batch, which of these times is settled, and the one that
    /// somebody waits for.
    private var emptied = 0
    private var settled = 0
    private var flushGoal = 0
    private var failures = 0
    private var retryAt: ContinuousClock.Instant?
    private var isUrgent = true
    private var nextLook: ContinuousClock.Instant?
    private(set) var startSequence: Int64?
    private(set) var isSuperseded = false
    private(set) var statistics = ReportStatistics()

    init(_ reference: ExecutionReference) {
        self.reference = reference
    }

    // MARK: Taking

    /// Where the increments of this label are added up; nil for one more than an execution may have.
    mutating func slot(_ label: Name?) -> Int? {
        if let known = slots[label] { return known }
        guard counters.count < Limits.labelsPerExecutionMax else { return nil }
        slots[label] = counters.count
        counters.append(Counter(label: label))
        return counters.count - 1
    }

    /// Adds up; returns whether whoever sends has to hear of it.
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

    /// Send what there is at once. Returns what to wait for: what is taken later is not waited for.
    mutating func flush() -> Int {
        let goal = hasNews ? emptied + 1 : emptied
        flushGoal = max(flushGoal, goal)
        return goal
    }

    /// Whether what a flush waits for is delivered, or given up.
    func isSettled(_ goal: Int) -> Bool { isSettled || settled >= goal }

    /// Ends the execution; returns whether it had not ended before.
    @discardableResult
    mutating func end(_ outcome: ExecutionOutcome, now: ContinuousClock.Instant) -> Bool {
        guard case .open = ending else { return false }
        ending = .wanted(outcome)
        endedAt = now
        isUrgent = true
        return true
    }

    /// Whether the execution has ended: nothing that is reported now would be of it.
    var hasEnded: Bool { endedAt != nil }

    /// Whether everything that was taken is delivered, or given up.
    var isSettled: Bool { batch == nil && !hasNews }

    /// Whether there is what no batch has yet.
    private var hasNews: Bool {
        if case .wanted = ending { return true }
        return pendingSince != nil || !isStartSent
    }

    // MARK: Sending

    mutating func next(now: ContinuousClock.Instant) -> Step {
        if let endedAt, endedAt.duration(to: now) > Self.lingerMax { return giveUp() }
        if let retryAt, retryAt > now { return .wait(until: retryAt) }
        if let batch { return .send(batch.events, looks: batch.looks) }
        if isSettled {
            if case .sent = ending { return .stop }
        } else {
            let due = isUrgent || flushGoal > emptied ? now : (pendingSince ?? now) + Self.age
            guard due <= now else { return .wait(until: due) }
            let made = makeBatch(now)
            batch = made
            return .send(made.events, looks: made.looks)
        }
        isUrgent = false
        guard !isSuperseded, startSequence != nil, let nextLook else { return .wait(until: nil) }
        return nextLook <= now ? .look : .wait(until: nextLook)
    }

    private mutating func makeBatch(_ now: ContinuousClock.Instant) -> Batch {
        var events: [EventDraft] = []
        if !isStartSent { events.append(EventDraft(.executionStarted(reference))) }
        isStartSent = true
        let largest = Int128(Limits.increments.upperBound)
        var isLeftOver = false
        for index in counters.indices where counters[index].isPending {
            guard events.count <= Self.labelsPerParcelMax else {
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
            emptied += 1
            if case .wanted(let outcome) = ending {
                events.append(EventDraft(.executionFinished(reference, outcome)))
                ending = .sent
            }
        }
        isUrgent = isUrgent && isLeftOver
        return Batch(
            events: events, looks: !isSuperseded && (nextLook.map { $0 <= now } ?? true), empties: emptied)
    }

    // MARK: Answers

    /// The batch was recorded.
    mutating func delivered(_ answer: Appended, now: ContinuousClock.Instant) {
        guard let sent = batch else { return }
        settle(sent)
        statistics.delivered &+= UInt64(sent.events.count)
        statistics.lastError = nil
        if startSequence == nil { startSequence = answer.sequences.lowerBound }
        if sent.looks { nextLook = now + Self.lookInterval }
        for verdict in answer.verdicts ?? [] {
            switch verdict {
            case .superseded: recordSuperseded()
            case .conflict, .overLimit: statistics.discarded &+= 1
            case .counted, .duplicate: break
            }
        }
    }

    /// The batch was not taken, or that is not known; it is repeated as it is.
    ///
    /// - Parameter chance: From 0 to 1, so that many tasks do not try again at the same moment.
    mutating func failed(_ error: LedgerClientError, now: ContinuousClock.Instant, chance: Double) {
        failures += 1
        statistics.failures &+= 1
        statistics.lastError = error.message
        let doubled = Self.pauses.first * (1 << min(failures - 1, 10))
        let pause = min(doubled, Self.pauses.longest) * (0.5 + chance / 2)
        retryAt = now + max(pause, min(error.retryAfter ?? .zero, .seconds(300)))
        nextLook = nextLook.map { max($0, now + pause) }
    }

    /// The ledger refuses the batch for good: it is dropped, lest it stop what follows.
    mutating func refused(_ error: LedgerClientError, now: ContinuousClock.Instant) {
        guard let refused = batch else { return }
        settle(refused)
        statistics.dropped &+= UInt64(refused.events.count)
        statistics.lastError = error.message
    }

    private mutating func settle(_ answered: Batch) {
        batch = nil
        settled = answered.empties
        failures = 0
        retryAt = nil
    }

    /// A look has failed, in whichever way; the next one is due as if it had not.
    mutating func lookupFailed(now: ContinuousClock.Instant) {
        nextLook = now + Self.lookInterval
        statistics.failures &+= 1
    }

    /// A look has found this verdict of the start; nil where it is not known.
    mutating func lookupCompleted(_ verdict: Verdict?, now: ContinuousClock.Instant) {
        nextLook = now + Self.lookInterval
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

/// What has become of the reports of one execution.
public struct ReportStatistics: Hashable, Sendable {
    /// Calls of `add` and `done` that were taken.
    public var taken: UInt64 = 0
    /// Calls that were refused, because what they said cannot be, or after the end: they have changed nothing.
    public var refused: UInt64 = 0
    /// Events that the ledger has recorded. Fewer than were taken, since increments are added up.
    public var delivered: UInt64 = 0
    /// Events that the ledger has recorded and discarded.
    public var discarded: UInt64 = 0
    /// Events that were given up: the ledger refused them, or was away for too long after the end.
    public var dropped: UInt64 = 0
    /// Requests that failed and were, or will be, repeated.
    public var failures: UInt64 = 0
    /// Why the last one failed, while none has gone well since.
    public var lastError: String?
    /// Whether a newer execution of the task has started.
    public var isSuperseded = false
}
