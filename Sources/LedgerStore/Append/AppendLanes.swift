internal import Ledger

/// The decisions of an appender: which appends are taken, which lane each takes, and what makes up the next group.
///
/// An append to a job of which nothing is known waits apart until its head was looked up, and only then joins its lane: so
/// it holds up nobody whose heads are known.
struct AppendLanes {
    /// What became of an append.
    enum Admission {
        /// What runs will come to it: its lane, or who looks up heads.
        case queued
        /// Looking up heads is to be started for it.
        case beginsLookingUp
        /// This lane is to be started to write it.
        case begins(lane: Int)
        case overloaded(waitingEvents: Int)
        case closed
    }

    private struct Lane {
        var queue: [PendingAppend] = []
        var isRunning = false
        var pendingEvents = 0
        /// Its appends that are being written, and how many are to be looked up.
        var writing: [PendingAppend] = []
        /// Since when the group that is being written is.
        var writingSince: ContinuousClock.Instant?
        var strangers = 0
    }

    /// A job with appends that wait or are being written.
    private struct Place {
        let lane: Int
        var appends = 0
    }

    private let patience: Duration
    private var lanes: [Lane]
    /// Those whose heads are to be looked up.
    private var strangers: [PendingAppend] = []
    private var isLookingUp = false
    /// Those whose heads are being looked up.
    private var lookedUp: [PendingAppend] = []
    /// Whether a group has ended since they began to wait: they wait no longer.
    private var isLookingUpDue = false
    private var places: [JobID: Place] = [:]
    /// Events that wait or are being written.
    private(set) var pendingEvents = 0
    private var pendingBytes = 0
    private var isClosed = false
    private var closing: [CheckedContinuation<Void, Never>] = []

    init(count: Int, patience: Duration = Appender.lanePatience) {
        self.patience = patience
        lanes = Array(repeating: Lane(), count: count)
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
        let lane = lane(for: request)
        for part in request.parts { places[part.job, default: Place(lane: lane)].appends += 1 }
        lanes[lane].pendingEvents += request.eventCount
        pendingEvents += request.eventCount
        pendingBytes += request.byteCount
        guard isKnown else {
            strangers.append(pending)
            lanes[lane].strangers += 1
            return beginsLookingUp() ? .beginsLookingUp : .queued
        }
        lanes[lane].queue.append(pending)
        guard !lanes[lane].isRunning else { return .queued }
        lanes[lane].isRunning = true
        return .begins(lane: lane)
    }

    /// Whether looking up heads is to be started: somebody waits for it, nobody does it, and it is worth a query.
    mutating func beginsLookingUp() -> Bool {
        guard !isLookingUp, isLookingUpWorthwhile else { return false }
        isLookingUp = true
        return true
    }

    /// While their lane writes much, a few have time to wait for more; they wait no longer than for the end of any group.
    private var isLookingUpWorthwhile: Bool {
        !strangers.isEmpty
            && (isLookingUpDue
                || lanes.contains { $0.strangers > 0 && $0.strangers >= $0.writing.count / Appender.lookUpsPerGroup })
    }

    /// Those whose heads are to be looked up next, as many as may be written in one group; nil where it is not worth it yet,
    /// and then looking up has ended.
    mutating func takeStrangers() -> [PendingAppend]? {
        guard isLookingUpWorthwhile else {
            isLookingUp = false
            lookedUp = []
            return nil
        }
        let group = Self.takeFirst(of: &strangers)
        lookedUp = group
        for append in group { lanes[lane(for: append.request)].strangers -= 1 }
        // Those that are left have waited for this one.
        isLookingUpDue = !strangers.isEmpty
        return group
    }

    /// These were looked up, and join their lanes: at the head, for they have waited since before those that are there.
    ///
    /// - Returns: The lanes that are to be started.
    mutating func join(_ appends: [PendingAppend]) -> [Int] {
        lookedUp = []
        let appends = appends.filter { !$0.isWithdrawn }
        var begun: [Int] = []
        for (lane, joining) in Dictionary(grouping: appends, by: { lane(for: $0.request) }) {
            lanes[lane].queue.insert(contentsOf: joining, at: 0)
            guard !lanes[lane].isRunning else { continue }
            lanes[lane].isRunning = true
            begun.append(lane)
        }
        return begun
    }

    private func lane(for request: AppendRequest) -> Int {
        for part in request.parts { if let place = places[part.job] { return place.lane } }
        let now = ContinuousClock.now
        return lanes.indices.first { !isBusy(lanes[$0], now) }
            ?? lanes.indices.min { lanes[$0].pendingEvents < lanes[$1].pendingEvents } ?? 0
    }

    private func isBusy(_ lane: Lane, _ now: ContinuousClock.Instant) -> Bool {
        lane.pendingEvents >= Appender.busyLaneEvents || lane.writingSince.map { now - $0 >= patience } ?? false
    }

    /// The next group of a lane; nil where there is none, and then the lane has ended.
    mutating func takeGroup(_ lane: Int) -> [PendingAppend]? {
        guard !lanes[lane].queue.isEmpty else {
            lanes[lane].isRunning = false
            return nil
        }
        let group = Self.takeFirst(of: &lanes[lane].queue)
        lanes[lane].writing = group
        lanes[lane].writingSince = .now
        return group
    }

    /// The first, and those after it that make up a group with it.
    private static func takeFirst(of queue: inout [PendingAppend]) -> [PendingAppend] {
        var events = 0
        let end = queue.indices.first { index in
            events += queue[index].request.eventCount
            return index > 0 && events > Appender.groupEventsMax
        }
        let group = Array(queue.prefix(end ?? queue.count))
        queue.removeFirst(group.count)
        return group
    }

    /// A lane's group was written, or has failed.
    mutating func written(_ group: [PendingAppend], _ lane: Int) {
        lanes[lane].writing = []
        lanes[lane].writingSince = nil
        isLookingUpDue = !strangers.isEmpty
        ended(group)
    }

    /// These take up no more room, for they are about to be answered.
    mutating func ended(_ appends: [PendingAppend]) {
        for pending in appends {
            let request = pending.request
            let lane = lane(for: request)
            for part in request.parts {
                guard let index = places.index(forKey: part.job) else { continue }
                places.values[index].appends -= 1
                if places.values[index].appends == 0 { places.remove(at: index) }
            }
            lanes[lane].pendingEvents -= request.eventCount
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
        for index in lanes.indices { take(from: &lanes[index].queue) }
        for append in strangers where append.arrivedAt < moment { lanes[lane(for: append.request)].strangers -= 1 }
        take(from: &strangers)
        take(from: &lookedUp)
        ended(overdue)
        return overdue
    }

    /// Those that are being written and arrived before this moment.
    func written(arrivedBefore moment: ContinuousClock.Instant) -> [PendingAppend] {
        lanes.flatMap { $0.writing.filter { $0.arrivedAt < moment } }
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

    private var isBusy: Bool { isLookingUp || !strangers.isEmpty || lanes.contains(where: \.isRunning) }

    /// Those who wait for the end, once it is there.
    mutating func takeClosing() -> [CheckedContinuation<Void, Never>] {
        guard isClosed, !isBusy else { return [] }
        defer { closing = [] }
        return closing
    }
}
