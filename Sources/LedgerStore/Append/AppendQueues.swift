internal import Ledger

/// The decisions of an appender: which appends are taken, which queue each takes, and what makes up the next group.
///
/// An append to a job of which nothing is known waits apart until its head was looked up, and only then joins its queue: so
/// it holds up nobody whose heads are known.
struct AppendQueues {
    /// What became of an append.
    enum Admission {
        /// What runs will come to it: its queue, or who looks up heads.
        case queued
        /// Looking up heads is to be started for it.
        case beginsLookingUp
        /// This queue is to be started to write it.
        case begins(queue: Int)
        case overloaded(waitingEvents: Int)
        case closed
    }

    private struct Queue {
        var queue: [PendingAppend] = []
        var isRunning = false
        var pendingEvents = 0
        /// Its appends that are being written, and how many are to be looked up.
        var writing: [PendingAppend] = []
        /// Since when the group that is being written is.
        var writingSince: ContinuousClock.Instant?
        var appendsWithUnknownHead = 0
    }

    /// A job with appends that wait or are being written.
    private struct Assignment {
        let queue: Int
        var appends = 0
    }

    private let stallTimeout: Duration
    private var queues: [Queue]
    /// Those whose heads are to be looked up.
    private var appendsWithUnknownHead: [PendingAppend] = []
    private var isLookingUp = false
    /// Those whose heads are being looked up.
    private var lookedUp: [PendingAppend] = []
    /// Whether a group has ended since they began to wait: they wait no longer.
    private var isLookingUpDue = false
    private var assignments: [JobID: Assignment] = [:]
    /// Events that wait or are being written.
    private(set) var pendingEvents = 0
    private var pendingBytes = 0
    private var isClosed = false
    private var closing: [CheckedContinuation<Void, Never>] = []

    init(count: Int, stallTimeout: Duration = Appender.stallTimeout) {
        self.stallTimeout = stallTimeout
        queues = Array(repeating: Queue(), count: count)
    }

    /// - Parameter isKnown: Whether something is known of all jobs that it names.
    mutating func add(_ pending: PendingAppend, isKnown: Bool) -> Admission {
        guard !isClosed else { return .closed }
        let request = pending.request
        // One that is too large by itself is written as well, alone.
        guard
            pendingEvents == 0
                || pendingEvents + request.eventCount <= Appender.pendingEventsMax
                    && pendingBytes + request.byteCount <= Appender.pendingBytesMax
        else { return .overloaded(waitingEvents: pendingEvents) }
        let queue = queue(for: request)
        for part in request.parts { assignments[part.job, default: Assignment(queue: queue)].appends += 1 }
        queues[queue].pendingEvents += request.eventCount
        pendingEvents += request.eventCount
        pendingBytes += request.byteCount
        guard isKnown else {
            appendsWithUnknownHead.append(pending)
            queues[queue].appendsWithUnknownHead += 1
            return beginsLookingUp() ? .beginsLookingUp : .queued
        }
        queues[queue].queue.append(pending)
        guard !queues[queue].isRunning else { return .queued }
        queues[queue].isRunning = true
        return .begins(queue: queue)
    }

    /// Whether looking up heads is to be started: somebody waits for it, nobody does it, and it is worth a query.
    mutating func beginsLookingUp() -> Bool {
        guard !isLookingUp, isLookingUpWorthwhile else { return false }
        isLookingUp = true
        return true
    }

    /// While their queue writes much, a few have time to wait for more; they wait no longer than for the end of any group.
    private var isLookingUpWorthwhile: Bool {
        !appendsWithUnknownHead.isEmpty
            && (isLookingUpDue
                || queues.contains {
                    $0.appendsWithUnknownHead > 0
                        && $0.appendsWithUnknownHead >= $0.writing.count / Appender.lookupsPerBatch
                })
    }

    /// Those whose heads are to be looked up next, as many as may be written in one group; nil where it is not worth it yet,
    /// and then looking up has ended.
    mutating func takeAppendsWithUnknownHead() -> [PendingAppend]? {
        guard isLookingUpWorthwhile else {
            isLookingUp = false
            lookedUp = []
            return nil
        }
        let group = Self.takeFirst(of: &appendsWithUnknownHead)
        lookedUp = group
        for append in group { queues[queue(for: append.request)].appendsWithUnknownHead -= 1 }
        // Those that are left have waited for this one.
        isLookingUpDue = !appendsWithUnknownHead.isEmpty
        return group
    }

    /// These were looked up, and requeue their queues: at the head, for they have waited since before those that are there.
    ///
    /// - Returns: The queues that are to be started.
    mutating func requeue(_ appends: [PendingAppend]) -> [Int] {
        lookedUp = []
        let appends = appends.filter { !$0.isWithdrawn }
        var started: [Int] = []
        for (queue, joining) in Dictionary(grouping: appends, by: { queue(for: $0.request) }) {
            queues[queue].queue.insert(contentsOf: joining, at: 0)
            guard !queues[queue].isRunning else { continue }
            queues[queue].isRunning = true
            started.append(queue)
        }
        return started
    }

    private func queue(for request: AppendRequest) -> Int {
        for part in request.parts { if let assignment = assignments[part.job] { return assignment.queue } }
        let now = ContinuousClock.now
        return queues.indices.first { !isBusy(queues[$0], now) }
            ?? queues.indices.min { queues[$0].pendingEvents < queues[$1].pendingEvents } ?? 0
    }

    private func isBusy(_ queue: Queue, _ now: ContinuousClock.Instant) -> Bool {
        queue.pendingEvents >= Appender.fullQueueEvents || queue.writingSince.map { now - $0 >= stallTimeout } ?? false
    }

    /// The next group of a queue; nil where there is none, and then the queue has ended.
    mutating func takeGroup(_ queue: Int) -> [PendingAppend]? {
        guard !queues[queue].queue.isEmpty else {
            queues[queue].isRunning = false
            return nil
        }
        let group = Self.takeFirst(of: &queues[queue].queue)
        queues[queue].writing = group
        queues[queue].writingSince = .now
        return group
    }

    /// The first, and those after it that make up a group with it.
    private static func takeFirst(of queue: inout [PendingAppend]) -> [PendingAppend] {
        var events = 0
        let end = queue.indices.first { index in
            events += queue[index].request.eventCount
            return index > 0 && events > Appender.batchEventsMax
        }
        let group = Array(queue.prefix(end ?? queue.count))
        queue.removeFirst(group.count)
        return group
    }

    /// A queue's group was written, or has failed.
    mutating func written(_ group: [PendingAppend], _ queue: Int) {
        queues[queue].writing = []
        queues[queue].writingSince = nil
        isLookingUpDue = !appendsWithUnknownHead.isEmpty
        ended(group)
    }

    /// These take up no more room, for they are about to be answered.
    mutating func ended(_ appends: [PendingAppend]) {
        for pending in appends {
            let request = pending.request
            let queue = queue(for: request)
            for part in request.parts {
                guard let index = assignments.index(forKey: part.job) else { continue }
                assignments.values[index].appends -= 1
                if assignments.values[index].appends == 0 { assignments.remove(at: index) }
            }
            queues[queue].pendingEvents -= request.eventCount
            pendingEvents -= request.eventCount
            pendingBytes -= request.byteCount
        }
    }

    /// Takes those out that have waited for this long without being written, so that they never will be.
    mutating func withdraw(arrivedBefore moment: ContinuousClock.Instant) -> [PendingAppend] {
        var overdue: [PendingAppend] = []
        func take(from queue: inout [PendingAppend]) {
            let late = queue.filter { $0.arrivedAt < moment && !$0.isWithdrawn }
            guard !late.isEmpty else { return }
            for append in late { append.withdraw() }
            overdue += late
            queue.removeAll(where: \.isWithdrawn)
        }
        for index in queues.indices { take(from: &queues[index].queue) }
        for append in appendsWithUnknownHead where append.arrivedAt < moment {
            queues[queue(for: append.request)].appendsWithUnknownHead -= 1
        }
        take(from: &appendsWithUnknownHead)
        take(from: &lookedUp)
        ended(overdue)
        return overdue
    }

    /// Those that are being written and arrived before this moment.
    func written(arrivedBefore moment: ContinuousClock.Instant) -> [PendingAppend] {
        queues.flatMap { $0.writing.filter { $0.arrivedAt < moment } }
    }

    /// Takes no more.
    ///
    /// - Returns: Whether nothing waits, so that the caller need not.
    mutating func close(_ waiter: CheckedContinuation<Void, Never>) -> Bool {
        isClosed = true
        guard isBusy else { return true }
        closing.append(waiter)
        return false
    }

    /// Whether no more is taken and nothing is left.
    var hasEnded: Bool { isClosed && !isBusy }

    private var isBusy: Bool { isLookingUp || !appendsWithUnknownHead.isEmpty || queues.contains(where: \.isRunning) }

    /// Those who wait for the end, once it is there.
    mutating func takeCloseWaiters() -> [CheckedContinuation<Void, Never>] {
        guard isClosed, !isBusy else { return [] }
        defer { closing = [] }
        return closing
    }
}
