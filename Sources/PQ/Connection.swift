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
    /// - busy: an operation that must end by its deadline. Can become idle, cancelling or closed.
    /// - cancelling: the server was asked to cancel it and has a little time to; it is asked again meanwhile, since a
    ///   request that overtakes its statement is ignored. Can become idle or closed.
    /// - closed: for good.
    enum State: Equatable {
        case idle
        case busy(deadline: ContinuousClock.Instant)
        case cancelling(giveUpAt: ContinuousClock.Instant, askAgainAt: ContinuousClock.Instant)
        case closed
    }

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

    private let logger: Logger
    private let cancelToken: CancelToken?
    /// How long the server has to answer a request to cancel before the connection is given up.
    private let cancelGrace: Duration
    /// How many operations have begun: tells the one that is to be cancelled from those after it.
    private var operation = 0
    /// Requests to cancel that are on their way to the server.
    private var cancelsUnderWay = 0
    /// A descriptor of our own for the socket: libpq closes its one by itself when it finds the connection lost, and then
    /// that number may belong to something else already.
    private var descriptor: Int32 = -1
    private var waiter: CheckedContinuation<Void, Never>?
    private var wakesOnAnything = false
    /// Whether the socket told of something while nobody waited.
    private var hasNews = false
    private var wantsWriting = false
    private var wantsReading = true
    private var isWatched = false
    private let onNotification: (@Sendable (Notification) -> Void)?
    private let onLoss: (@Sendable (PQError) -> Void)?
    /// When the connection was made; for its lifetime in a pool.
    nonisolated let madeAt = ContinuousClock.now
    nonisolated let serverVersion: Int
    nonisolated let backendProcess: Int32

    private init(
        session: Session, cancelGrace: Duration, reactor: Reactor, logger: Logger,
        onNotification: (@Sendable (Notification) -> Void)?, onLoss: (@Sendable (PQError) -> Void)?
    ) {
        self.session = session
        self.cancelGrace = cancelGrace
        self.reactor = reactor
        self.logger = logger
        self.onNotification = onNotification
        self.onLoss = onLoss
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
        onNotification: (@Sendable (Notification) -> Void)? = nil, onLoss: (@Sendable (PQError) -> Void)? = nil
    ) async throws(PQError) -> Connection {
        let session = try await Connector.connect(to: target, deadline: deadline)
        let connection = Connection(
            session: session, cancelGrace: cancelGrace, reactor: reactor, logger: logger,
            onNotification: onNotification, onLoss: onLoss)
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
    var isReusable: Bool { state == .idle && loss == nil && (session?.isIdle ?? false) }

    // MARK: Readiness, on the reactor's thread

    private func becameReady() {
        guard let session else { return }
        guard session.consumeInput() else {
            lose(PQError(.connectionLost, "the connection to PostgreSQL was lost: \(session.errorText)"))
            return
        }
        while let notification = session.nextNotification() { onNotification?(notification) }
        guard flush() else { return }
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
    }

    /// Suspends until a whole result is there, or, with `anything`, until the socket tells of anything.
    func suspend(untilAnything anything: Bool = false) async {
        await withCheckedContinuation { continuation in
            // Looked at once more here, in the same step in which the waiter is set: the socket may have told of
            // something since the caller looked.
            let isReady = loss != nil || (anything ? hasNews : !(session?.isBusy ?? false))
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
    /// - Parameter heedsCancellation: Whether it ends early when the calling task is cancelled.
    func perform<R>(
        by deadline: ContinuousClock.Instant, heedsCancellation: Bool = true,
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
        state = .busy(deadline: deadline)
        reactor.deadlineChanged(to: deadline)
        if session?.usesTLS == true { reactor.deadlineChanged(to: .now + Self.tlsNudge) }
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
        if state != .closed { state = .idle }
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
        guard case .busy = state, operation == self.operation else { return }
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

    func countRoundTrip() {
        roundTrips += 1
    }
}

extension Connection: Reactor.Timed {
    nonisolated var nextDeadline: ContinuousClock.Instant? {
        assumeIsolated { connection in
            switch connection.state {
            case .idle, .closed: return nil
            case .busy(let deadline): return connection.nudged(deadline)
            case .cancelling(let giveUpAt, let askAgainAt): return connection.nudged(min(giveUpAt, askAgainAt))
            }
        }
    }

    private func nudged(_ deadline: ContinuousClock.Instant) -> ContinuousClock.Instant {
        session?.usesTLS == true ? min(deadline, .now + Self.tlsNudge) : deadline
    }

    nonisolated func deadlinePassed(_ now: ContinuousClock.Instant) {
        assumeIsolated { $0.checkDeadline(now) }
    }

    private func checkDeadline(_ now: ContinuousClock.Instant) {
        switch state {
        case .idle, .closed: break
        case .busy(let deadline):
            if deadline <= now { beginCancelling(now) }
        case .cancelling(let giveUpAt, let askAgainAt):
            guard giveUpAt <= now else {
                if askAgainAt <= now { askToCancel(now, giveUpAt: giveUpAt) }
                break
            }
            logger.warning(
                "gave up a connection whose server does not answer", metadata: ["db.backend": "\(backendProcess)"])
            lose(
                PQError(
                    .deadlineExceeded,
                    "PostgreSQL did not answer within the deadline, nor a request to cancel; the connection was given up"
                ))
        }
        if session?.usesTLS == true, loss == nil { becameReady() }
    }
}
