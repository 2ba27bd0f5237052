internal import Glibc
internal import Logging

/// One connection to PostgreSQL, on a reactor. It does one thing at a time; ``Pool`` lends it to one caller at a time.
///
/// It stays in libpq's pipeline mode, so that preparing a statement travels with its first use, and leaves it only
/// for COPY, which the mode does not allow.
actor Connection {
    /// What the connection is doing.
    ///
    /// - idle: nothing. Can become busy or closed.
    /// - busy: an operation whose caller is answered by its deadline. Can become idle, cancelling, detached or closed.
    /// - cancelling: the server was asked to cancel it and has a little time to; it is asked again meanwhile, since a
    ///   request that overtakes its statement is ignored. Can become idle or closed.
    /// - detached: a commit whose caller was told at its deadline that the outcome is unknown. It goes on, since cancelling
    ///   it would end its wait for standbys only. Can become idle or closed.
    /// - closed: for good.
    enum State: Equatable {
        case idle
        case busy(deadline: ContinuousClock.Instant, isCancellable: Bool)
        case cancelling(giveUpAt: ContinuousClock.Instant, askAgainAt: ContinuousClock.Instant)
        case detached(giveUpAt: ContinuousClock.Instant)
        case closed
    }

    /// How long a detached commit may take. It waits for its standbys for as long as the server answers pings; a longer
    /// wait than this means that its server process stands still.
    private static let commitMax: Duration = .seconds(1_800)
    /// How long an operation runs before the server is asked whether it answers at all, and how long it has to.
    /// Long enough for a machine that is busy with much else.
    private static let ping: (after: Duration, timeout: Duration) = (.seconds(5), .seconds(10))
    /// How often the server is asked to cancel a statement.
    private static let cancelInterval: Duration = .milliseconds(200)
    /// Bytes may be parked inside the TLS library, where no socket tells of them: look this often while waiting.
    private static let tlsNudge: Duration = .milliseconds(50)

    nonisolated let reactor: Reactor
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }

    private(set) var session: Session?
    private(set) var state = State.idle
    /// Why the connection can no longer be used.
    private(set) var loss: PQError?
    var statements = StatementCache()
    /// Names of prepared statements that the server is to drop with the next group.
    var evicted: [String] = []
    private(set) var roundTrips = 0
    /// Whether a new session is wanted in its place: see ``noteFailure(_:)`` and ``drainDetached()``.
    private var isStale = false

    private let logger: Logger
    private let cancelToken: CancelToken?
    /// How long the server has to answer a request to cancel before the connection is given up.
    private let cancelGrace: Duration
    /// How many operations have begun: tells the one that is to be cancelled from those after it.
    private var operation = 0
    /// The operation that was detached last, whose caller no longer waits for its results.
    private var detachedOperation = -1
    /// When to look next for bytes that the TLS library has read and not handed on; nil without TLS.
    private var nudgeAt: ContinuousClock.Instant?
    /// When to ask next whether the server answers; nil while nothing runs or a ping is under way.
    private var pingAt: ContinuousClock.Instant?
    private let target: ConnectionTarget
    /// Requests to cancel that are on their way to the server.
    private var cancelsUnderWay = 0
    /// A descriptor of our own for the socket: libpq closes its one by itself when it finds the connection lost, and then
    /// that number may belong to something else already.
    private var descriptor: Int32 = -1
    private var waiter: CheckedContinuation<Void, Never>?
    /// Resumed when a detached commit has ended.
    private var detachedWaiter: CheckedContinuation<Void, Never>?
    private var wakesOnAnything = false
    /// Whether the socket told of something while nobody waited.
    private var hasNews = false
    private var wantsWriting = false
    private var wantsReading = true
    private var isWatched = false
    private let onNotification: (@Sendable (Notification) -> Void)?
    private let onLoss: (@Sendable (PQError) -> Void)?
    private let onSilence: (@Sendable () -> Void)?
    /// When the connection was made; for its lifetime in a pool.
    nonisolated let madeAt = ContinuousClock.now
    nonisolated let serverVersion: Int
    nonisolated let backendProcess: Int32

    private init(
        session: Session, target: ConnectionTarget, cancelGrace: Duration, reactor: Reactor, logger: Logger,
        onNotification: (@Sendable (Notification) -> Void)?, onLoss: (@Sendable (PQError) -> Void)?,
        onSilence: (@Sendable () -> Void)?
    ) {
        self.session = session
        self.target = target.settings(session.serverAddress)
        self.cancelGrace = cancelGrace
        self.reactor = reactor
        self.logger = logger
        self.onNotification = onNotification
        self.onLoss = onLoss
        self.onSilence = onSilence
        cancelToken = session.makeCancelToken()
        serverVersion = session.serverVersion
        backendProcess = session.backendProcess
    }

    /// Makes a connection.
    ///
    /// - Throws: ``PQError/Code/connectionFailed``, with the server's SQLSTATE where it refused.
    static func connect(
        to target: ConnectionTarget, deadline: Duration, cancelGrace: Duration = .seconds(5), reactor: Reactor,
        logger: Logger,
        onNotification: (@Sendable (Notification) -> Void)? = nil, onLoss: (@Sendable (PQError) -> Void)? = nil,
        onSilence: (@Sendable () -> Void)? = nil
    ) async throws(PQError) -> Connection {
        let session = try await Connector.connect(to: target, deadline: deadline)
        let connection = Connection(
            session: session, target: target, cancelGrace: cancelGrace, reactor: reactor, logger: logger,
            onNotification: onNotification, onLoss: onLoss, onSilence: onSilence)
        try await connection.begin()
        return connection
    }

    private func begin() throws(PQError) {
        guard let session, session.setNonblocking(), session.enterPipeline() else {
            close()
            throw PQError(.connectionFailed, "libpq refuses the non-blocking pipeline mode")
        }
        session.logNotices(to: logger)
        descriptor = fcntl(session.descriptor, F_DUPFD_CLOEXEC, 0)
        isWatched =
            descriptor >= 0 && reactor.watch(descriptor) { [unowned self] in assumeIsolated { $0.becameReady() } }
        guard isWatched else {
            let reason = errno
            if descriptor >= 0 { Glibc.close(descriptor) }
            close()
            throw PQError(.connectionFailed, "the system takes no more open connections: error \(reason)")
        }
        reactor.remember(self)
    }

    /// Closes the connection; whoever waits on it gets an error.
    func close() {
        guard session != nil else { return }
        state = .closed
        if loss == nil { loss = PQError(.connectionLost, "the connection was closed") }
        stopWatching()
        session = nil
        wake()
    }

    /// Whether it can be lent again: nothing under way, no transaction open.
    var isReusable: Bool { state == .idle && loss == nil && !isStale && (session?.isIdle ?? false) }

    // MARK: Readiness, on the reactor's thread

    private func becameReady() {
        guard let session else { return }
        guard session.consumeInput() else {
            lose(PQError(.connectionLost, "the connection to PostgreSQL was lost: \(session.errorText)"))
            return
        }
        while let notification = session.nextNotification() { onNotification?(notification) }
        guard flush() else { return }
        if isDetached { return drainDetached() }
        hasNews = waiter == nil
        if wakesOnAnything || !session.isBusy { wake() }
    }

    /// Sends what is buffered, and asks to be called again where the socket takes no more now.
    @discardableResult
    func flush() -> Bool {
        guard let session else { return false }
        guard let isDone = session.flush() else {
            lose(PQError(.connectionLost, "the connection to PostgreSQL was lost: \(session.errorText)"))
            return false
        }
        if isWatched, wantsWriting == isDone {
            wantsWriting = !isDone
            reactor.setInterest(reading: wantsReading, writing: wantsWriting, descriptor)
        }
        return true
    }

    /// Whether what the server sends is read as it comes. While it is not, the server waits as soon as the socket's buffer
    /// is full; that the connection is lost is told all the same.
    func setReading(_ isWanted: Bool) {
        guard isWatched, wantsReading != isWanted else { return }
        wantsReading = isWanted
        reactor.setInterest(reading: wantsReading, writing: wantsWriting, descriptor)
    }

    /// Notes why the connection is of no more use, and stops listening to its socket, which would call for ever.
    private func lose(_ error: PQError) {
        guard loss == nil else { return }
        loss = lastWords() ?? error
        stopWatching()
        wake()
        if let loss { onLoss?(loss) }
    }

    private func stopWatching() {
        guard isWatched else { return }
        isWatched = false
        wantsWriting = false
        reactor.unwatch(descriptor)
        Glibc.close(descriptor)
        reactor.forget(self)
    }

    /// What the server said before it closed the connection, such as that it is shutting down.
    private func lastWords() -> PQError? {
        guard let session else { return nil }
        // Results of the statements before come first, each with an end.
        for _ in 0..<64 {
            // Of a server that stands still there is nothing to read, and reading would wait for it.
            guard !session.isBusy else { return nil }
            switch session.nextResult() {
            case .failure(let error) where error.sqlState != nil:
                return PQError(
                    .connectionLost, "PostgreSQL closed the connection: \(error.server?.message ?? "")",
                    sqlState: error.sqlState, server: error.server)
            case .copyIn, .copyOut: return nil
            case .failure, .rows, .skipped, .synced, .end: continue
            }
        }
        return nil
    }

    private func wake() {
        waiter?.resume()
        waiter = nil
        detachedWaiter?.resume()
        detachedWaiter = nil
    }

    /// Suspends until a whole result is there, or, with `anything`, until the socket tells of anything.
    func suspend(untilAnything anything: Bool = false) async {
        await withCheckedContinuation { continuation in
            // Looked at once more here, in the same step in which the waiter is set: the socket may have told of
            // something since the caller looked.
            let isReady = loss != nil || isCutOff || (anything ? hasNews : !(session?.isBusy ?? false))
            hasNews = false
            guard !isReady else {
                continuation.resume()
                return
            }
            wakesOnAnything = anything
            waiter = continuation
        }
    }

    // MARK: Operations

    /// Runs one operation by itself and by its deadline.
    ///
    /// - Parameters:
    ///   - heedsCancellation: Whether it ends early when the calling task is cancelled.
    ///   - isCancellable: Whether the statement is cancelled at its deadline. Otherwise the connection is detached.
    func perform<R>(
        by deadline: ContinuousClock.Instant, heedsCancellation: Bool = true, isCancellable: Bool = true,
        _ body: () async throws(PQError) -> R
    ) async throws(PQError) -> R {
        if let loss { throw PQError(.connectionLost, loss.message, sqlState: loss.sqlState, server: loss.server) }
        guard state == .idle else { throw PQError(.misuse, "the connection is in use: one operation at a time") }
        guard deadline > .now else {
            throw PQError(.deadlineExceeded, "the deadline had passed before anything was sent")
        }
        if heedsCancellation, Task.isCancelled { throw PQError(.cancelled, "cancelled before anything was sent") }
        operation += 1
        let operation = operation
        let now = ContinuousClock.now
        state = .busy(deadline: deadline, isCancellable: isCancellable)
        let pingAt = now + Self.ping.after
        self.pingAt = pingAt
        reactor.deadlineChanged(to: min(deadline, pingAt))
        nudge(now)
        let result: Result<R, PQError>
        if heedsCancellation {
            result = await withTaskCancellationHandler {
                await Self.result(body)
            } onCancel: {
                // Cancelling needs the connection's state; the handler may run on any thread.
                Task(name: "pq-cancel") { await self.cancel(operation) }
            }
        } else {
            result = await Self.result(body)
        }
        let wasCancelling = if case .cancelling = state { true } else { false }
        await waitForCancels()
        if !isDetached {
            self.pingAt = nil
            if state != .closed { state = .idle }
        }
        do {
            return try result.get()
        } catch {
            throw explain(error, wasCancelling: wasCancelling)
        }
    }

    private static func result<R>(_ body: () async throws(PQError) -> R) async -> Result<R, PQError> {
        do throws(PQError) { return .success(try await body()) } catch { return .failure(error) }
    }

    private func explain(_ error: PQError, wasCancelling: Bool) -> PQError {
        guard error.sqlState == .queryCanceled else { return error }
        if Task.isCancelled { return PQError(.cancelled, "cancelled", sqlState: error.sqlState, server: error.server) }
        guard wasCancelling else { return error }
        return PQError(
            .deadlineExceeded, "PostgreSQL did not answer within the deadline; the statement was cancelled",
            sqlState: error.sqlState, server: error.server)
    }

    private func cancel(_ operation: Int) {
        guard case .busy(_, isCancellable: true) = state, operation == self.operation else { return }
        beginCancelling(.now)
    }

    private func beginCancelling(_ now: ContinuousClock.Instant) {
        askToCancel(now, giveUpAt: now + cancelGrace)
    }

    private func askToCancel(_ now: ContinuousClock.Instant, giveUpAt: ContinuousClock.Instant) {
        let askAgainAt = now + Self.cancelInterval
        state = .cancelling(giveUpAt: giveUpAt, askAgainAt: askAgainAt)
        reactor.deadlineChanged(to: min(giveUpAt, askAgainAt))
        guard let cancelToken, cancelsUnderWay == 0 else { return }
        cancelsUnderWay += 1
        cancelToken.fire { Task(name: "pq-cancel-sent") { await self.cancelWasSent() } }
    }

    private func cancelWasSent() {
        cancelsUnderWay -= 1
        hasNews = waiter == nil
        if wakesOnAnything || cancelsUnderWay == 0 && session?.isBusy == false { wake() }
    }

    /// A request to cancel is not bound to a statement: one that is still on its way when its statement has ended would
    /// hit the next one. So nothing else begins before the server has taken it, or the connection is given up.
    private func waitForCancels() async {
        while cancelsUnderWay > 0, loss == nil { await suspend(untilAnything: true) }
    }

    /// Remembers what a failure says about the session. A database that is read only now may be writable for sessions
    /// that begin later, and the other way round, so the connection is not lent again.
    /// The connection is not lent again after this operation.
    func doNotReuse() {
        isStale = true
    }

    func noteFailure(_ error: PQError) {
        if error.sqlState == .readOnlyTransaction { isStale = true }
    }

    func resetRoundTrips() {
        roundTrips = 0
    }

    func countRoundTrip() {
        roundTrips += 1
    }
}

extension Connection: Reactor.Timed {
    nonisolated var nextDeadline: ContinuousClock.Instant? {
        assumeIsolated { connection in
            switch connection.state {
            case .idle, .closed: return nil
            case .busy(let deadline, _): return connection.nudged(connection.orPing(deadline))
            case .cancelling(let giveUpAt, let askAgainAt):
                return connection.nudged(connection.orPing(min(giveUpAt, askAgainAt)))
            case .detached(let giveUpAt): return connection.nudged(connection.orPing(giveUpAt))
            }
        }
    }

    private func orPing(_ deadline: ContinuousClock.Instant) -> ContinuousClock.Instant {
        pingAt.map { min($0, deadline) } ?? deadline
    }

    private func nudged(_ deadline: ContinuousClock.Instant) -> ContinuousClock.Instant {
        nudgeAt.map { min($0, deadline) } ?? deadline
    }

    private func nudge(_ now: ContinuousClock.Instant) {
        guard session?.usesTLS == true else { return }
        let next = now + Self.tlsNudge
        nudgeAt = next
        reactor.deadlineChanged(to: next)
    }

    nonisolated func deadlinePassed(_ now: ContinuousClock.Instant) {
        assumeIsolated { $0.checkDeadline(now) }
    }

    private func checkDeadline(_ now: ContinuousClock.Instant) {
        if let pingAt, pingAt <= now { askWhetherServerAnswers() }
        switch state {
        case .idle, .closed: break
        case .busy(let deadline, let isCancellable):
            guard deadline <= now else { break }
            if isCancellable { beginCancelling(now) } else { detach(now) }
        case .detached(let giveUpAt):
            if giveUpAt <= now { giveUp() }
        case .cancelling(let giveUpAt, let askAgainAt):
            guard giveUpAt <= now else {
                if askAgainAt <= now { askToCancel(now, giveUpAt: giveUpAt) }
                break
            }
            giveUp()
        }
        if session?.usesTLS == true, loss == nil, state != .idle {
            nudge(now)
            becameReady()
        }
    }

    private func giveUp() {
        logger.warning(
            "gave up a connection whose server does not answer", metadata: ["db.backend": "\(backendProcess)"])
        lose(
            PQError(
                .deadlineExceeded,
                "PostgreSQL did not answer within the deadline, nor a request to cancel; the connection was given up"))
    }

    // MARK: Detached commits

    /// Whether a commit goes on whose caller has been answered.
    var isDetached: Bool { if case .detached = state { loss == nil } else { false } }

    /// Whether the operation that was begun last is detached, even if it has ended since.
    var isCutOff: Bool { detachedOperation == operation }

    private func detach(_ now: ContinuousClock.Instant) {
        // A response that has arrived is not cut off: it only has not been looked at yet.
        guard session?.isBusy ?? false else { return wake() }
        state = .detached(giveUpAt: now + Self.commitMax)
        detachedOperation = operation
        wake()
    }

    /// Returns when a detached commit has ended, whatever its outcome; at once if there is none.
    func waitWhileDetached() async {
        guard isDetached, loss == nil else { return }
        await withCheckedContinuation { detachedWaiter = $0 }
    }

    /// Takes the results that nobody waits for any more, up to the end of the group. Which statements it has prepared is
    /// not known then, so the connection is not lent again.
    private func drainDetached() {
        while loss == nil, let session, !session.isBusy {
            guard case .synced = session.nextResult() else { continue }
            pingAt = nil
            state = .idle
            isStale = true
            return wake()
        }
    }

    // MARK: Pings

    /// Asks the server from a connection of its own whether it answers. One that does not is frozen or unreachable, and
    /// then this connection is given up, whatever it waits for: the operation would otherwise wait for its deadline, and
    /// a commit for much longer.
    private func askWhetherServerAnswers() {
        pingAt = nil
        let operation = operation
        Connector.ping(target, timeout: Self.ping.timeout) { isAnswering in
            Task(name: "pq-ping") { await self.noticePing(isAnswering, of: operation) }
        }
    }

    private func noticePing(_ isAnswering: Bool, of operation: Int) {
        guard operation == self.operation, loss == nil, state != .idle, state != .closed else { return }
        guard !isAnswering else {
            let next = ContinuousClock.now + Self.ping.after
            pingAt = next
            reactor.deadlineChanged(to: next)
            return
        }
        giveUp()
        onSilence?()
    }
}
