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
        /// Snapshots, at most one of each job.
        var frames: [JobID: WatchFrame] = [:]
        /// Whether it is time to say that the connection lives.
        var isHeartbeatDue = false

        var isEmpty: Bool { list == nil && frames.isEmpty && !isHeartbeatDue }
    }

    private struct State {
        var mail = Mail()
        var isClosed = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func offer(_ frame: WatchFrame) {
        wake { $0.mail.frames[frame.job] = frame }
    }

    /// The list holds these jobs from now on, and no longer those that have left.
    func offer(_ list: ByteBuffer, without left: some Sequence<JobID>) {
        wake { state in
            state.mail.list = list
            for job in left { state.mail.frames[job] = nil }
        }
    }

    func offerHeartbeat() {
        wake { $0.mail.isHeartbeatDue = true }
    }

    /// Nothing more comes, and what is there is not wanted any more.
    func close() {
        wake { $0.isClosed = true }
    }

    /// What there is to send, once there is something; nil after the end. For one reader.
    func next() async -> Mail? {
        while true {
            let (mail, isClosed): (Mail, Bool) = state.withLock { state in
                defer { state.mail = Mail() }
                return (state.mail, state.isClosed)
            }
            if isClosed { return nil }
            if !mail.isEmpty { return mail }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isThere = state.withLock { state in
                        guard state.mail.isEmpty, !state.isClosed else { return true }
                        state.waiter = continuation
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
        waiter?.resume()
    }
}
