import Logging
import ServiceLifecycle
import Synchronization
import UnixSignals

/// Runs services from the first signal handler to the last cleanup.
///
/// The first SIGTERM or SIGINT lets them finish what they are doing, for a bounded time; the second stops them at
/// once. A signal that comes while they are still being prepared ends the preparation.
final class ServiceRunner: Sendable {
    private enum State {
        /// The database is being opened. → `running`, `stopping`
        case preparing
        /// The services run. → `stopping`
        case running(ServiceGroup)
        /// A signal has come.
        case stopping
    }

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
                for await signal in signals where await !self.stopGracefully(for: signal) { break }
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

    /// Obeys the first signal; false where everything is to be stopped at once.
    private func stopGracefully(for signal: UnixSignal) async -> Bool {
        let running: ServiceGroup? = state.withLock { state in
            defer { state = .stopping }
            guard case .running(let group) = state else { return nil }
            return group
        }
        guard let running else {
            logger.warning("stopping at once", metadata: ["signal": "\(signal)"])
            return false
        }
        logger.info("stopping", metadata: ["signal": "\(signal)", "drain.max": "\(drain)"])
        await running.triggerGracefulShutdown()
        return true
    }
}
