internal import Ledger

/// The decisions of an appender: which appends are taken, which lane each takes, and what makes up the next group.
struct AppendLanes {
    /// An append and whoever waits for it.
    struct Pending: Sendable {
        let request: AppendRequest
        let whenDone: @Sendable (AppendResult) -> Void
        /// Whether it has let others go first already, so that the heads of its jobs could be looked up meanwhile.
        var hasStoodBack = false
    }

    /// What became of an append.
    enum Admission {
        /// A lane that runs will write it.
        case queued
        /// This lane is to be started to write it.
        case begins(lane: Int)
        case overloaded(waitingEvents: Int)
        case closed
    }

    private struct Lane {
        var queue: [Pending] = []
        var isRunning = false
        var pendingEvents = 0
    }

    /// A job with appends that wait or are being written.
    private struct Place {
        let lane: Int
        var appends = 0
    }

    private var lanes: [Lane]
    private var places: [JobID: Place] = [:]
    /// Events that wait or are being written.
    private(set) var pendingEvents = 0
    private var pendingBytes = 0
    private var isClosed = false
    private var closing: [CheckedContinuation<Void, Never>] = []

    init(count: Int) {
        lanes = Array(repeating: Lane(), count: count)
    }

    mutating func add(_ pending: Pending) -> Admission {
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
        lanes[lane].queue.append(pending)
        guard !lanes[lane].isRunning else { return .queued }
        lanes[lane].isRunning = true
        return .begins(lane: lane)
    }

    private func lane(for request: AppendRequest) -> Int {
        for part in request.parts { if let place = places[part.job] { return place.lane } }
        return lanes.indices.first { lanes[$0].pendingEvents < Appender.busyLaneEvents }
            ?? lanes.indices.min { lanes[$0].pendingEvents < lanes[$1].pendingEvents } ?? 0
    }

    /// The next group of a lane; nil where there is none, and then the lane has ended.
    mutating func takeGroup(_ lane: Int) -> [Pending]? {
        guard !lanes[lane].queue.isEmpty else {
            lanes[lane].isRunning = false
            return nil
        }
        var events = 0
        var count = 0
        for pending in lanes[lane].queue {
            events += pending.request.eventCount
            guard count == 0 || events <= Appender.groupEventsMax else { break }
            count += 1
        }
        let group = Array(lanes[lane].queue.prefix(count))
        lanes[lane].queue.removeFirst(count)
        return group
    }

    /// These appends of a group let the others go first: they are the first of the next one.
    mutating func standBack(_ appends: [Pending], _ lane: Int) {
        lanes[lane].queue.insert(
            contentsOf: appends.map { append in
                var append = append
                append.hasStoodBack = true
                return append
            }, at: 0)
    }

    /// A group was written or has failed.
    mutating func finished(_ group: [Pending], _ lane: Int) {
        for pending in group {
            let request = pending.request
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

    /// Takes no more.
    ///
    /// - Returns: Whether nothing waits, so that the caller need not.
    mutating func close(_ waiter: CheckedContinuation<Void, Never>) -> Bool {
        isClosed = true
        guard lanes.contains(where: \.isRunning) else { return true }
        closing.append(waiter)
        return false
    }

    /// Those who wait for the end, once it is there.
    mutating func takeClosing() -> [CheckedContinuation<Void, Never>] {
        guard isClosed, !lanes.contains(where: \.isRunning) else { return [] }
        defer { closing = [] }
        return closing
    }
}
