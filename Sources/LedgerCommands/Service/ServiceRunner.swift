import Logging
import ServiceLifecycle
import Synchronization
import UnixSignals

/// Runs services and handles signals, from preparation to cleanup.
///
/// The first SIGTERM or SIGINT lets the services finish their current work within a time limit. A second signal stops
/// them at once, unless it arrives within a second of the first: one sender may send a signal twice. A signal during
/// preparation ends the preparation.
final class ServiceRunner: Sendable {
    private enum State {
        /// The database is being opened. → `running`, `stopping`
        case preparing
        /// The services run. → `stopping`
        case running(ServiceGroup)
        /// A signal arrived at this time; nil if the services did not run yet.
        case stopping(since: ContinuousClock.Instant?)
    }

    /// The reaction to a signal.
    enum Reaction: Hashable {
        case stopGracefully, ignore, stopAtOnce
    }

    /// The time within which a second signal counts as a repetition of the first.
    ///
    /// GNU `timeout` sends its signal to the process and to the process group.
    static let repetitionMax = Duration.seconds(1)

    private enum FirstToEnd: Sendable {
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

    /// Runs the body, which prepares services for ``run(_:)``, and handles signals.
    ///
    /// - Throws: The body's error unless a signal ended it; ``CommandFailure`` if a second signal did.
    func handlingSignals(_ body: @escaping @Sendable (ServiceRunner) async throws -> Void) async throws {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        try await withThrowingTaskGroup(of: FirstToEnd.self) { group in
            group.addTask {
                try await body(self)
                return .body
            }
            group.addTask {
                for await signal in signals where await !self.keepsRunning(after: signal) { break }
                return .signal
            }
            defer { group.cancelAll() }
            guard try await group.next() == .signal else { return }
            group.cancelAll()
            do {
                try await group.waitForAll()
            } catch {
                logger.warning("stopped before all work was finished", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Runs services until one fails or a signal arrives.
    ///
    /// They start in the given order and stop in reverse order.
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

    /// The reaction to a signal at a time, given the time of the first signal.
    static func reaction(to first: ContinuousClock.Instant?, now: ContinuousClock.Instant) -> Reaction {
        guard let first else { return .stopGracefully }
        return first.duration(to: now) < repetitionMax ? .ignore : .stopAtOnce
    }

    /// Handles a signal; returns false if everything must stop at once.
    private func keepsRunning(after signal: UnixSignal) async -> Bool {
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
