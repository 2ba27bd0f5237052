import Dispatch
import Glibc
import Synchronization

/// The executions of this process whose reports are not all delivered, or that have not ended.
final class LiveReports: Sendable {
    static let shared = LiveReports()

    private struct State {
        var cores: [ObjectIdentifier: ReporterState] = [:]
        /// Whether the process ends, and nothing more is taken.
        var isClosed = false
    }

    private let state = Mutex(State())
    private let termination = Mutex<[any DispatchSourceSignal]>([])

    /// The signals that ask a process to end: of an engine, of a terminal that is closed, of its user.
    private static let signals = [SIGTERM, SIGHUP, SIGINT]

    /// Takes an execution in; false if the process was told to end, so that it must not begin.
    func insert(_ core: ReporterState) -> Bool {
        let isOpen = state.withLock { state in
            if !state.isClosed { state.cores[ObjectIdentifier(core)] = core }
            return !state.isClosed
        }
        if !isOpen { core.refuseAll() }
        return isOpen
    }

    func remove(_ core: ReporterState) { _ = state.withLock { $0.cores.removeValue(forKey: ObjectIdentifier(core)) } }

    /// Ends all executions as canceled. Nothing more is taken, nor of executions that begin later.
    private func cancelAll() {
        let cores = state.withLock { state in
            state.isClosed = true
            return Array(state.cores.values)
        }
        for core in cores { core.cancel() }
    }

    /// Waits until everything reported so far in this process is recorded.
    func flush(_ limit: Duration?) async -> Bool {
        let cores = state.withLock { Array($0.cores.values) }
        return await withTaskGroup(of: Bool.self) { group in
            for core in cores { group.addTask { await core.flush(limit) } }
            return await group.reduce(true) { $0 && $1 }
        }
    }

    /// Ends the process as the signal would have ended it.
    private static func end(by number: Int32) {
        signal(number, SIG_DFL)
        kill(getpid(), number)
    }

    func flushOnTermination(_ limit: Duration) {
        termination.withLock { termination in
            guard termination.isEmpty else { return }
            for number in Self.signals where Self.hasDefaultAction(number) {
                // Not ignored: programs that the task starts would ignore it too.
                signal(number) { _ in }
                let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
                source.setEventHandler { self.terminate(by: number, limit) }
                source.activate()
                termination.append(source)
            }
        }
    }

    private func terminate(by number: Int32, _ limit: Duration) {
        // The process ends in time also if nothing runs any more that could flush.
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

    /// Whether nobody handles or ignores the signal, as `nohup` ignores SIGHUP.
    private static func hasDefaultAction(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        return action.__sigaction_handler.sa_handler == nil
    }
}

extension LedgerJob {
    /// Waits until everything that was reported in this process so far is recorded.
    ///
    /// - Parameter limit: How long at most; nil is 5 s, shared with all other waits for a ledger that does not answer.
    /// - Returns: Whether it is.
    @discardableResult
    public static func flushAll(atMost limit: Duration? = nil) async -> Bool {
        await LiveReports.shared.flush(limit)
    }

    /// Has a process that is told to end by SIGTERM, SIGHUP or SIGINT end its executions as canceled first.
    ///
    /// Then everything that was reported is recorded, and the process ends by the same signal. From that signal on
    /// nothing more is taken, so that what was taken is what is recorded: a call is refused, and says so by what it
    /// returns. Call it once, at the beginning. Signals that are handled or ignored when it is called stay so: programs
    /// that handle them finish their executions, or call ``flushAll(atMost:)``, themselves.
    ///
    /// - Parameter limit: How long that may take. Most engines send SIGKILL 30 s after SIGTERM.
    public static func flushOnTermination(atMost limit: Duration = .seconds(5)) {
        LiveReports.shared.flushOnTermination(limit)
    }
}
