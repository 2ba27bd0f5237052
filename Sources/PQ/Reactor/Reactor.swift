internal import CLibPQ
internal import Glibc
internal import Synchronization

/// One thread on which all connections live: it waits for their sockets, and runs the code that concerns them.
///
/// It is the connections' executor, so that no `PGconn` is ever touched by two threads, and it can be a task's
/// preferred executor, so that an operation that talks to the database many times stays on this thread: then a
/// statement costs no change of threads. Nothing that blocks or computes for long may run here.
///
/// Sockets are registered level-triggered: `PQconsumeInput` reads once and does not drain the socket, so an edge
/// would be lost with a large result.
///
/// `@unchecked Sendable`: `sources`, `nextDeadline` and `timed` are touched on the thread alone; `queue` has a lock.
@safe public final class Reactor: SerialExecutor, @unchecked Sendable {
    /// The reactor that pools use unless they are given another.
    public static let shared = Reactor()

    /// Something on the reactor whose waiting has an end.
    protocol Timed: AnyObject {
        /// The next moment at which ``deadlinePassed(_:)`` is to be called; nil for none.
        var nextDeadline: ContinuousClock.Instant? { get }
        /// Called on the reactor's thread at that moment, or a little later.
        func deadlinePassed(_ now: ContinuousClock.Instant)
    }

    private static let eventsPerTurnMax = 64
    /// How often jobs that jobs have brought about are run before the sockets have their turn.
    private static let turnsMax = 32

    private let epoll: Int32
    private let wake: Int32
    private let queue: JobQueue
    private let tasks: TaskSide
    /// What a task prefers so that it stays on this thread between its calls to connections.
    public var taskExecutor: some TaskExecutor { tasks }
    private var sources: [Int32: () -> Void] = [:]
    private var timed: [ObjectIdentifier: any Timed] = [:]
    private var nextDeadline: ContinuousClock.Instant?

    /// A reactor with a thread of its own, which lives as long as the process.
    public init() {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        wake = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        precondition(epoll >= 0 && wake >= 0, "the system refuses an epoll or event descriptor: error \(errno)")
        queue = JobQueue(wake: wake)
        tasks = TaskSide(queue: queue)
        let isWatched = control(EPOLL_CTL_ADD, wake, EPOLLIN.rawValue)
        precondition(isWatched, "epoll refuses an event descriptor: error \(errno)")
        Thread.detached(named: "ledger-pq") { self.run() }
    }

    // MARK: Executor

    public func enqueue(_ job: consuming ExecutorJob) {
        queue.append(UnownedJob(job), isTasks: false)
    }

    public func checkIsolated() {
        precondition(queue.isOnThread, "this runs on the reactor's thread only")
    }

    private func run() {
        queue.belongsToThisThread()
        var events = unsafe [epoll_event](repeating: epoll_event(), count: Self.eventsPerTurnMax)
        var jobs: [(job: UnownedJob, isTasks: Bool)] = []
        var turns = 0
        while true {
            queue.take(&jobs)
            turns = jobs.isEmpty ? 0 : turns + 1
            for (job, isTasks) in jobs {
                // An actor's job that is run as a task's, or the other way round, changes executors at every call.
                if isTasks {
                    unsafe job.runSynchronously(
                        isolatedTo: asUnownedSerialExecutor(), taskExecutor: tasks.asUnownedTaskExecutor())
                } else {
                    unsafe job.runSynchronously(on: asUnownedSerialExecutor())
                }
            }
            let isIdle = jobs.isEmpty
            jobs.removeAll(keepingCapacity: true)
            // What a job has brought about runs before the sockets are looked at again, but not for ever.
            if !isIdle, turns < Self.turnsMax { continue }
            turns = 0
            let timeout = isIdle ? millisecondsToNextDeadline() : 0
            let count = unsafe epoll_wait(epoll, &events, Int32(events.count), timeout)
            for index in 0..<max(0, Int(count)) {
                let descriptor = unsafe events[index].data.fd
                if descriptor == wake {
                    var counter: UInt64 = 0
                    _ = unsafe read(wake, &counter, 8)
                } else {
                    sources[descriptor]?()
                }
            }
            callTimed()
        }
    }

    // MARK: Sockets, on the thread

    /// Calls the closure whenever there is something to read on the descriptor, which stays open until ``unwatch(_:)``.
    ///
    /// - Returns: Whether the system agrees: it bounds the number of watched descriptors.
    func watch(_ descriptor: Int32, _ onReady: @escaping () -> Void) -> Bool {
        checkIsolated()
        guard control(EPOLL_CTL_ADD, descriptor, EPOLLIN.rawValue) else { return false }
        sources[descriptor] = onReady
        return true
    }

    /// Whether the closure is called when the descriptor can be read from, and when it can be written to. When it was
    /// hung up the closure is called in any case.
    func setInterest(reading: Bool, writing: Bool, _ descriptor: Int32) {
        let interest = (reading ? EPOLLIN.rawValue : 0) | (writing ? EPOLLOUT.rawValue : 0)
        let isDone = control(EPOLL_CTL_MOD, descriptor, interest)
        precondition(isDone, "epoll does not know descriptor \(descriptor): error \(errno)")
    }

    func unwatch(_ descriptor: Int32) {
        checkIsolated()
        sources[descriptor] = nil
        let isDone = control(EPOLL_CTL_DEL, descriptor, 0)
        precondition(isDone, "epoll does not know descriptor \(descriptor): error \(errno)")
    }

    private func control(_ operation: Int32, _ descriptor: Int32, _ interest: UInt32) -> Bool {
        var event = unsafe epoll_event()
        unsafe event.events = interest
        unsafe event.data.fd = descriptor
        return unsafe epoll_ctl(epoll, operation, descriptor, &event) == 0
    }

    // MARK: Deadlines, on the thread

    /// Begins to look after the deadlines of this object, which must be taken back with ``forget(_:)``.
    func remember(_ object: any Timed) {
        timed[ObjectIdentifier(object)] = object
    }

    func forget(_ object: any Timed) {
        timed[ObjectIdentifier(object)] = nil
    }

    /// To be called when an object has got an earlier deadline than before.
    func deadlineChanged(to deadline: ContinuousClock.Instant) {
        if let nextDeadline, nextDeadline <= deadline { return }
        nextDeadline = deadline
    }

    private func millisecondsToNextDeadline() -> Int32 {
        guard let nextDeadline else { return -1 }
        let rest = ContinuousClock.now.duration(to: nextDeadline)
        guard rest > .zero else { return 0 }
        let (seconds, attoseconds) = rest.components
        // Rounded up, so that it does not wake a little too early; no longer than an hour.
        return Int32(min(seconds, 3_600) * 1_000 + attoseconds / 1_000_000_000_000_000 + 1)
    }

    private func callTimed() {
        guard let due = nextDeadline else { return }
        let now = ContinuousClock.now
        guard now >= due else { return }
        nextDeadline = nil
        for object in timed.values {
            guard let deadline = object.nextDeadline else { continue }
            if deadline <= now { object.deadlinePassed(now) }
            if let next = object.nextDeadline { deadlineChanged(to: max(next, now)) }
        }
    }
}

/// The reactor as the executor that a task prefers.
private final class TaskSide: TaskExecutor {
    private let queue: JobQueue

    init(queue: JobQueue) {
        self.queue = queue
    }

    func enqueue(_ job: consuming ExecutorJob) {
        queue.append(UnownedJob(job), isTasks: true)
    }
}

/// What is to run on the reactor's thread, and the descriptor by which the thread learns of it.
private final class JobQueue: Sendable {
    private struct State {
        var jobs: [(job: UnownedJob, isTasks: Bool)] = []
        var thread: pthread_t?
    }

    private let state = Mutex(State())
    private let wake: Int32

    init(wake: Int32) {
        self.wake = wake
    }

    var isOnThread: Bool {
        state.withLock { $0.thread.map { pthread_equal(pthread_self(), $0) != 0 } ?? false }
    }

    func belongsToThisThread() {
        state.withLock { $0.thread = pthread_self() }
    }

    func append(_ job: UnownedJob, isTasks: Bool) {
        let needsWaking = state.withLock { state in
            state.jobs.append((job, isTasks))
            // Not needed on the thread itself, which looks at the queue before it waits.
            guard state.jobs.count == 1, let thread = state.thread else { return state.jobs.count == 1 }
            return pthread_equal(pthread_self(), thread) == 0
        }
        guard needsWaking else { return }
        var one: UInt64 = 1
        _ = unsafe write(wake, &one, 8)
    }

    /// Takes all jobs; the array that is given, which is empty, takes their place.
    func take(_ jobs: inout [(job: UnownedJob, isTasks: Bool)]) {
        state.withLock { swap(&jobs, &$0.jobs) }
    }
}
