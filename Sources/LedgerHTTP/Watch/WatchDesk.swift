internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import Logging
internal import NIOCore
internal import Synchronization

/// Serves all who watch: hears which snapshots move, reads each changed one once, encodes it once, and puts it into the
/// mailboxes of all who watch it.
///
/// It works in rounds, ten a second at most, each of which reads all that has moved since the one before. So nobody is
/// sent a job more often than that, and what a change costs the database does not depend on how many watch. Watchers who
/// are too many for this are sent less often, and never take more than half of the time of the threads that serve sockets.
final class WatchDesk: Sendable {
    /// The least time from the beginning of one round to that of the next.
    private static let roundInterval: Duration = .milliseconds(100)
    /// How long the database is left alone after a round that it did not answer.
    private static let failurePause: Duration = .seconds(1)
    /// How often everything that is watched is looked at even if no hint has come: one query for a hundred jobs.
    private static let lookInterval: Duration = .seconds(5)
    /// How often each watcher is told that the connection lives: below the 30 s and more after which proxies give up
    /// connections that are silent.
    private static let heartbeatInterval: Duration = .seconds(15)
    /// Snapshots read in one query.
    private static let jobsAtOnce = 100
    /// Snapshots read in one round, so that those who watch one job do not wait for those who watch thousands.
    private static let jobsPerRound = 500
    private static let listsPerRound = 20

    private struct Arrival {
        let job: JobID
        let take: @Sendable (WatchTicket?) -> Void
    }

    private struct State {
        var book = WatchBook()
        /// Who waits for the first snapshot of a job that nobody has watched before.
        var arrivals: [Arrival] = []
        var isClosed = false

        /// Everybody who has or wants a place.
        var count: Int { book.count + arrivals.count }
    }

    private let service: any LedgerService
    private let settings: ServerSettings
    private let metrics: HTTPMetrics
    private let logger: Logger
    private let state = Mutex(State())
    private let bell: AsyncStream<Void>
    private let ringing: AsyncStream<Void>.Continuation
    private let arriving: AsyncStream<Void>
    private let arrival: AsyncStream<Void>.Continuation

    init(service: any LedgerService, settings: ServerSettings, metrics: HTTPMetrics, logger: Logger) {
        self.service = service
        self.settings = settings
        self.metrics = metrics
        self.logger = logger
        // Rung twice, it need be heard only once.
        (bell, ringing) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (arriving, arrival) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: Coming and going

    /// Lets somebody watch a job; nil where there is none of this id.
    ///
    /// - Parameter known: The snapshot that he has already.
    func join(_ job: JobID, from known: WatchPosition?) async throws -> WatchTicket? {
        try await join(.job(job), from: known) {
            let began = ContinuousClock.now
            guard let view = try await service.job(job) else { return nil }
            return [WatchFrame(view, readSince: began)]
        }
    }

    /// Lets somebody watch a list of jobs.
    func join(_ list: WatchBook.List) async throws -> WatchTicket {
        let ticket = try await join(.list(list), from: nil) {
            let began = ContinuousClock.now
            return try await service.jobs(list.filter, limit: list.limit, after: list.cursor).map {
                WatchFrame($0, readSince: began)
            }
        }
        guard let ticket else { throw refusal }
        return ticket
    }

    private func join(
        _ subject: WatchBook.Subject, from known: WatchPosition?, read: () async throws -> [WatchFrame]?
    ) async throws -> WatchTicket? {
        let isKnown = try state.withLock { state in
            try admit(subject, state)
            return state.book.isKnown(subject, from: known)
        }
        var frames: [WatchFrame] = []
        if !isKnown {
            guard let found = try await read() else { return nil }
            frames = found
        }
        if let ticket = try enter(subject, reading: frames, isKnown: isKnown) { return ticket }
        return try await join(subject, from: known, read: read)
    }

    /// - Returns: Nil where what was known is known no more: whoever else watched it may have left meanwhile.
    private func enter(
        _ subject: WatchBook.Subject, reading frames: [WatchFrame], isKnown: Bool
    ) throws(HTTPProblem) -> WatchTicket? {
        let mailbox = WatchMailbox()
        let joined: (number: Int, deliveries: [WatchBook.Delivery])? = try state.withLock {
            state throws(HTTPProblem) in
            try admit(subject, state)
            guard state.book.isWatched(subject) || !isKnown else { return nil }
            return state.book.join(subject, reading: frames, mailbox)
        }
        guard let joined else { return nil }
        metrics.watchersChanged(by: 1)
        Self.deliver(joined.deliveries)
        ringing.yield()
        return WatchTicket(mailbox: mailbox) { [weak self] in self?.leave(subject, joined.number) }
    }

    /// Lets somebody watch a job, without a task that waits for it.
    ///
    /// - Parameter take: Called once, on any thread, at once where the job is watched already. Gets nil where he may not
    ///   watch it, or cannot: ``join(_:from:)`` tells why.
    func join(_ job: JobID, from known: WatchPosition?, _ take: @escaping @Sendable (WatchTicket?) -> Void) {
        let isKnown = state.withLock { $0.book.isKnown(.job(job), from: known) }
        do throws(HTTPProblem) {
            if isKnown, let ticket = try enter(.job(job), reading: [], isKnown: true) { return take(ticket) }
            try state.withLock { state throws(HTTPProblem) in
                try admit(.job(job), state)
                state.arrivals.append(Arrival(job: job, take: take))
            }
        } catch {
            return take(nil)
        }
        arrival.yield()
    }

    /// Reads the jobs of those who have arrived, many in one query, and lets them in.
    private func receive() async {
        for await _ in arriving {
            while true {
                let arrivals = state.withLock { state in
                    let first = Array(state.arrivals.prefix(Self.jobsAtOnce))
                    state.arrivals.removeFirst(first.count)
                    return first
                }
                if arrivals.isEmpty { break }
                var frames: [JobID: WatchFrame] = [:]
                let began = ContinuousClock.now
                do throws(StoreError) {
                    for view in try await service.jobs(Array(Set(arrivals.map(\.job)))) {
                        frames[view.id] = WatchFrame(view, readSince: began)
                    }
                } catch {
                    // The general route, to which they are handed on, tells them why.
                    logger.debug("arrivals could not be read", metadata: ["error": "\(String(reflecting: error))"])
                }
                for arrival in arrivals { arrival.take(frames[arrival.job].flatMap { admitted(arrival.job, $0) }) }
            }
        }
    }

    /// - Returns: Nil where there is no place any more, which the general route tells.
    private func admitted(_ job: JobID, _ frame: WatchFrame) -> WatchTicket? {
        do throws(HTTPProblem) { return try enter(.job(job), reading: [frame], isKnown: false) } catch { return nil }
    }

    private func admit(_ subject: WatchBook.Subject, _ state: State) throws(HTTPProblem) {
        guard !state.isClosed, state.count < settings.watchersMax else { throw refusal }
        if case .list = subject, !state.book.isWatched(subject), state.book.listCount >= settings.watchedListsMax {
            throw refusal
        }
    }

    private var refusal: HTTPProblem {
        HTTPProblem(
            .serviceUnavailable, "Too many watchers",
            "This server has as many watchers as it can serve, or is stopping. Try again later, or read the progress with "
                + "If-None-Match and Prefer: wait.",
            headers: HTTPFields(retryAfter: .seconds(5)))
    }

    private func leave(_ subject: WatchBook.Subject, _ number: Int) {
        state.withLock { $0.book.leave(subject, number) }
        metrics.watchersChanged(by: -1)
    }

    /// Ends every stream, so that a server that stops does not wait for them.
    func close() {
        let (mailboxes, arrivals) = state.withLock { state in
            state.isClosed = true
            defer { state.arrivals = [] }
            return (state.book.mailboxes, state.arrivals)
        }
        for mailbox in mailboxes { mailbox.close() }
        for arrival in arrivals { arrival.take(nil) }
        ringing.finish()
        arrival.finish()
    }

    // MARK: Rounds

    /// Serves until it is closed or the task is cancelled.
    func run() async {
        let subscription = service.hearFolds { [weak self] in self?.hear($0) }
        await withTaskCancellationHandler {
            await withTaskGroup { group in
                group.addTask { await self.beat() }
                group.addTask { await self.receive() }
                var next = ContinuousClock.now
                for await _ in bell {
                    do { try await Task.sleep(until: next) } catch { break }
                    let begun = ContinuousClock.now
                    let isRead = await round()
                    // Where it takes long to send to all, everything else gets as much time before the next round.
                    let sent = await EventLoopExecutor.catchUp()
                    next = max(begun + Self.roundInterval, .now + (isRead ? sent : Self.failurePause))
                }
                group.cancelAll()
            }
        } onCancel: {
            close()
        }
        withExtendedLifetime(subscription) {}
    }

    private func hear(_ hint: FoldHint) {
        let isDue = state.withLock { state in
            guard state.book.count > 0 else { return false }
            state.book.hear(hint)
            return state.book.isAnythingDue
        }
        if isDue { ringing.yield() }
    }

    /// Looks and heartbeats.
    private func beat() async {
        var nextHeartbeat = ContinuousClock.now + Self.heartbeatInterval
        while true {
            do { try await Task.sleep(for: Self.lookInterval) } catch { return }
            state.withLock { $0.book.lookAtEverything() }
            ringing.yield()
            guard ContinuousClock.now >= nextHeartbeat else { continue }
            nextHeartbeat = .now + Self.heartbeatInterval
            for mailbox in state.withLock({ $0.book.mailboxes }) { mailbox.offerHeartbeat() }
        }
    }

    /// Reads what is due and tells who watches it; false where the database did not answer.
    private func round() async -> Bool {
        var reading = state.withLock { $0.book.take(jobsMax: Self.jobsPerRound, listsMax: Self.listsPerRound) }
        do throws(StoreError) {
            while !reading.jobs.isEmpty {
                let began = ContinuousClock.now
                let views = try await service.jobs(Array(reading.jobs.prefix(Self.jobsAtOnce)))
                reading.jobs.removeFirst(min(Self.jobsAtOnce, reading.jobs.count))
                let frames = views.map { WatchFrame($0, readSince: began) }
                Self.deliver(state.withLock { state in frames.flatMap { state.book.publish($0) } })
            }
            while let list = reading.lists.first {
                let began = ContinuousClock.now
                let views = try await service.jobs(list.filter, limit: list.limit, after: list.cursor)
                reading.lists.removeFirst()
                let frames = views.map { WatchFrame($0, readSince: began) }
                Self.deliver(state.withLock { $0.book.publish(frames, in: list) })
            }
        } catch {
            // The next round tries again; meanwhile watchers see the age of what they have.
            logger.warning("watched jobs could not be read", metadata: ["error": "\(String(reflecting: error))"])
            let unread = reading
            state.withLock { $0.book.putBack(unread) }
            ringing.yield()
            return false
        }
        if state.withLock({ $0.book.isAnythingDue }) { ringing.yield() }
        return true
    }

    private static func deliver(_ deliveries: [WatchBook.Delivery]) {
        for delivery in deliveries {
            switch delivery {
            case .frame(let frame, let mailbox): mailbox.offer(frame)
            case .list(let list, let left, let mailbox): mailbox.offer(list, without: left)
            }
        }
    }
}

/// The right to a mailbox, which ends when it is let go.
final class WatchTicket: Sendable {
    let mailbox: WatchMailbox
    private let leave: @Sendable () -> Void

    init(mailbox: WatchMailbox, leave: @escaping @Sendable () -> Void) {
        self.mailbox = mailbox
        self.leave = leave
    }

    deinit { leave() }
}
