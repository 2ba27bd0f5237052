internal import CLibPQ
internal import Glibc
internal import Synchronization

/// One thread that waits for all connections' sockets and runs their code.
///
/// It is the connections' executor, so that no `PGconn` is ever used by two threads. It can also be a task's preferred
/// executor: an operation that uses the database many times then stays on this thread, and a statement needs no thread
/// switch. Code that blocks or computes for long must not run here.
///
/// Sockets are registered level-triggered. `PQconsumeInput` reads once and does not drain the socket, so an edge would
/// be lost with a large result.
///
/// `@unchecked Sendable`: `sources`, `nextDeadline` and `timed` are only used on the thread; `queue` has a lock.
@safe public final class Reactor: SerialExecutor, @unchecked Sendable {
    /// The default reactor of pools.
    public static let shared = Reactor()

    /// An object on the reactor that has deadlines.
    protocol Timed: AnyObject {
        /// The next moment to call ``deadlinePassed(_:)``; nil for none.
        var nextDeadline: ContinuousClock.Instant? { get }
        /// Handles the deadline, on the reactor's thread, at that moment or slightly later.
        func deadlinePassed(_ now: ContinuousClock.Instant)
    }

    private static let eventsPerPollMax = 64
    /// Maximum rounds of new jobs that run before the sockets are checked.
    private static let jobRoundsMax = 32

    private let epoll: Int32
    private let wake: Int32
    private let queue: JobQueue
    private let tasks: ReactorTaskExecutor
    /// The executor that keeps a task on this thread between its database calls.
    public var taskExecutor: some TaskExecutor { tasks }
    private var sources: [Int32: () -> Void] = [:]
    private var timed: [ObjectIdentifier: any Timed] = [:]
    private var nextDeadline: ContinuousClock.Instant?

    /// Creates a reactor with its own thread, which lives as long as the process.
    public init() {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        wake = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        precondition(epoll >= 0 && wake >= 0, "cannot create an epoll or event descriptor: error \(errno)")
        queue = JobQueue(wake: wake)
        tasks = ReactorTaskExecutor(queue: queue)
        let isWatched = control(EPOLL_CTL_ADD, wake, EPOLLIN.rawValue)
        precondition(isWatched, "cannot watch the event descriptor: error \(errno)")
        Thread.detached(named: "ledger-pq") { self.run() }
    }

    // MARK: Executor

    public func enqueue(_ job: consuming ExecutorJob) {
        queue.append(UnownedJob(job), isTaskJob: false)
    }

    public func checkIsolated() {
        precondition(queue.isOnThread, "this runs on the reactor's thread only")
    }

    private func run() {
        queue.bindToCurrentThread()
        var events = unsafe [epoll_event](repeating: epoll_event(), count: Self.eventsPerPollMax)
        var jobs: [(job: UnownedJob, isTaskJob: Bool)] = []
        var rounds = 0
        while true {
            queue.take(&jobs)
            rounds = jobs.isEmpty ? 0 : rounds + 1
            for (job, isTaskJob) in jobs {
                // An actor's job that runs as a task's job, or the reverse, switches executors at every call.
                if isTaskJob {
                    unsafe job.runSynchronously(
                        isolatedTo: asUnownedSerialExecutor(), taskExecutor: tasks.asUnownedTaskExecutor())
                } else {
                    unsafe job.runSynchronously(on: asUnownedSerialExecutor())
                }
            }
            let isIdle = jobs.isEmpty
            jobs.removeAll(keepingCapacity: true)
            // Jobs that a job enqueues run before the sockets are checked again, for a limited number of rounds.
            if !isIdle, rounds < Self.jobRoundsMax { continue }
            rounds = 0
            let timeout = isIdle && queue.prepareToWait() ? millisecondsToNextDeadline() : 0
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
            notifyDueObjects()
        }
    }

    // MARK: Sockets, on the thread

    /// Calls the closure whenever the descriptor is readable.
    ///
    /// The descriptor must stay open until ``unwatch(_:)``.
    ///
    /// - Returns: Whether the system agrees: it limits the number of watched descriptors.
    func watch(_ descriptor: Int32, _ onReady: @escaping () -> Void) -> Bool {
        checkIsolated()
        guard control(EPOLL_CTL_ADD, descriptor, EPOLLIN.rawValue) else { return false }
        sources[descriptor] = onReady
        return true
    }

    /// Sets whether the closure is called when the descriptor is readable or writable.
    ///
    /// It is always called after a hang-up.
    func setInterest(reading: Bool, writing: Bool, _ descriptor: Int32) {
        let interest = (reading ? EPOLLIN.rawValue : 0) | (writing ? EPOLLOUT.rawValue : 0)
        let hasSucceeded = control(EPOLL_CTL_MOD, descriptor, interest)
        precondition(hasSucceeded, "epoll does not watch descriptor \(descriptor): error \(errno)")
    }

    /// Stops watching a descriptor.
    func unwatch(_ descriptor: Int32) {
        checkIsolated()
        sources[descriptor] = nil
        let hasSucceeded = control(EPOLL_CTL_DEL, descriptor, 0)
        precondition(hasSucceeded, "epoll does not watch descriptor \(descriptor): error \(errno)")
    }

    private func control(_ operation: Int32, _ descriptor: Int32, _ interest: UInt32) -> Bool {
        var event = unsafe epoll_event()
        unsafe event.events = interest
        unsafe event.data.fd = descriptor
        return unsafe epoll_ctl(epoll, operation, descriptor, &event) == 0
    }

    // MARK: Deadlines, on the thread

    /// Starts checking the deadlines of this object, until ``unregister(_:)``.
    func register(_ object: any Timed) {
        timed[ObjectIdentifier(object)] = object
    }

    /// Stops checking the deadlines of this object.
    func unregister(_ object: any Timed) {
        timed[ObjectIdentifier(object)] = nil
    }

    /// Informs the reactor that an object has an earlier deadline than before.
    func deadlineChanged(to deadline: ContinuousClock.Instant) {
        if let nextDeadline, nextDeadline <= deadline { return }
        nextDeadline = deadline
    }

    private func millisecondsToNextDeadline() -> Int32 {
        guard let nextDeadline else { return -1 }
        let remaining = ContinuousClock.now.duration(to: nextDeadline)
        guard remaining > .zero else { return 0 }
        let (seconds, attoseconds) = remaining.components
        // Rounded up, so that the thread does not wake slightly too early, and limited to an hour.
        return Int32(min(seconds, 3_600) * 1_000 + attoseconds / 1_000_000_000_000_000 + 1)
    }

    private func notifyDueObjects() {
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

/// The reactor as a task's preferred executor.
private final class ReactorTaskExecutor: TaskExecutor {
    private let queue: JobQueue

    init(queue: JobQueue) {
        self.queue = queue
    }

    func enqueue(_ job: consuming ExecutorJob) {
        queue.append(UnownedJob(job), isTaskJob: true)
    }
}

/// The jobs for the reactor's thread, and the descriptor that wakes it.
private final class JobQueue: Sendable {
    private struct State {
        var jobs: [(job: UnownedJob, isTaskJob: Bool)] = []
        var thread: pthread_t?
        /// Whether the thread waits for its descriptors, and no job has woken it yet.
        var isWaiting = false
    }

    private let state = Mutex(State())
    private let wake: Int32

    init(wake: Int32) {
        self.wake = wake
    }

    var isOnThread: Bool {
        state.withLock { $0.thread.map { pthread_equal(pthread_self(), $0) != 0 } ?? false }
    }

    func bindToCurrentThread() {
        state.withLock { $0.thread = pthread_self() }
    }

    /// Adds a job, and wakes the thread if it waits.
    func append(_ job: UnownedJob, isTaskJob: Bool) {
        let needsWaking = state.withLock { state in
            state.jobs.append((job, isTaskJob))
            defer { state.isWaiting = false }
            return state.isWaiting
        }
        guard needsWaking else { return }
        var one: UInt64 = 1
        _ = unsafe write(wake, &one, 8)
    }

    /// Records that the thread is about to wait, so that the next job wakes it.
    ///
    /// - Returns: Whether there is no job, so that the thread may wait.
    func prepareToWait() -> Bool {
        state.withLock { state in
            state.isWaiting = state.jobs.isEmpty
            return state.isWaiting
        }
    }

    /// Takes all jobs and replaces them with the given array, which must be empty.
    func take(_ jobs: inout [(job: UnownedJob, isTaskJob: Bool)]) {
        state.withLock { state in
            state.isWaiting = false
            swap(&jobs, &state.jobs)
        }
    }
}
