internal import Ledger
internal import NIOCore
internal import Synchronization

/// What one watcher is to be sent next. Of each job it holds the newest snapshot and nothing older, so a watcher that
/// takes its time misses what was in between and costs no cache for it.
final class ConflatingBuffer: Sendable {
    /// What is in it.
    struct Contents: Sendable {
        /// Which jobs the list holds, where that has changed.
        var list: ByteBuffer?
        /// The snapshot of one job: all that there is for those who watch only one, and it takes no cache of its own.
        private(set) var first: EncodedSnapshot?
        /// Those of other jobs.
        private var others: [JobID: EncodedSnapshot] = [:]
        /// Whether it is time to say that the connection lives.
        var isHeartbeatDue = false

        var isEmpty: Bool { list == nil && first == nil && others.isEmpty && !isHeartbeatDue }

        /// The snapshots, one of each job, those of the newest jobs first.
        var encodedSnapshots: [EncodedSnapshot] {
            ((first.map { [$0] } ?? []) + others.values).sorted { $0.job > $1.job }
        }

        /// Puts a snapshot in place of the one of the same job.
        mutating func put(_ encoded: EncodedSnapshot) {
            if first?.job == encoded.job || first == nil && others.isEmpty {
                first = encoded
            } else {
                others[encoded.job] = encoded
            }
        }

        /// Takes the snapshot of a job out.
        mutating func remove(_ job: JobID) {
            if first?.job == job { first = nil } else if !others.isEmpty { others[job] = nil }
        }
    }

    /// What somebody who looks into it finds.
    enum Found: Sendable {
        case contents(Contents)
        /// Nothing yet.
        case nothing
        /// Nothing more comes.
        case closed
    }

    private struct State {
        var contents = Contents()
        var isClosed = false
        /// Whom to tell that there is something, or that nothing more comes.
        var waiter: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    func offer(_ encoded: EncodedSnapshot) {
        wake { $0.contents.put(encoded) }
    }

    /// The list holds these jobs from now on, and no longer those that have left.
    func offer(_ list: ByteBuffer, without left: some Sequence<JobID>) {
        wake { state in
            state.contents.list = list
            for job in left { state.contents.remove(job) }
        }
    }

    func offerHeartbeat() {
        wake { $0.contents.isHeartbeatDue = true }
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
            guard !state.contents.isEmpty else {
                state.waiter = waiter
                return .nothing
            }
            defer { state.contents = Contents() }
            return .contents(state.contents)
        }
    }

    /// What there is to send, once there is something; nil after the end. For one reader.
    func next() async -> Contents? {
        while true {
            // What comes before somebody waits is found when he begins to.
            switch take(orCall: {}) {
            case .contents(let contents): return contents
            case .closed: return nil
            case .nothing: break
            }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isThere = state.withLock { state in
                        guard state.contents.isEmpty, !state.isClosed else { return true }
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
