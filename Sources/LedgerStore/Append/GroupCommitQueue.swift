internal import Ledger

/// A queue of waiting appends and of groups in flight.
///
/// It decides which appends make up the next group. It is a pure state machine; callers pass the time. An append never
/// overtakes an earlier one that names one of its jobs, and no job is in two groups in flight. Therefore groups of one
/// server never wait for each other's locks, and the sequences of a job follow the order of arrival.
///
/// Usually one group is in flight, because each event costs less in a larger group. A second one starts if enough
/// events wait for a group of their own, or if a group in flight has stalled, for example behind another server's lock.
struct GroupCommitQueue {
    /// The limits of a queue.
    struct Limits {
        /// The maximum number of events that wait or are in flight.
        ///
        /// Beyond it appends are refused. An append that exceeds it by itself is accepted if nothing else is pending.
        var pendingEventsMax = 200_000
        /// The approximate maximum memory of appends that wait or are in flight, in bytes.
        var pendingBytesMax = 64 << 20
        /// The maximum number of events in a group.
        ///
        /// An append is never divided, so a single append may exceed it.
        var groupEventsMax = 10_000
        /// The maximum number of groups in flight.
        var groupsInFlightMax = 2
        /// The number of waiting events that starts another group.
        ///
        /// It is the largest group written in one statement (``GroupCommitWriter/oneStatementEventsMax``). With 16
        /// instead, and 64 connections, each event costs PostgreSQL a third more.
        var fullGroupEvents = 256
        /// The time in flight after which a group counts as stalled.
        var stallTimeout: Duration = .milliseconds(50)
    }

    /// The result of adding an append.
    enum Admission {
        /// A running writer will write it.
        case queued
        /// It is queued, and the caller must start another writer.
        case startWriter
        case overloaded(pendingEvents: Int)
        case closed
    }

    private struct Group {
        let appends: [PendingAppend]
        let since: ContinuousClock.Instant
    }

    let limits: Limits
    private var waiting: [PendingAppend] = []
    /// The groups in flight, by number.
    private var groups: [Int: Group] = [:]
    private var lastNumber = 0
    private var writers = 0
    /// The jobs of the groups in flight.
    private var busyJobs: Set<JobID> = []
    /// The jobs of blocked appends.
    ///
    /// An append is blocked if one of its jobs is busy or blocked, so that it does not overtake.
    private var blockedJobs: Set<JobID> = []
    /// The waiting events of appends that are not blocked.
    ///
    /// The next group can contain them.
    private var eligibleEvents = 0
    /// The events that wait or are in flight.
    private(set) var pendingEvents = 0
    private var pendingBytes = 0
    private var isClosed = false
    private var closeWaiters: [CheckedContinuation<Void, Never>] = []

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    // MARK: Arrival

    mutating func add(_ append: PendingAppend, now: ContinuousClock.Instant) -> Admission {
        guard !isClosed else { return .closed }
        guard fits(append.request) else { return .overloaded(pendingEvents: pendingEvents) }
        waiting.append(append)
        pendingEvents += append.request.eventCount
        pendingBytes += append.request.byteCount
        classify(append)
        return reserveWriter(now: now) ? .startWriter : .queued
    }

    /// Whether a request may be added; any may if nothing is pending.
    private func fits(_ request: AppendRequest) -> Bool {
        pendingEvents == 0
            || (pendingEvents + request.eventCount <= limits.pendingEventsMax
                && pendingBytes + request.byteCount <= limits.pendingBytesMax)
    }

    /// Reserves a writer if a group can start now.
    ///
    /// - Returns: Whether the caller must start it.
    mutating func reserveWriter(now: ContinuousClock.Instant) -> Bool {
        guard mayRun(writers: writers + 1, now: now) else { return false }
        writers += 1
        return true
    }

    /// Whether this many writers may run at the same time.
    ///
    /// The first one may if any event is eligible, a further one only with enough events or a stalled group.
    private func mayRun(writers count: Int, now: ContinuousClock.Instant) -> Bool {
        guard count <= limits.groupsInFlightMax, eligibleEvents > 0 else { return false }
        return count == 1 || eligibleEvents >= limits.fullGroupEvents
            || groups.values.contains { now - $0.since >= limits.stallTimeout }
    }

    /// Whether an append must wait for a group in flight or for an earlier append.
    ///
    /// It must if one of its jobs is busy or blocked.
    private func mustWait(_ append: PendingAppend, behind blocked: Set<JobID>) -> Bool {
        append.request.parts.contains { busyJobs.contains($0.job) || blocked.contains($0.job) }
    }

    /// Adds a waiting append to the eligible events, or its jobs to the blocked ones.
    private mutating func classify(_ append: PendingAppend) {
        if mustWait(append, behind: blockedJobs) {
            for part in append.request.parts { blockedJobs.insert(part.job) }
        } else {
            eligibleEvents += append.request.eventCount
        }
    }

    private mutating func classifyAll() {
        blockedJobs = []
        eligibleEvents = 0
        for append in waiting { classify(append) }
    }

    // MARK: Groups

    /// Takes the next group of a writer.
    ///
    /// - Returns: Nil if there is none; then the writer must end.
    mutating func takeGroup(now: ContinuousClock.Instant) -> (number: Int, appends: [PendingAppend])? {
        // This writer is already counted.
        guard mayRun(writers: writers, now: now) else {
            // Another writer takes the remaining events when its group ends.
            writers -= 1
            return nil
        }
        var group: [PendingAppend] = []
        var rest: [PendingAppend] = []
        // Only earlier appends block: `blockedJobs` also contains the jobs of later ones.
        var blockedSoFar: Set<JobID> = []
        var events = 0
        var isFull = false
        for append in waiting {
            let isBlocked = mustWait(append, behind: blockedSoFar)
            if !isBlocked, !isFull, group.isEmpty || events + append.request.eventCount <= limits.groupEventsMax {
                group.append(append)
                events += append.request.eventCount
                continue
            }
            if isBlocked {
                for part in append.request.parts { blockedSoFar.insert(part.job) }
            } else {
                // The group is full from the first append that does not fit, so that small ones do not overtake it.
                isFull = true
            }
            rest.append(append)
        }
        waiting = rest
        lastNumber += 1
        groups[lastNumber] = Group(appends: group, since: now)
        for append in group { for part in append.request.parts { busyJobs.insert(part.job) } }
        classifyAll()
        return (lastNumber, group)
    }

    /// Records that a group was written or has failed.
    mutating func finish(_ number: Int) {
        guard let group = groups.removeValue(forKey: number) else { return }
        for append in group.appends { for part in append.request.parts { busyJobs.remove(part.job) } }
        release(group.appends)
        classifyAll()
    }

    private mutating func release(_ appends: [PendingAppend]) {
        for append in appends {
            pendingEvents -= append.request.eventCount
            pendingBytes -= append.request.byteCount
        }
    }

    // MARK: Time limits

    /// Removes and returns the waiting appends that arrived before this time.
    mutating func withdraw(arrivedBefore time: ContinuousClock.Instant) -> [PendingAppend] {
        let overdue = waiting.filter { $0.arrivedAt < time }
        guard !overdue.isEmpty else { return [] }
        waiting.removeAll { $0.arrivedAt < time }
        release(overdue)
        classifyAll()
        return overdue
    }

    /// The appends in flight that arrived before this time.
    func appendsInFlight(arrivedBefore time: ContinuousClock.Instant) -> [PendingAppend] {
        groups.values.flatMap { $0.appends.filter { $0.arrivedAt < time } }
    }

    // MARK: Closing

    /// Refuses further appends, and keeps the waiter until the queue has ended.
    ///
    /// - Returns: Whether nothing is pending, so that the caller need not wait.
    mutating func close(_ waiter: CheckedContinuation<Void, Never>) -> Bool {
        isClosed = true
        guard !hasEnded else { return true }
        closeWaiters.append(waiter)
        return false
    }

    /// Whether a writer runs.
    var hasWriters: Bool { writers > 0 }

    /// Whether the queue is closed and nothing is pending.
    var hasEnded: Bool { isClosed && writers == 0 && waiting.isEmpty }

    /// Removes and returns the waiters if the queue has ended.
    mutating func takeCloseWaiters() -> [CheckedContinuation<Void, Never>] {
        guard hasEnded else { return [] }
        defer { closeWaiters = [] }
        return closeWaiters
    }
}
