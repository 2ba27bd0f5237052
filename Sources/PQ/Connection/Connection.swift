internal import Glibc
internal import Logging

/// One connection to PostgreSQL, on a reactor.
///
/// It runs one operation at a time; ``Pool`` lends it to one caller at a time.
///
/// It stays in libpq's pipeline mode, so that a statement is prepared in the same round trip as its first use. It
/// leaves the mode only for COPY, which the mode does not allow.
actor Connection {
    /// How long a detached commit may take.
    ///
    /// It waits for its standbys for as long as the server responds to pings. A longer wait than this means that its
    /// server process is stuck.
    private static let commitMax: Duration = .seconds(1_800)
    /// The interval between requests to cancel a statement.
    private static let cancelInterval: Duration = .milliseconds(200)
    /// The interval of polling the TLS library while an operation waits.
    ///
    /// The library may hold bytes that it has read, and the socket does not signal these.
    private static let tlsPollInterval: Duration = .milliseconds(50)

    nonisolated let reactor: Reactor
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }

    private(set) var session: Session?
    private(set) var state = State.idle
    /// The error that made the connection unusable; nil while it can be used.
    private(set) var loss: PQError?
    var statements = StatementCache()
    /// Names of prepared statements to deallocate with the next group.
    var evicted: [String] = []
    private(set) var roundTrips = 0
    /// Whether the connection must be replaced after its operation.
    ///
    /// Set by ``recordFailure(_:)``, ``doNotReuse()`` and ``drainDetached()``.
    private var isStale = false

    let logger: Logger
    private let cancelToken: CancelToken?
    /// The time that the server may take to cancel before the connection is closed.
    private let cancelGrace: Duration
    /// The number of operations started; it identifies the operation to cancel.
    private(set) var operation = 0
    /// The operation that was detached last; its caller no longer waits for results.
    private var detachedOperation = -1
    /// The next moment to poll the TLS library for unread bytes; nil without TLS.
    private var tlsPollAt: ContinuousClock.Instant?
    /// The next moment to ping the server; nil while idle or during a ping.
    var pingAt: ContinuousClock.Instant?
    /// The target of pings: the server of this connection.
    let pingTarget: ConnectionTarget
    /// The server of this connection.
    nonisolated let server: ServerAddress
    /// The last time at which something arrived from the server.
    var heardAt = ContinuousClock.now
    let pings: PingSettings
    /// Number of requests to cancel that the server has not taken yet.
    private var pendingCancels = 0
    /// A duplicate of the socket's descriptor, which the connection owns.
    ///
    /// libpq closes its descriptor as soon as it finds the connection lost. From then on, that number may belong to
    /// another file.
    private var descriptor: Int32 = -1
    private var waiter: CheckedContinuation<Void, Never>?
    /// The caller that waits for the end of a detached commit.
    private var detachedWaiter: CheckedContinuation<Void, Never>?
    private var wakesOnAnyEvent = false
    /// Whether the socket had an event that no operation waited for.
    private var hasUnhandledEvent = false
    private(set) var wantsWriting = false
    private var wantsReading = true
    private var isWatched = false
    private let onNotification: (@Sendable (Notification) -> Void)?
    private let onLoss: (@Sendable (PQError) -> Void)?
    /// The owners of connections to the server, which learn that it has fallen silent.
    let group: PoolGroup?
    /// The moment the connection was opened, which limits its lifetime in a pool.
    nonisolated let openedAt = ContinuousClock.now
    nonisolated let serverVersion: Int
    nonisolated let backendProcess: Int32

    private init(
        session: Session, target: ConnectionTarget, cancelGrace: Duration, pings: PingSettings, reactor: Reactor,
        logger: Logger, group: PoolGroup?, onNotification: (@Sendable (Notification) -> Void)?,
        onLoss: (@Sendable (PQError) -> Void)?
    ) {
        self.session = session
        server = session.serverAddress
        pingTarget = target.settings(server.settings)
        self.pings = pings
        self.group = group
        self.cancelGrace = cancelGrace
        self.reactor = reactor
        self.logger = logger
        self.onNotification = onNotification
        self.onLoss = onLoss
        cancelToken = session.makeCancelToken()
        serverVersion = session.serverVersion
        backendProcess = session.backendProcess
    }

    /// Opens a connection.
    ///
    /// - Parameter group: The group that learns of a silent server, and whose silent servers are tried last.
    /// - Throws: ``PQError/Code/connectionFailed``, with the server's SQLSTATE if the server refused.
    static func connect(
        to target: ConnectionTarget, deadline: Duration, cancelGrace: Duration = .seconds(5),
        pings: PingSettings = PingSettings(), reactor: Reactor, logger: Logger, group: PoolGroup? = nil,
        onNotification: (@Sendable (Notification) -> Void)? = nil, onLoss: (@Sendable (PQError) -> Void)? = nil
    ) async throws(PQError) -> Connection {
        let session = try await Connector.connect(to: group?.ordered(target) ?? target, deadline: deadline)
        let connection = Connection(
            session: session, target: target, cancelGrace: cancelGrace, pings: pings, reactor: reactor, logger: logger,
            group: group, onNotification: onNotification, onLoss: onLoss)
        try await connection.start()
        group?.opened(connection.server)
        return connection
    }

    private func start() throws(PQError) {
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
            throw PQError(.connectionFailed, "cannot watch another connection: error \(reason)")
        }
        reactor.register(self)
    }

    /// Closes the connection; a waiting operation fails with an error.
    func close(_ reason: PQError = PQError(.connectionLost, "the connection was closed")) {
        guard session != nil else { return }
        state = .closed
        if loss == nil { loss = reason }
        stopWatching()
        session = nil
        wake()
    }

    /// Whether it can be lent again: no operation in progress, no transaction open.
    var isReusable: Bool { state == .idle && loss == nil && !isStale && (session?.isIdle ?? false) }

    // MARK: Readiness, on the reactor's thread

    private func becameReady() {
        guard let session else { return }
        guard session.consumeInput() else {
            markLost(PQError(.connectionLost, "the connection to PostgreSQL was lost: \(session.errorText)"))
            return
        }
        heardAt = .now
        while let notification = session.nextNotification() { onNotification?(notification) }
        guard flush() else { return }
        if isDetached { return drainDetached() }
        hasUnhandledEvent = waiter == nil
        if wakesOnAnyEvent || !session.isBusy { wake() }
    }

    /// Sends the buffered bytes as far as the socket takes them.
    ///
    /// If some are left, it runs again when the socket is writable.
    @discardableResult
    func flush() -> Bool {
        guard let session else { return false }
        guard let isDone = session.flush() else {
            markLost(PQError(.connectionLost, "the connection to PostgreSQL was lost: \(session.errorText)"))
            return false
        }
        if isWatched, wantsWriting == isDone {
            wantsWriting = !isDone
            reactor.setInterest(reading: wantsReading, writing: wantsWriting, descriptor)
        }
        return true
    }

    /// Sets whether incoming bytes are read as they arrive.
    ///
    /// While they are not, the server waits as soon as the socket's buffer is full. A lost connection is still
    /// detected.
    func setReading(_ isEnabled: Bool) {
        guard isWatched, wantsReading != isEnabled else { return }
        wantsReading = isEnabled
        reactor.setInterest(reading: wantsReading, writing: wantsWriting, descriptor)
    }

    /// Records why the connection is unusable and stops watching its socket.
    ///
    /// A watched socket would signal a lost connection forever.
    func markLost(_ error: PQError) {
        guard loss == nil else { return }
        loss = closingError() ?? error
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
        reactor.unregister(self)
    }

    /// The error with which the server closed the connection, such as a shutdown.
    private func closingError() -> PQError? {
        guard let session else { return nil }
        // Results of earlier statements arrive first, each followed by an end.
        for _ in 0..<64 {
            // If the server process is stuck, nothing can be read, and reading would block.
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

    /// Suspends until a whole result has arrived, or until any event of the socket.
    func suspend(untilAnyEvent anyEvent: Bool = false) async {
        await withCheckedContinuation { continuation in
            // This is checked again here, in the same step that sets the waiter, because the socket may have had an
            // event since the caller checked.
            let isReady = loss != nil || wasDetached || (anyEvent ? hasUnhandledEvent : !(session?.isBusy ?? false))
            hasUnhandledEvent = false
            guard !isReady else {
                continuation.resume()
                return
            }
            wakesOnAnyEvent = anyEvent
            waiter = continuation
        }
    }

    // MARK: Operations

    /// Runs one operation alone and by its deadline.
    ///
    /// - Parameters:
    ///   - respectsCancellation: Whether it ends early when the calling task is cancelled.
    ///   - isCancellable: Whether the statement is cancelled at its deadline. Otherwise the connection is detached.
    func perform<R>(
        by deadline: ContinuousClock.Instant, respectsCancellation: Bool = true, isCancellable: Bool = true,
        _ body: () async throws(PQError) -> R
    ) async throws(PQError) -> R {
        if let loss { throw PQError(.connectionLost, loss.message, sqlState: loss.sqlState, server: loss.server) }
        guard state == .idle else { throw PQError(.misuse, "the connection is in use: one operation at a time") }
        guard deadline > .now else {
            throw PQError(.deadlineExceeded, "the deadline had passed before anything was sent")
        }
        if respectsCancellation, Task.isCancelled { throw PQError(.cancelled, "cancelled before anything was sent") }
        operation += 1
        let operation = operation
        let now = ContinuousClock.now
        state = .busy(deadline: deadline, isCancellable: isCancellable)
        let pingAt = now + pings.after
        self.pingAt = pingAt
        reactor.deadlineChanged(to: min(deadline, pingAt))
        scheduleTLSPoll(now)
        let result: Result<R, PQError>
        if respectsCancellation {
            result = await withTaskCancellationHandler {
                await Self.result(body)
            } onCancel: {
                // Cancelling needs the connection's state, and the handler may run on any thread.
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
            .deadlineExceeded, "PostgreSQL did not respond within the deadline; the statement was cancelled",
            sqlState: error.sqlState, server: error.server)
    }

    private func cancel(_ operation: Int) {
        guard case .busy(_, isCancellable: true) = state, operation == self.operation else { return }
        beginCancelling(.now)
    }

    private func beginCancelling(_ now: ContinuousClock.Instant) {
        requestCancel(now, giveUpAt: now + cancelGrace)
    }

    private func requestCancel(_ now: ContinuousClock.Instant, giveUpAt: ContinuousClock.Instant) {
        let retryAt = now + Self.cancelInterval
        state = .cancelling(giveUpAt: giveUpAt, retryAt: retryAt)
        reactor.deadlineChanged(to: min(giveUpAt, retryAt))
        guard let cancelToken, pendingCancels == 0 else { return }
        pendingCancels += 1
        cancelToken.sendRequest { Task(name: "pq-cancel-sent") { await self.cancelWasSent() } }
    }

    private func cancelWasSent() {
        pendingCancels -= 1
        hasUnhandledEvent = waiter == nil
        if wakesOnAnyEvent || pendingCancels == 0 && session?.isBusy == false { wake() }
    }

    /// Waits until the server has taken all requests to cancel.
    ///
    /// A request to cancel is not bound to a statement. If its statement has ended before it arrives, it would cancel
    /// the next one. Therefore the next operation starts only after the server has taken the request, or the connection
    /// is closed.
    private func waitForCancels() async {
        while pendingCancels > 0, loss == nil { await suspend(untilAnyEvent: true) }
    }

    /// Prevents the connection from being lent again after this operation.
    func doNotReuse() {
        isStale = true
    }

    /// Marks the connection as stale if the failure concerns the whole session.
    ///
    /// A database that is read-only now may be writable for later sessions, and the other way round, so the connection
    /// is not lent again.
    func recordFailure(_ error: PQError) {
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
            case .busy(let deadline, _): return connection.orTLSPoll(connection.orPing(deadline))
            case .cancelling(let giveUpAt, let retryAt):
                return connection.orTLSPoll(connection.orPing(min(giveUpAt, retryAt)))
            case .detached(let giveUpAt): return connection.orTLSPoll(connection.orPing(giveUpAt))
            }
        }
    }

    private func orPing(_ deadline: ContinuousClock.Instant) -> ContinuousClock.Instant {
        pingAt.map { min($0, deadline) } ?? deadline
    }

    private func orTLSPoll(_ deadline: ContinuousClock.Instant) -> ContinuousClock.Instant {
        tlsPollAt.map { min($0, deadline) } ?? deadline
    }

    private func scheduleTLSPoll(_ now: ContinuousClock.Instant) {
        guard session?.usesTLS == true else { return }
        let next = now + Self.tlsPollInterval
        tlsPollAt = next
        reactor.deadlineChanged(to: next)
    }

    nonisolated func deadlinePassed(_ now: ContinuousClock.Instant) {
        assumeIsolated { $0.checkDeadline(now) }
    }

    private func checkDeadline(_ now: ContinuousClock.Instant) {
        if let pingAt, pingAt <= now { pingServer() }
        switch state {
        case .idle, .closed: break
        case .busy(let deadline, let isCancellable):
            guard deadline <= now else { break }
            if isCancellable { beginCancelling(now) } else { detach(now) }
        case .detached(let giveUpAt):
            if giveUpAt <= now { giveUp() }
        case .cancelling(let giveUpAt, let retryAt):
            guard giveUpAt <= now else {
                if retryAt <= now { requestCancel(now, giveUpAt: giveUpAt) }
                break
            }
            giveUp()
        }
        if session?.usesTLS == true, loss == nil, state != .idle {
            scheduleTLSPoll(now)
            becameReady()
        }
    }

    private func giveUp() {
        logger.warning(
            "the server does not respond; giving up the connection", metadata: ["db.backend": "\(backendProcess)"])
        markLost(
            PQError(
                .deadlineExceeded,
                "PostgreSQL did not respond within the deadline, nor to a request to cancel; the connection was closed")
        )
    }

    // MARK: Detached commits

    /// Whether a commit continues although its caller has got an error already.
    var isDetached: Bool { if case .detached = state { loss == nil } else { false } }

    /// Whether the latest operation was detached, even if it has ended since.
    var wasDetached: Bool { detachedOperation == operation }

    private func detach(_ now: ContinuousClock.Instant) {
        // If the whole response has arrived, the operation is not detached: its result only has not been read yet.
        guard session?.isBusy ?? false else { return wake() }
        state = .detached(giveUpAt: now + Self.commitMax)
        detachedOperation = operation
        wake()
    }

    /// Waits for the end of a detached commit, if there is one.
    func waitWhileDetached() async {
        guard isDetached, loss == nil else { return }
        await withCheckedContinuation { detachedWaiter = $0 }
    }

    /// Discards the results of a detached group, up to the end of the group.
    ///
    /// The statements that the group has prepared are then unknown, so the connection is not lent again.
    private func drainDetached() {
        while loss == nil, let session, !session.isBusy {
            guard case .synced = session.nextResult() else { continue }
            pingAt = nil
            state = .idle
            isStale = true
            return wake()
        }
    }
}
