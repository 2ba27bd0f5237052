internal import Glibc

/// A load of watchers and appends on one thread, for measuring watchers' lags.
///
/// Each event is one unit done, and these jobs have no other events. A snapshot at a sequence must therefore show one
/// unit less than the sequence, because the first event is the job's creation. Every snapshot of every watcher is
/// checked.
///
/// `@unchecked Sendable`: only one thread at a time uses it.
final class WatchLoad: @unchecked Sendable {
    /// The time limit of each wait.
    private static let deadline: Duration = .seconds(60)
    /// The interval at which watchers' sockets are polled.
    ///
    /// Polling ten thousand sockets costs a millisecond, which the server then cannot use.
    private static let pollInterval: Duration = .milliseconds(5)
    private static let appenderCount = 16
    private static let taskCount = 100

    private struct Watcher {
        let socket: LoadSocket
        let job: Int
        var reader = EventStreamReader()
        var shown: Int64 = 0
    }

    private struct Appender {
        let socket: LoadSocket
        var incoming: [UInt8] = []
        var job: Int?
    }

    /// An acknowledged event that some watchers of its job have not been shown yet.
    private struct PendingEvent {
        let sequence: Int64
        let acknowledged: ContinuousClock.Instant
        var missing: Int
    }

    private struct Job {
        let id: String
        var watchers: [Int] = []
        var pending: [PendingEvent] = []
        /// The sequence of the last acknowledged event; 1 is the job's creation.
        var last: Int64 = 1
    }

    private let target: LoadTarget
    private var watcherPoller = Poller()
    private var appenderPoller = Poller()
    private var nextPoll = ContinuousClock.now
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
    private var jobs: [Job]
    private var watchers: [Watcher] = []
    private var appenders: [Appender] = []
    private var appended = 0
    /// The time from the response to an append until one watcher was shown the event.
    private(set) var lags = Latencies()
    /// The time from the response to an append until its last watcher was shown it.
    private(set) var lagsOfLast = Latencies()
    /// The number of snapshots received.
    private(set) var snapshots = 0

    init(_ target: LoadTarget, jobs: [String]) throws {
        self.target = target
        self.jobs = jobs.map { Job(id: $0) }
        for _ in 0..<Self.appenderCount {
            let socket = try LoadSocket(target)
            appenders.append(Appender(socket: socket))
            appenderPoller.add(socket)
        }
    }

    deinit {
        for appender in appenders { appender.socket.end() }
        for watcher in watchers { watcher.socket.end() }
        buffer.deallocate()
    }

    var acknowledged: Int64 { jobs.reduce(0) { $0 + $1.last - 1 } }

    /// Opens watchers of each job and waits for a first snapshot of each watcher.
    func watch(each count: Int) throws {
        // Open 500 at a time, so that none waits in the server's queue beyond the timeout for connecting.
        for number in 0..<count * jobs.count {
            let jobIndex = number % jobs.count
            let socket = try LoadSocket(target)
            watchers.append(Watcher(socket: socket, job: jobIndex))
            jobs[jobIndex].watchers.append(number)
            var request: [UInt8] = []
            request.appendRequest("GET", "/v1/jobs/\(jobs[jobIndex].id)/watch")
            guard try socket.send(request[...]) == request.count else {
                throw BenchmarkError("cannot send a whole request")
            }
            watcherPoller.add(socket)
            if number % 500 == 499 { try waitUntilShown() }
        }
        try waitUntilShown()
    }

    /// Appends single events at a steady rate, to one job after the other.
    ///
    /// - Returns: The acknowledged events per second.
    func append(perSecond: Int, seconds: Double) throws -> Double {
        let start = ContinuousClock.now
        let count = Int(Double(perSecond) * seconds)
        var startedCount = 0
        while startedCount < count || appenders.contains(where: { $0.job != nil }) {
            let due = min(count, Int(start.duration(to: .now).inSeconds * Double(perSecond)))
            while startedCount < due, let free = appenders.firstIndex(where: { $0.job == nil }) {
                try append(free)
                startedCount += 1
            }
            try processSockets()
            guard start.duration(to: .now) < .seconds(seconds) + Self.deadline else {
                throw BenchmarkError("appends got no response")
            }
        }
        return Double(count) / start.duration(to: .now).inSeconds
    }

    /// Waits until every watcher has been shown the last event of its job.
    func waitUntilShown() throws {
        let end = ContinuousClock.now + Self.deadline
        while watchers.contains(where: { $0.shown < jobs[$0.job].last }) {
            try processSockets()
            guard ContinuousClock.now < end else {
                let missing = watchers.count { $0.shown < jobs[$0.job].last }
                throw BenchmarkError(
                    "\(missing) of \(watchers.count) watchers were not shown the last event of their job")
            }
        }
    }

    /// Discards the lags measured so far.
    func resetLags() {
        (lags, lagsOfLast, snapshots) = (Latencies(), Latencies(), 0)
    }

    // MARK: Appending

    private func append(_ number: Int) throws {
        let jobIndex = appended % jobs.count
        let task = appended / jobs.count % Self.taskCount
        let label = Workload.labels[task % Workload.labels.count]
        appended += 1
        var request: [UInt8] = []
        request.appendRequest(
            "POST", "/v1/jobs/\(jobs[jobIndex].id)/events",
            body: Array(
                "{\"type\":\"progress\",\"task\":\"task-\(task)\",\"attempt\":1,\"label\":\"\(label)\",\"done\":1}".utf8
            ))
        guard try appenders[number].socket.send(request[...]) == request.count else {
            throw BenchmarkError("cannot send a whole request")
        }
        appenders[number].job = jobIndex
    }

    private func acknowledge(_ number: Int) throws {
        guard let response = try ResponseParser.find(in: appenders[number].incoming) else { return }
        guard response.status == 201, let jobIndex = appenders[number].job else {
            throw BenchmarkError("an append got status \(response.status)")
        }
        // {"first_sequence":N,…
        let digits = appenders[number].incoming[response.body].drop { $0 < 48 || $0 > 57 }
        let sequence = digits.prefix { $0 >= 48 && $0 <= 57 }.reduce(0) { $0 * 10 + Int64($1 - 48) }
        appenders[number].incoming.removeAll(keepingCapacity: true)
        appenders[number].job = nil
        jobs[jobIndex].last = max(jobs[jobIndex].last, sequence)
        let missing = jobs[jobIndex].watchers.count { watchers[$0].shown < sequence }
        // Watchers that received the event before the response arrived have no lag.
        for _ in missing..<jobs[jobIndex].watchers.count { lags.add(.zero) }
        if missing > 0 {
            jobs[jobIndex].pending.append(PendingEvent(sequence: sequence, acknowledged: .now, missing: missing))
        } else if !jobs[jobIndex].watchers.isEmpty {
            lagsOfLast.add(.zero)
        }
    }

    // MARK: Watching

    private func processSockets() throws {
        for number in try appenderPoller.wait(milliseconds: 1) {
            guard let count = try appenders[number].socket.receive(into: &appenders[number].incoming, buffer: buffer)
            else { continue }
            guard count > 0 else { throw BenchmarkError("the server closed a connection") }
            try acknowledge(number)
        }
        guard ContinuousClock.now >= nextPoll else { return }
        var bytes: [UInt8] = []
        for number in try watcherPoller.wait(milliseconds: 0) {
            bytes.removeAll(keepingCapacity: true)
            guard let count = try watchers[number].socket.receive(into: &bytes, buffer: buffer) else { continue }
            guard count > 0 else { throw BenchmarkError("the server closed a stream") }
            for shown in try bytes.withUnsafeBytes({ try watchers[number].reader.add($0) }) {
                try record(shown, number)
            }
        }
        nextPoll = .now + Self.pollInterval
    }

    private func record(_ shown: EventStreamReader.ShownSnapshot, _ number: Int) throws {
        let (jobIndex, before) = (watchers[number].job, watchers[number].shown)
        guard shown.done == shown.sequence - 1, shown.sequence >= before else {
            throw BenchmarkError(
                "a watcher that had event \(before) was shown \(shown.done) units up to event \(shown.sequence)")
        }
        snapshots += 1
        watchers[number].shown = shown.sequence
        let now = ContinuousClock.now
        for index in jobs[jobIndex].pending.indices {
            let pending = jobs[jobIndex].pending[index]
            guard pending.sequence > before, pending.sequence <= shown.sequence else { continue }
            let lag = pending.acknowledged.duration(to: now)
            lags.add(lag)
            jobs[jobIndex].pending[index].missing -= 1
            if pending.missing == 1 { lagsOfLast.add(lag) }
        }
        if jobs[jobIndex].pending.first?.missing == 0 { jobs[jobIndex].pending.removeAll { $0.missing == 0 } }
    }
}
