import Dispatch
import Glibc
import Synchronization

/// The executions of this process that have not ended or have undelivered reports.
final class LiveReports: Sendable {
    static let shared = LiveReports()

    private struct State {
        var reporters: [ObjectIdentifier: ReporterState] = [:]
        /// Whether the process is ending, so that further reports are refused.
        var isClosed = false
    }

    private let state = Mutex(State())
    private let termination = Mutex<[any DispatchSourceSignal]>([])

    /// The signals that request the end of a process.
    ///
    /// A workflow engine sends SIGTERM, a closed terminal SIGHUP, and Ctrl-C SIGINT.
    private static let signals = [SIGTERM, SIGHUP, SIGINT]

    /// Adds an execution; returns false if the process is ending and it must not start.
    func insert(_ reporter: ReporterState) -> Bool {
        let isOpen = state.withLock { state in
            if !state.isClosed { state.reporters[ObjectIdentifier(reporter)] = reporter }
            return !state.isClosed
        }
        if !isOpen { reporter.refuseAll() }
        return isOpen
    }

    func remove(_ reporter: ReporterState) {
        _ = state.withLock { $0.reporters.removeValue(forKey: ObjectIdentifier(reporter)) }
    }

    /// Ends all executions as canceled and refuses reports of later executions.
    private func cancelAll() {
        let reporters = state.withLock { state in
            state.isClosed = true
            return Array(state.reporters.values)
        }
        for reporter in reporters { reporter.cancel() }
    }

    /// Waits until everything reported so far by this process is recorded.
    func flush(_ limit: Duration?) async -> Bool {
        let reporters = state.withLock { Array($0.reporters.values) }
        return await withTaskGroup(of: Bool.self) { group in
            for reporter in reporters { group.addTask { await reporter.flush(limit) } }
            return await group.reduce(true) { $0 && $1 }
        }
    }

    /// Ends the process by the signal's default action.
    private static func end(by number: Int32) {
        signal(number, SIG_DFL)
        kill(getpid(), number)
    }

    func flushOnTermination(_ limit: Duration) {
        termination.withLock { termination in
            guard termination.isEmpty else { return }
            for number in Self.signals where Self.hasDefaultAction(number) {
                // An empty handler instead of SIG_IGN, because programs that the task starts would inherit SIG_IGN.
                signal(number) { _ in }
                let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
                source.setEventHandler { self.terminate(by: number, limit) }
                source.activate()
                termination.append(source)
            }
        }
    }

    private func terminate(by number: Int32, _ limit: Duration) {
        // This timer ends the process in time even if Swift's thread pool no longer makes progress.
        let (seconds, attoseconds) = min(max(limit, .zero), .seconds(86_400)).components
        DispatchQueue.global().asyncAfter(deadline: .now() + Double(seconds) + Double(attoseconds) / 1e18) {
            Self.end(by: number)
        }
        cancelAll()
        Task(name: "ledger-termination") {
            _ = await self.flush(limit)
            Self.end(by: number)
        }
    }

    /// Whether the signal is neither handled nor ignored (`nohup` ignores SIGHUP).
    private static func hasDefaultAction(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        return action.__sigaction_handler.sa_handler == nil
    }
}

extension LedgerJob {
    /// Waits until everything that this process has reported so far is recorded.
    ///
    /// - Parameter limit: The longest wait; nil is 5 s, shared with all other waits for a ledger that does not respond.
    /// - Returns: Whether everything is recorded.
    @discardableResult
    public static func flushAll(atMost limit: Duration? = nil) async -> Bool {
        await LiveReports.shared.flush(limit)
    }

    /// Delivers all reports on SIGTERM, SIGHUP or SIGINT, and then ends the process.
    ///
    /// On such a signal the client ends all executions as canceled, waits until everything reported is recorded, and
    /// ends the process by the same signal. From the signal on, reports are refused and the calls return false, so that
    /// exactly the accepted reports are recorded. Call this function once, at the start of the program. It does not
    /// touch signals that the program handles or ignores already: a program with its own handlers must finish its
    /// executions or call ``flushAll(atMost:)`` itself.
    ///
    /// - Parameter limit: The longest wait. Most engines send SIGKILL 30 s after SIGTERM.
    public static func flushOnTermination(atMost limit: Duration = .seconds(5)) {
        LiveReports.shared.flushOnTermination(limit)
    }
}
