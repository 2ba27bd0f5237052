import Logging
import ServiceLifecycle
import Synchronization
import UnixSignals

/// Runs services from the first signal handler to the last cleanup.
///
/// The first SIGTERM or SIGINT lets them finish what they are doing, for a bounded time; a second one stops them at
/// once, unless it comes within a second of the first, which one sender may send twice. A signal that comes while they
/// are still being prepared ends the preparation.
final class ServiceRunner: Sendable {
    private enum State {
        /// The database is being opened. → `running`, `stopping`
        case preparing
        /// The services run. → `stopping`
        case running(ServiceGroup)
        /// A signal has come, at this moment, while the services ran; nil if it came before that.
        case stopping(since: ContinuousClock.Instant?)
    }

    /// What a signal means.
    enum Reaction: Hashable {
        case stopGracefully, ignore, stopAtOnce
    }

    /// GNU `timeout` sends its signal to the process and to the group that it is in.
    static let repetitionMax = Duration.seconds(1)

    private enum Ended: Sendable {
        case body
        case signal
    }

    private let drain: Duration
    private let logger: Logger
    private let state = Mutex(State.preparing)

    init(drain: Duration, logger: Logger) {
        self.drain = drain
        self.logger = logger
    }

    /// Runs the body, which prepares services and hands them to ``run(_:)``, and obeys signals all the while.
    ///
    /// - Throws: What the body throws, unless a signal ended it; ``CommandFailure`` where a second one did.
    func obeyingSignals(_ body: @escaping @Sendable (ServiceRunner) async throws -> Void) async throws {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        try await withThrowingTaskGroup(of: Ended.self) { group in
            group.addTask {
                try await body(self)
                return .body
            }
            group.addTask {
                for await signal in signals where await !self.goesOn(after: signal) { break }
                return .signal
            }
            defer { group.cancelAll() }
            guard try await group.next() == .signal else { return }
            group.cancelAll()
            do {
                try await group.waitForAll()
            } catch {
                logger.warning("stopped before everything was finished", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Runs services until one fails or a signal comes: started in this order, stopped in reverse.
    func run(_ services: [any Service]) async throws {
        var configuration = ServiceGroupConfiguration(
            services: services.map {
                ServiceGroupConfiguration.ServiceConfiguration(
                    service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
                    failureTerminationBehavior: .gracefullyShutdownGroup)
            }, logger: logger)
        configuration.maximumGracefulShutdownDuration = drain
        let group = ServiceGroup(configuration: configuration)
        let mayRun = state.withLock { state in
            guard case .preparing = state else { return false }
            state = .running(group)
            return true
        }
        guard mayRun else { throw CancellationError() }
        try await group.run()
    }

    /// What a signal means that comes at a moment, after one that came at another.
    static func reaction(to first: ContinuousClock.Instant?, now: ContinuousClock.Instant) -> Reaction {
        guard let first else { return .stopGracefully }
        return first.duration(to: now) < repetitionMax ? .ignore : .stopAtOnce
    }

    /// Obeys a signal; false if everything is to be stopped at once.
    private func goesOn(after signal: UnixSignal) async -> Bool {
        let now = ContinuousClock.now
        let (reaction, running): (Reaction, ServiceGroup?) = state.withLock { state in
            switch state {
            case .preparing:
                state = .stopping(since: nil)
                return (.stopAtOnce, nil)
            case .running(let group):
                state = .stopping(since: now)
                return (Self.reaction(to: nil, now: now), group)
            case .stopping(let since): return (since.map { Self.reaction(to: $0, now: now) } ?? .stopAtOnce, nil)
            }
        }
        switch reaction {
        case .ignore: return true
        case .stopGracefully:
            logger.info("stopping", metadata: ["signal": "\(signal)", "drain.max": "\(drain)"])
            await running?.triggerGracefulShutdown()
            return true
        case .stopAtOnce:
            logger.warning("stopping at once", metadata: ["signal": "\(signal)"])
            return false
        }
    }
}
