internal import Ledger
internal import NIOCore
internal import Synchronization

/// What one watcher is to be sent next. Of each job it holds the newest snapshot and nothing older, so a watcher that
/// takes its time misses what was in between and costs no memory for it.
final class WatchMailbox: Sendable {
    /// What is in it.
    struct Mail: Sendable {
        /// Which jobs the list holds, where that has changed.
        var list: ByteBuffer?
        /// The snapshot of one job: all that there is for those who watch only one, and it takes no memory of its own.
        private(set) var first: WatchFrame?
        /// Those of other jobs.
        private var others: [JobID: WatchFrame] = [:]
        /// Whether it is time to say that the connection lives.
        var isHeartbeatDue = false

        var isEmpty: Bool { list == nil && first == nil && others.isEmpty && !isHeartbeatDue }

        /// The snapshots, one of each job, those of the newest jobs first.
        var frames: [WatchFrame] { ((first.map { [$0] } ?? []) + others.values).sorted { $0.job > $1.job } }

        /// Puts a snapshot in place of the one of the same job.
        mutating func put(_ frame: WatchFrame) {
            if first?.job == frame.job || first == nil && others.isEmpty {
                first = frame
            } else {
                others[frame.job] = frame
            }
        }

        /// Takes the snapshot of a job out.
        mutating func remove(_ job: JobID) {
            if first?.job == job { first = nil } else if !others.isEmpty { others[job] = nil }
        }
    }

    /// What somebody who looks into it finds.
    enum Found: Sendable {
        case mail(Mail)
        /// Nothing yet.
        case nothing
        /// Nothing more comes.
        case closed
    }

    private struct State {
        var mail = Mail()
        var isClosed = false
        /// Whom to tell that there is something, or that nothing more comes.
        var waiter: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    func offer(_ frame: WatchFrame) {
        wake { $0.mail.put(frame) }
    }

    /// The list holds these jobs from now on, and no longer those that have left.
    func offer(_ list: ByteBuffer, without left: some Sequence<JobID>) {
        wake { state in
            state.mail.list = list
            for job in left { state.mail.remove(job) }
        }
    }

    func offerHeartbeat() {
        wake { $0.mail.isHeartbeatDue = true }
    }

    /// Nothing more comes, and what is there is not wanted any more.
    func close() {
        wake { $0.isClosed = true }
    }

    /// Takes what there is. For one reader.
    ///
    /// - Parameter waiter: Called once, on any thread, when it is worth looking again; not called where something was found.
    func take(orCall waiter: @escaping @Sendable () -> Void) -> Found {
        state.withLock { state in
            if state.isClosed { return .closed }
            guard !state.mail.isEmpty else {
                state.waiter = waiter
                return .nothing
            }
            defer { state.mail = Mail() }
            return .mail(state.mail)
        }
    }

    /// What there is to send, once there is something; nil after the end. For one reader.
    func next() async -> Mail? {
        while true {
            // What comes before somebody waits is found when he begins to.
            switch take(orCall: {}) {
            case .mail(let mail): return mail
            case .closed: return nil
            case .nothing: break
            }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isThere = state.withLock { state in
                        guard state.mail.isEmpty, !state.isClosed else { return true }
                        state.waiter = { continuation.resume() }
                        return false
                    }
                    if isThere { continuation.resume() }
                }
            } onCancel: {
                close()
            }
        }
    }

    private func wake(_ change: (inout State) -> Void) {
        let waiter = state.withLock { state in
            change(&state)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?()
    }
}
