import Ledger

/// Holds the unsent reports of one execution, and decides when to send them.
///
/// It performs no input or output. The increments of a label are added up until they are batched; memory is therefore
/// bounded by the number of labels, however much a task reports and however long the ledger is unreachable. A batch is
/// frozen with its report numbers and repeated unchanged until it has a response, so a lost response makes nothing
/// count twice.
///
/// The reports in no batch form a *generation*, with the number `batched + 1`. A flush waits until that is settled, or
/// number `batched` if there are no such reports. `batched` is the last generation that is completely in batches;
/// `settled` the last one that is completely delivered or abandoned.
struct ReportBuffer: Sendable {
    /// The next action.
    enum Step: Sendable {
        /// Send these events; with `awaitsVerdicts`, request their verdicts.
        ///
        /// The verdicts show whether the execution is superseded, although it still runs.
        case send([EventDraft], awaitsVerdicts: Bool)
        /// Read the verdict of the event that started the execution.
        case readStartVerdict
        /// Wait until this moment, or until the next call.
        case wait(until: ContinuousClock.Instant?)
        /// Stop: everything is delivered or abandoned.
        case stop
    }

    /// The handling of a batch after a request that failed.
    enum FailureResult: Hashable, Sendable {
        /// It is sent again after a pause.
        case retried
        /// Its halves are sent, one after the other.
        case divided
        /// The ledger refused events permanently, which are dropped.
        case dropped
        /// The same events are sent again without refused optional fields.
        case stripped
    }

    /// The longest time that a report waits for others.
    static let delayMax: Duration = .seconds(1)
    /// The time without anything to send after which the start is repeated.
    ///
    /// It shows that the execution lives. The ledger allows half as long again until it is silent.
    static let heartbeatInterval: Duration = .seconds(30)
    /// The interval of checks whether a newer execution has started.
    static let verdictInterval: Duration = .seconds(10)
    /// The pauses after failures, which double from the first to the longest.
    static let pauses: (first: Duration, longest: Duration) = (.milliseconds(200), .seconds(30))
    /// The longest pause that the ledger may ask for.
    static let requestedPauseMax: Duration = .seconds(300)
    /// The largest part of such a pause that is added at random.
    ///
    /// The ledger asks all executions for the same pause.
    static let requestedPauseSpread = 0.1
    /// The time after its end in which an execution's last reports are still sent.
    static let deliveryTimeAfterEnd: Duration = .seconds(900)
    /// The most events in one batch.
    ///
    /// The ledger accepts 10,000, but a batch of this size stays below 1 MiB.
    static let eventsPerBatchMax = 1_000

    private enum Ending {
        case open
        case requested(ExecutionOutcome)
        case batched
    }

    private let reference: ExecutionReference
    /// The name of this process within an execution that another process has started.
    ///
    /// That process sends the start and the end. Nil in that process, and for a ledger that knows no parts.
    var part: Name?
    /// Whether another process starts and ends the execution.
    let isAttached: Bool
    /// Whether the ledger has recorded a report.
    ///
    /// Before, an execution that another process starts may not have started, because the job is canceled.
    var hasRecordedReport = false
    /// The optional fields that the ledger knows.
    ///
    /// Shared by all executions of the client.
    let fields: FieldSupport
    private let startLink: Name?
    private var endNotes: (message: Name?, link: Name?) = (nil, nil)
    private var indicators: [PendingIndicator] = []
    private var indicatorIndices: [Name?: Int] = [:]
    /// The indexes of the pending indicators, in the order of their first report.
    ///
    /// The ledger shows indicators in the order in which events first name them.
    private var pendingIndicators: [Int] = []
    /// The time of the first report in no batch.
    ///
    /// Nil if no indicator is pending.
    private var pendingSince: ContinuousClock.Instant?
    private var isStartBatched = false
    private var ending = Ending.open
    private var endedAt: ContinuousClock.Instant?
    var nextReport: Int64 = 1
    /// The frozen batches, of which only the first is in flight.
    ///
    /// At most one, or the pieces of one that was divided.
    var batches: [Batch] = []
    /// The most events in a batch.
    ///
    /// It is smaller after the server or a proxy refused a larger batch.
    private var eventsMax = ReportBuffer.eventsPerBatchMax
    private var generations = Generations()
    private var failures = 0
    private var retryAt: ContinuousClock.Instant?
    /// The end of the pause that the ledger asked for, never later than `retryAt`.
    private var requestedRetryAt: ContinuousClock.Instant?
    /// Whether the next batch is sent at once, as at the start and at the end.
    private var isUrgent = true
    /// The time of the next request for verdicts; nil before the first response to one.
    private var nextVerdictAt: ContinuousClock.Instant?
    /// The new end of the job, until the task is notified of it; nil if there is none.
    private var newJobEnd: JobState?
    /// The time at which the start is repeated if there is nothing else to send.
    private var heartbeatAt: ContinuousClock.Instant?
    private(set) var startSequence: EventSequence?
    private(set) var isSuperseded = false
    /// The fields that the ledger does not know and nothing has logged.
    var newUnknownFields: EventField = []
    /// Whether everything unsent was dropped and nothing will be sent any more.
    private var isGivenUp = false
    private var counts = ReportStatistics()

    /// The counters of the reports so far.
    var statistics: ReportStatistics {
        var statistics = counts
        statistics.pending = pendingEvents
        return statistics
    }

    /// Creates the buffer of a new execution or of a part of one.
    ///
    /// - Parameters:
    ///   - part: The name of the part; nil for a new execution.
    ///   - link: The link of the start.
    ///   - fields: The optional fields that the ledger knows.
    init(
        _ reference: ExecutionReference, part: Name? = nil, link: Name? = nil, fields: FieldSupport = FieldSupport()
    ) {
        self.reference = reference
        self.part = part
        self.fields = fields
        isAttached = part != nil
        startLink = link
        isStartBatched = isAttached
        isUrgent = !isAttached
    }

    // MARK: Reports

    /// Returns the index of a label's indicator, or nil if there are too many labels.
    mutating func indicator(of label: Name?) -> Int? {
        if let indicator = indicatorIndices[label] { return indicator }
        guard indicators.count < Limits.labelsPerExecutionMax else { return nil }
        indicatorIndices[label] = indicators.count
        indicators.append(PendingIndicator(label: label))
        return indicators.count - 1
    }

    /// Adds increments to an indicator, and returns whether the sender must be woken.
    mutating func accept(_ indicator: Int, total: Int64, done: Int64, now: () -> ContinuousClock.Instant) -> Bool {
        counts.taken &+= 1
        guard !isGivenUp else {
            counts.dropped &+= 1
            return false
        }
        indicators[indicator].add(total: total, done: done)
        return makePending(indicator, now)
    }

    /// Adds a report with notes, a position or carried units.
    ///
    /// Returns whether the sender must be woken.
    mutating func accept(_ indicator: Int, _ report: DetailedReport, now: () -> ContinuousClock.Instant) -> Bool {
        counts.taken &+= 1
        guard !isGivenUp else {
            counts.dropped &+= 1
            return false
        }
        return indicators[indicator].add(report) && makePending(indicator, now)
    }

    private mutating func makePending(_ indicator: Int, _ now: () -> ContinuousClock.Instant) -> Bool {
        if !indicators[indicator].isPending {
            indicators[indicator].isPending = true
            pendingIndicators.append(indicator)
        }
        guard pendingSince == nil else { return false }
        pendingSince = now()
        return true
    }

    /// Sets the unit of an indicator, which goes with its next report.
    mutating func setUnit(_ unit: Name, of indicator: Int) { indicators[indicator].setUnit(unit) }

    /// Counts notes that are lost, while their units count.
    mutating func countDroppedNotes(_ count: UInt64) {
        counts.dropped &+= count
        counts.droppedNotes &+= count
    }

    mutating func countRefusedCall() {
        counts.refused &+= 1
        counts.dropped &+= 1
    }

    /// Makes everything reported so far due, and returns its generation.
    mutating func flush() -> Int {
        let generation = hasUnbatched ? generations.batched + 1 : generations.batched
        generations.awaited = max(generations.awaited, generation)
        return generation
    }

    /// Whether the reports of a generation are delivered or abandoned.
    func isSettled(_ generation: Int) -> Bool { isEmpty || generations.settled >= generation }

    /// Ends the execution, and returns false if it had ended already.
    ///
    /// One request follows at once, whatever the buffer's own pause: the process may end soon. A pause that the ledger
    /// asked for remains. The end of a part ends only its own reports.
    @discardableResult
    mutating func end(
        _ outcome: ExecutionOutcome, message: Name? = nil, link: Name? = nil, now: ContinuousClock.Instant
    ) -> Bool {
        guard !hasEnded else { return false }
        endedAt = now
        guard !isGivenUp else {
            if !isAttached { counts.dropped &+= 1 }
            return true
        }
        endNotes = (message, link)
        ending = isAttached ? .batched : .requested(outcome)
        isUrgent = true
        retryAt = requestedRetryAt
        return true
    }

    /// Whether the execution has ended, so that reports are no longer accepted.
    var hasEnded: Bool { endedAt != nil }

    /// Whether all accepted reports are delivered or abandoned.
    var isEmpty: Bool { batches.isEmpty && !hasUnbatched }

    /// Whether something is pending that is in no batch yet.
    private var hasUnbatched: Bool {
        if case .requested = ending { return true }
        return pendingSince != nil || !isStartBatched
    }

    /// The number of events that the ledger has not recorded yet.
    private var pendingEvents: UInt64 {
        var count = batches.reduce(pendingIndicators.count) { $0 + ($1.isHeartbeat ? 0 : $1.events.count) }
        if !isStartBatched { count += 1 }
        if case .requested = ending { count += 1 }
        return UInt64(count)
    }

    // MARK: Sending

    /// Returns the next step.
    ///
    /// In this order: give up, wait for the end of a pause, send the frozen batch, freeze and send a new one, repeat
    /// the start, find out whether the execution is superseded, wait.
    mutating func next(now: ContinuousClock.Instant) -> Step {
        if let endedAt, endedAt.duration(to: now) >= Self.deliveryTimeAfterEnd { giveUp() }
        if isGivenUp { return .stop }
        if let retryAt, retryAt > now {
            return .wait(until: endedAt.map { min(retryAt, $0 + Self.deliveryTimeAfterEnd) } ?? retryAt)
        }
        if hasEnded, batches.first?.isHeartbeat == true { batches.removeFirst() }
        if let batch = batches.first { return .send(batch.events, awaitsVerdicts: batch.awaitsVerdicts) }
        if hasUnbatched {
            let isDue = isUrgent || generations.awaited > generations.batched
            let due = isDue ? now : (pendingSince ?? now) + Self.delayMax
            guard due <= now else { return .wait(until: due) }
            let made = makeBatch(now)
            batches = [made]
            return .send(made.events, awaitsVerdicts: made.awaitsVerdicts)
        }
        if case .batched = ending { return .stop }
        // An attached part has no start: it repeats none and reads no verdict.
        guard !isSuperseded, startSequence != nil, let nextVerdictAt else { return .wait(until: nil) }
        // After the end of the job, the ledger shows no silence, so no start is repeated.
        let heartbeatAt = counts.jobEnded == nil ? heartbeatAt : nil
        if let heartbeatAt, heartbeatAt <= now {
            let start = EventDraft(.executionStarted(reference))
            let made = Batch(events: [start], awaitsVerdicts: nextVerdictAt <= now, isHeartbeat: true)
            batches = [made]
            return .send(made.events, awaitsVerdicts: made.awaitsVerdicts)
        }
        return nextVerdictAt <= now ? .readStartVerdict : .wait(until: min(nextVerdictAt, heartbeatAt ?? nextVerdictAt))
    }

    private mutating func makeBatch(_ now: ContinuousClock.Instant) -> Batch {
        var events: [EventDraft] = []
        if !isStartBatched { events.append(EventDraft(.executionStarted(reference), link: startLink)) }
        isStartBatched = true
        while let indicator = pendingIndicators.first, events.count < eventsMax {
            events.append(indicators[indicator].takeEvent(of: reference, part: part, report: nextReport))
            nextReport += 1
            if !indicators[indicator].isPending { pendingIndicators.removeFirst() }
        }
        var isLeftOver = !pendingIndicators.isEmpty
        if case .requested(let outcome) = ending, !isLeftOver {
            if events.count < eventsMax {
                events.append(
                    EventDraft(.executionFinished(reference, outcome), message: endNotes.message, link: endNotes.link))
                ending = .batched
            } else {
                isLeftOver = true
            }
        }
        if !isLeftOver {
            pendingSince = nil
            isUrgent = false
            generations.batched += 1
        }
        // Leaves out fields that the ledger does not know. A report without its part gets a new number.
        let unknown = fields.unknown
        for index in events.indices { events[index] = events[index].without(unknown) { numberWithoutPart() } }
        return Batch(
            events: events, awaitsVerdicts: !isSuperseded && (nextVerdictAt.map { $0 <= now } ?? true),
            completesGeneration: isLeftOver ? nil : generations.batched)
    }

    // MARK: Responses

    /// Records that the ledger has recorded the batch.
    mutating func delivered(_ result: Appended, now: ContinuousClock.Instant) {
        guard let sent = batches.first else { return }
        removeFirstBatch()
        counts.lastError = nil
        recordJobState(result.jobState)
        if startSequence == nil, !isAttached { startSequence = result.sequences.lowerBound }
        hasRecordedReport = true
        fields.record(sent.events.reduce(into: []) { $0.formUnion($1.optionalFields) })
        if sent.awaitsVerdicts { nextVerdictAt = now + Self.verdictInterval }
        heartbeatAt = now + Self.heartbeatInterval
        var discarded: UInt64 = 0
        for verdict in result.verdicts ?? [] {
            switch verdict {
            case .superseded: recordSuperseded()
            case .conflict, .overLimit: discarded += 1
            // If the batch was sent before, that try was recorded. Otherwise another reporter uses the same execution
            // name, and the report is discarded.
            case .duplicate: discarded += sent.isResent ? 0 : 1
            case .counted: break
            }
        }
        guard !sent.isHeartbeat else { return }
        counts.delivered &+= UInt64(sent.events.count) &- discarded
        counts.discarded &+= discarded
        counts.dropped &+= discarded
    }

    /// Records a request that failed.
    ///
    /// - Parameter chance: A random number from 0 to 1, which keeps many tasks from trying again at the same moment.
    @discardableResult
    mutating func failed(
        _ error: LedgerClientError, now: ContinuousClock.Instant, chance: Double
    ) -> FailureResult {
        counts.failures &+= 1
        counts.lastError = error.message
        // No batch is left if ``giveUp()`` was called during the request.
        guard let sent = batches.first else { return .retried }
        let refused = error.refusedFields(of: sent.events)
        if !refused.isEmpty, [400, 422].contains(error.status) { return strip(refused, error, now, chance) }
        switch ReportDisposition(error, events: sent.events.count) {
        case .retryable:
            retry(after: error.retryAfter, now: now, chance: chance)
            return .retried
        case .noSuchJob:
            giveUp()
            return .dropped
        case .jobCanceled:
            recordJobState(.canceled)
            giveUp()
            return .dropped
        case .tooLarge:
            if sent.events.count > 1 { eventsMax = min(eventsMax, sent.events.count / 2) }
            return divideFirstBatch()
        case .refused(let positions):
            return positions.isEmpty ? divideFirstBatch() : dropFromFirstBatch(positions)
        }
    }

    /// Repeats the batch unchanged after a pause.
    mutating func retry(after requested: Duration?, now: ContinuousClock.Instant, chance: Double) {
        failures += 1
        batches[0].isResent = true
        let doubled = Self.pauses.first * (1 << min(failures - 1, 10))
        let pause = min(doubled, Self.pauses.longest) * (0.5 + chance / 2)
        requestedRetryAt = requested.map {
            now + min($0, Self.requestedPauseMax) * (1 + chance * Self.requestedPauseSpread)
        }
        let own = now + pause
        retryAt = requestedRetryAt.map { max($0, own) } ?? own
        // The verdict is not read during the pause either.
        nextVerdictAt = nextVerdictAt.map { max($0, own) }
    }

    /// Sends the first batch in halves, or drops it if it has one event.
    ///
    /// The halves keep their report numbers: if the whole was recorded after all, they change nothing.
    private mutating func divideFirstBatch() -> FailureResult {
        let whole = batches[0]
        guard whole.events.count > 1 else { return dropFromFirstBatch([0]) }
        var (first, second) = (whole, whole)
        let middle = whole.events.count / 2
        first.events = Array(whole.events[..<middle])
        first.completesGeneration = nil
        second.events = Array(whole.events[middle...])
        first.isResent = true
        second.isResent = true
        batches.replaceSubrange(0...0, with: [first, second])
        clearPause()
        return .divided
    }

    /// Drops the refused events of the first batch, and keeps the others.
    ///
    /// The refused events would block the reports after them.
    private mutating func dropFromFirstBatch(_ positions: [Int]) -> FailureResult {
        let batch = batches[0]
        if !batch.isHeartbeat { counts.dropped &+= UInt64(positions.count) }
        let kept = batch.events.indices.filter { !positions.contains($0) }
        if kept.isEmpty {
            removeFirstBatch()
        } else {
            batches[0].events = kept.map { batch.events[$0] }
            clearPause()
        }
        return .dropped
    }

    /// Removes the batch in flight, which is recorded or dropped.
    private mutating func removeFirstBatch() {
        if let generation = batches.removeFirst().completesGeneration { generations.settled = generation }
        clearPause()
    }

    mutating func clearPause() {
        failures = 0
        retryAt = nil
        requestedRetryAt = nil
    }

    /// Records that reading the start's verdict failed; the next try is due as usual.
    mutating func verdictFailed(now: ContinuousClock.Instant) {
        nextVerdictAt = now + Self.verdictInterval
        counts.failures &+= 1
    }

    /// Records the start's verdict; nil if it is unknown.
    mutating func verdictRead(_ verdict: Verdict?, now: ContinuousClock.Instant) {
        nextVerdictAt = now + Self.verdictInterval
        clearPause()
        if verdict == .superseded { recordSuperseded() }
    }

    private mutating func recordSuperseded() {
        isSuperseded = true
        counts.isSuperseded = true
    }

    /// Records the state of the job in a response; nil changes nothing.
    private mutating func recordJobState(_ state: JobState?) {
        guard let state else { return }
        let ended = state == .running ? nil : state
        if ended != counts.jobEnded { newJobEnd = ended }
        counts.jobEnded = ended
    }

    /// Takes a new end of the job, to notify the task; nil if there is none.
    ///
    /// Each end is taken once, and none after the end of the execution: nothing is left to stop then.
    mutating func takeJobEnd() -> JobState? {
        defer { newJobEnd = nil }
        return hasEnded ? nil : newJobEnd
    }

    /// Drops everything unsent.
    mutating func giveUp() {
        guard !isGivenUp else { return }
        counts.dropped &+= pendingEvents
        isGivenUp = true
        batches = []
        pendingIndicators = []
        pendingSince = nil
        isStartBatched = true
        ending = .batched
    }
}
