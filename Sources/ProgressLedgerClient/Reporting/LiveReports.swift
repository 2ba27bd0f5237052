import Dispatch
import Glibc
import Synchronization

/// The executions of this process whose reports are not all delivered, or that have not ended.
final class LiveReports: Sendable {
    static let shared = LiveReports()

    private struct State {
        var cores: [ObjectIdentifier: ReportCore] = [:]
        /// Whether the process ends, and nothing more is taken.
        var isClosed = false
    }

    private let state = Mutex(State())
    private let termination = Mutex<(any DispatchSourceSignal)?>(nil)

    func insert(_ core: ReportCore) {
        state.withLock { state in
            if state.isClosed { core.close() }
            state.cores[ObjectIdentifier(core)] = core
        }
    }

    func remove(_ core: ReportCore) { _ = state.withLock { $0.cores.removeValue(forKey: ObjectIdentifier(core)) } }

    /// Has the process take no more reports, nor those of executions that begin later.
    private func close() {
        state.withLock { state in
            state.isClosed = true
            for core in state.cores.values { core.close() }
        }
    }

    /// Waits until everything reported so far in this process is recorded.
    func flush(_ limit: Duration) async -> Bool {
        let cores = state.withLock { Array($0.cores.values) }
        return await withTaskGroup(of: Bool.self) { group in
            for core in cores { group.addTask { await core.flush(limit) } }
            return await group.reduce(true) { $0 && $1 }
        }
    }

    @Sendable private static func endByTermination() {
        signal(SIGTERM, SIG_DFL)
        kill(getpid(), SIGTERM)
    }

    func flushOnTermination(_ limit: Duration) {
        termination.withLock { termination in
            guard termination == nil else { return }
            signal(SIGTERM, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: SIGTERM, queue: .global())
            source.setEventHandler {
                // The process ends as it would have without us, also where nothing runs any more that could flush.
                let (seconds, attoseconds) = limit.components
                DispatchQueue.global().asyncAfter(
                    deadline: .now() + Double(seconds) + Double(attoseconds) / 1e18 + 1, execute: Self.endByTermination)
                self.close()
                Task(name: "ledger-termination") {
                    _ = await self.flush(limit)
                    Self.endByTermination()
                }
            }
            source.activate()
            termination = source
        }
    }
}

extension LedgerJob {
    /// Waits until everything that was reported in this process so far is recorded.
    ///
    /// - Parameter limit: How long at most.
    /// - Returns: Whether it is.
    @discardableResult
    public static func flushAll(atMost limit: Duration = .seconds(5)) async -> Bool {
        await LiveReports.shared.flush(limit)
    }

    /// Has a process that is told to end by SIGTERM record first what it has reported. For programs that do not handle
    /// that signal themselves; those that do call ``flushAll(atMost:)``.
    ///
    /// From that signal on nothing more is taken, so that what was taken is what is recorded: a call is refused, and
    /// says so by what it returns.
    ///
    /// - Parameter limit: How long that may take; whoever sends SIGTERM sends SIGKILL later, after 30 s mostly.
    public static func flushOnTermination(atMost limit: Duration = .seconds(5)) {
        LiveReports.shared.flushOnTermination(limit)
    }
}
